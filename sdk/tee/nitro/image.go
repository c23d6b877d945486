package nitro

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/secgear/secgear/sdk/image"
	"github.com/secgear/secgear/sdk/internal/initramfs"
	"github.com/secgear/secgear/sdk/tee/nitro/eif"
)

// Kernel is what an enclave boots from, beside its program.
type Kernel struct {
	Image       []byte   // as the boot loader takes it: a bzImage; on arm64 an Image
	CommandLine string   // measured with the image
	Modules     []Module // loaded before the program starts, in this order
}

// Module is a module of the kernel, not compressed.
type Module struct {
	Name string // as "nsm"
	Data []byte
}

// DefaultCommandLine is the kernel's command line where none comes with the
// kernel. Errors end the enclave at once, and nobody reads its messages.
const DefaultCommandLine = "reboot=t panic=-1 console=ttyS0 quiet loglevel=3 random.trust_cpu=on"

// moduleNames are the modules that an enclave may need, in the order in which
// they depend on each other. Kernels have some of them built in.
var moduleNames = []string{
	"virtio_mmio", "vsock", "vmw_vsock_virtio_transport_common", "vmw_vsock_virtio_transport", "nsm",
}

// Bounds of the files that a kernel is read from.
const (
	maxKernel = 256 << 20
	maxModule = 16 << 20
)

// kernelNames are how a kernel's file may be called: by Debian's and secgear's
// scripts, and by AWS's tools for amd64 and arm64.
var kernelNames = []string{"vmlinuz", "bzImage", "Image"}

// ReadKernel reads a kernel from its folder, as scripts/kernel makes one and as
// AWS's tools have one: the kernel (vmlinuz, bzImage or Image), its modules there
// or in the folder modules, those of them that an enclave needs, and its command
// line in the file cmdline, if there is one.
func ReadKernel(dir string) (Kernel, error) {
	k := Kernel{CommandLine: DefaultCommandLine}
	file, err := kernelFile(dir)
	if err == nil {
		k.Image, err = readFile(file, maxKernel)
	}
	if err != nil {
		return k, fmt.Errorf("reading the enclave's kernel: %w", err)
	}
	line, err := readFile(filepath.Join(dir, "cmdline"), eif.MaxCommandLine+1)
	switch {
	case err == nil:
		k.CommandLine = strings.TrimSpace(string(line))
	case !errors.Is(err, os.ErrNotExist):
		return k, fmt.Errorf("reading the kernel's command line: %w", err)
	}
	k.Modules, err = readModules(dir)
	return k, err
}

// kernelFile is the kernel in dir.
func kernelFile(dir string) (string, error) {
	var first error
	for _, name := range kernelNames {
		file := filepath.Join(dir, name)
		if _, err := os.Stat(file); err == nil {
			return file, nil
		} else if first == nil {
			first = err
		}
	}
	return "", first
}

// readModules reads the modules in dir, or in its folder modules if it has one.
func readModules(dir string) (modules []Module, err error) {
	if _, err := os.Stat(filepath.Join(dir, "modules")); err == nil {
		dir = filepath.Join(dir, "modules")
	}
	for _, name := range moduleNames {
		b, err := readFile(filepath.Join(dir, name+".ko"), maxModule)
		if errors.Is(err, os.ErrNotExist) {
			continue // built in
		}
		if err != nil {
			return nil, fmt.Errorf("reading a module of the enclave's kernel: %w", err)
		}
		modules = append(modules, Module{name, b})
	}
	return modules, nil
}

// readFile reads a file of at most limit bytes.
func readFile(name string, limit int64) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err == nil && int64(len(b)) > limit {
		err = fmt.Errorf("%s has more than %d bytes", name, limit)
	}
	return b, err
}

// EIF returns the enclave image file of img with kernel k. The same arguments
// give the same file. Its first RAM disk has what belongs to the kernel, and its
// second one the program and its identity, so that PCR1 is that of the kernel and
// PCR2 that of the image, whatever the kernel.
//
// Encrypted images are refused with [errors.ErrUnsupported]: what is measured is
// what is launched, and nothing inside could decrypt it before it runs.
func EIF(img *image.Image, k Kernel) (*eif.Image, error) {
	program, err := initramfs.Build(img, Name, nil)
	if err != nil {
		return nil, err
	}
	files := []initramfs.File{
		{Name: "secgear", Mode: initramfs.ModeDir | 0o500},
		{Name: "secgear/modules", Mode: initramfs.ModeDir | 0o500},
	}
	for i, m := range k.Modules {
		name := fmt.Sprintf("secgear/modules/%02d-%s.ko", i, m.Name)
		files = append(files, initramfs.File{Name: name, Mode: initramfs.ModeFile | 0o400, Data: m.Data})
	}
	modules, err := initramfs.Archive(files)
	if err != nil {
		return nil, err
	}
	metadata, err := describe(img)
	if err != nil {
		return nil, err
	}
	e := &eif.Image{
		Arch: img.Arch, Processors: processors,
		Kernel: k.Image, CommandLine: k.CommandLine, Metadata: metadata,
		RAMDisks: [][]byte{modules, program},
	}
	e.Memory = memory(img.Manifest, e)
	return e, nil
}

// describe is the metadata, in the form that AWS's tools show. It is not
// measured; times have no place in it, so that it stays the same.
func describe(img *image.Image) ([]byte, error) {
	type object map[string]any
	return json.Marshal(struct {
		ImageName      string
		ImageVersion   string
		BuildMetadata  object
		DockerInfo     object
		CustomMetadata object
	}{
		img.Manifest.Name, fmt.Sprint(img.Manifest.SecurityVersion),
		object{
			"BuildTime": "1970-01-01T00:00:00+00:00", "BuildTool": "secgear", "BuildToolVersion": "1",
			"OperatingSystem": "Linux", "KernelVersion": "",
		},
		object{},
		object{"Digest": img.Digest.String(), "Signer": img.Signer.String()},
	})
}

// processors is how many an enclave has if nothing else is asked for: a whole
// core of an instance with two threads per core.
const processors = 2

// Memory of the machine: what the hypervisor gives is a multiple of granule, and
// the kernel and the Go runtime need overhead beside what the manifest grants.
const (
	granule  = 2 << 20
	overhead = 96 << 20
)

// memory is how much an enclave of manifest m and file e needs: its own, and the
// kernel and RAM disks, packed and unpacked. AWS wants four times the file.
func memory(m image.Manifest, e *eif.Image) uint64 {
	file := uint64(len(e.Kernel))
	for _, d := range e.RAMDisks {
		file += uint64(len(d))
	}
	need := max(m.Memory+overhead+3*file, 4*file)
	return (need + granule - 1) / granule * granule
}
