package sgx

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/secgear/secgear/sdk/image"
	"github.com/secgear/secgear/sdk/internal/initramfs"
	"github.com/secgear/secgear/sdk/tee"
	"github.com/secgear/secgear/sdk/tee/sgx/internal/wire"
)

// What Gramine and Go need of an enclave beside the memory of its manifest.
const (
	overhead   = 1 << 30 // Go's reserved addresses count, and Gramine's own
	maxThreads = 32      // four of them Gramine's helpers
	processors = 8       // GOMAXPROCS
	maxEnclave = 1 << 41
)

// Files of a launch's folder.
const (
	programFile  = "enclave"
	identityFile = "identity"
	lanesDir     = "lanes"
	manifestFile = programFile + ".manifest"
	signedFile   = programFile + ".manifest.sgx"
	sigFile      = programFile + ".sig"
	libOSFile    = "libsysdb.so"
)

// LibOS is Gramine's library OS as it is installed where the enclave is to run.
type LibOS struct {
	File   string // absolute, with its name: …/libsysdb.so
	SHA256 [sha256.Size]byte
}

// Layout is what the enclave of an image consists of, before Gramine's own.
type Layout struct {
	Program  []byte // file "enclave"
	Identity []byte // file "identity": what the program is told of itself
	Manifest []byte // file "enclave.manifest", for gramine-sgx-sign and gramine-direct
}

// Lay returns the layout of an image's enclave. It is the same for the same image
// and library OS: the manifest is measured, and with it the hashes in it.
//
// A security version above 65535 is more than SGX has room for, and an encrypted
// image is refused with [errors.ErrUnsupported].
func Lay(img *image.Image, name string, libOS LibOS) (*Layout, error) {
	switch {
	case img.Encrypted != nil:
		return nil, fmt.Errorf("encrypted images in SGX: %w", errors.ErrUnsupported)
	case img.Arch != "amd64":
		return nil, fmt.Errorf("the program is for %s, SGX is amd64: %w", img.Arch, errors.ErrUnsupported)
	case img.Manifest.SecurityVersion > math.MaxUint16:
		return nil, fmt.Errorf("security version %d: SGX has room for %d", img.Manifest.SecurityVersion, math.MaxUint16)
	}
	identity, err := initramfs.AppendIdentity(nil, name, tee.Identity{Digest: img.Digest, Signer: img.Signer, Manifest: img.Manifest})
	if err != nil {
		return nil, err
	}
	size, err := enclaveSize(img.Manifest.Memory)
	if err != nil {
		return nil, err
	}
	l := &Layout{Program: img.Program, Identity: identity}
	l.Manifest = l.manifest(img.Manifest, name, libOS, size)
	return l, nil
}

// enclaveSize is the power of two that has room for memory and the overhead.
func enclaveSize(memory uint64) (uint64, error) {
	for size := uint64(1 << 30); size <= maxEnclave; size <<= 1 {
		if memory+overhead <= size {
			return size, nil
		}
	}
	return 0, fmt.Errorf("%d bytes of memory are more than an enclave of SGX can have", memory)
}

// ProdID is the ISVPRODID of the enclaves of that name: the beginning of its
// SHA-256. Names of one signer can share one; sealing keys differ all the same.
func ProdID(name string) uint16 {
	sum := sha256.Sum256([]byte(name))
	return uint16(sum[0])<<8 | uint16(sum[1])
}

// manifest writes what Gramine (1.9 or newer) is to do, in TOML.
//
// eventfd is one that Go's runtime can't do without. Gramine leaves it to the
// host, who can thereby wake a thread for nothing, or not wake it; either he can
// anyway.
func (l *Layout) manifest(m image.Manifest, name string, libOS LibOS, size uint64) []byte {
	var b strings.Builder
	line := func(key, value string) { fmt.Fprintf(&b, "%s = %s\n", key, value) }
	b.WriteString("# Written by secgear. What is in here is measured.\n")
	line("loader.entrypoint.uri", quote("file:"+libOS.File))
	line("loader.log_level", quote("error"))
	line("libos.entrypoint", quote("/"+programFile))
	line("loader.env."+wire.Variable, quote(name))
	line("loader.env.GOMAXPROCS", quote(strconv.Itoa(processors)))
	line("loader.env.GOMEMLIMIT", quote(strconv.FormatUint(m.Memory, 10)))
	line("sys.insecure__allow_eventfd", "true")
	line("sys.disallow_subprocesses", "true")
	b.WriteString("\nfs.mounts = [\n")
	fmt.Fprintf(&b, "  { path = %s, uri = %s },\n", quote("/"+programFile), quote("file:"+programFile))
	fmt.Fprintf(&b, "  { path = %s, uri = %s },\n", quote(wire.IdentityFile), quote("file:"+identityFile))
	fmt.Fprintf(&b, "  { type = %s, path = %s, uri = %s },\n]\n\n", quote("untrusted_shm"), quote(wire.LanesDir), quote("dev:"+lanesDir))
	line("sgx.debug", strconv.FormatBool(m.Debug))
	line("sgx.enclave_size", quote(strconv.FormatUint(size>>20, 10)+"M"))
	line("sgx.max_threads", strconv.Itoa(maxThreads))
	line("sgx.isvprodid", strconv.Itoa(int(ProdID(m.Name))))
	line("sgx.isvsvn", strconv.Itoa(int(m.SecurityVersion)))
	line("sgx.remote_attestation", quote("dcap"))
	line("sgx.file_check_policy", quote("strict"))
	line("sgx.allowed_files", "["+quote("dev:"+lanesDir+"/")+"]")
	for _, f := range []struct {
		name string
		sum  [sha256.Size]byte
	}{{libOS.File, libOS.SHA256}, {programFile, sha256.Sum256(l.Program)}, {identityFile, sha256.Sum256(l.Identity)}} {
		fmt.Fprintf(&b, "\n[[sgx.trusted_files]]\nuri = %s\nsha256 = \"%x\"\n", quote("file:"+f.name), f.sum)
	}
	return []byte(b.String())
}

// quote writes a TOML basic string.
func quote(s string) string {
	var b strings.Builder
	b.WriteByte('"')
	for _, r := range s {
		switch {
		case r == '"' || r == '\\':
			b.WriteByte('\\')
			b.WriteRune(r)
		case r < ' ' || r == 0x7f:
			fmt.Fprintf(&b, "\\u%04X", r)
		default:
			b.WriteRune(r)
		}
	}
	b.WriteByte('"')
	return b.String()
}
