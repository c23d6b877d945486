// Package tee is the vocabulary shared by everything that deals with trusted
// execution environments: what a backend is, on the host's side and on the
// enclave's, and which powers it may have beyond launching a program.
//
// A [Backend] launches enclave images in one kind of TEE and yields an
// [Instance]. Inside, the enclave's runtime finds the other end of the same
// seam, a [Platform]. Both are small; what a TEE may have in addition
// ([SealingKeys], [Attester], [Counters], …) is an optional interface found by
// type assertion. Where a power is missing, the public API answers with an
// error matching [errors.ErrUnsupported].
package tee

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"os"
	"runtime"

	"github.com/secgear/secgear/sdk/image"
)

// ErrLost is matched by the error of every call that was in flight, or is
// begun, after the enclave (or, seen from the enclave, the host process at the
// other end of the lane) has died.
var ErrLost = errors.New("the other side is gone")

// ErrClosed is matched by the error of every use of an enclave or lane after
// this side closed it.
var ErrClosed = errors.New("closed by this side")

// Backend launches enclave images in one kind of TEE. Methods may be called
// concurrently.
type Backend interface {
	// Name is the TEE's name as on the command line: "sim", "vm", …
	Name() string

	// Probe tells whether this machine can run the backend, without side
	// effects.
	Probe() Status

	// Launch starts img, whose signature the caller has verified, and returns
	// once the program runs in its final confinement. ctx bounds the launch
	// only.
	//
	// An encrypted image is decrypted inside the TEE where the TEE has something
	// inside that can; where not, Protections says so. What a backend can't
	// decrypt at all it refuses with [errors.ErrUnsupported].
	Launch(ctx context.Context, img *image.Image, cfg LaunchConfig) (Instance, error)
}

// Architectures is the power of a Backend to run programs of other
// architectures than this machine's.
type Architectures interface {
	// ProbeArch is Probe for programs of arch, a GOARCH.
	ProbeArch(arch string) Status
}

// ProbeFor asks b whether it can run programs of arch here, a GOARCH or "" for
// this machine's.
func ProbeFor(b Backend, arch string) Status {
	if arch == "" || arch == runtime.GOARCH {
		return b.Probe()
	}
	if a, ok := b.(Architectures); ok {
		return a.ProbeArch(arch)
	}
	return Status{Missing: []Missing{{
		What: arch + " processor",
		Why:  "this machine is " + runtime.GOARCH,
		Fix:  "build the image with --arch " + runtime.GOARCH,
	}}}
}

// Status is what a backend finds on this machine.
type Status struct {
	Available bool      // an enclave can be launched
	Missing   []Missing // why not, or what protection will be absent
}

// Missing names one thing that a machine lacks.
type Missing struct {
	What string `json:"what"` // "user namespaces", "/dev/sev", …
	Why  string `json:"why"`  // what the attempt answered
	Fix  string `json:"fix"`  // what to do, or empty
}

// LaunchConfig holds what a launch needs beyond the image.
type LaunchConfig struct {
	// StateDir is where the platform keeps what outlives an enclave (for the
	// simulation: its platform secret and counters). It exists, mode 0700.
	StateDir string

	// Log receives the backend's own messages. Never nil.
	Log *slog.Logger

	// Cores are the processors that the enclave may run on; empty means any.
	Cores []int

	// ImageKey returns the key of an encrypted image, and whatever Launch does
	// it is asked at most once: as late as can be, and for no other image. The
	// key is that of the image's key ID, and the backend's to wipe. An error
	// says which image and key are meant. Nil if there is no key to be had.
	ImageKey func(ctx context.Context) (image.Key, error)
}

// Instance is a running enclave, seen from the host that launched it.
type Instance interface {
	// Control is an ordered byte stream to the enclave's runtime. It ends when
	// the enclave ends.
	Control() net.Conn

	// OpenLane makes a shared region of size bytes, hands its other end to the
	// enclave (whose Platform.AcceptLane returns it) and returns this end.
	OpenLane(ctx context.Context, size int) (*Lane, error)

	// Protections lists each piece of confinement with whether it is in force.
	Protections() []Protection

	// Done is closed when the enclave has ended, for whatever reason.
	Done() <-chan struct{}

	// Err is why the enclave ended; nil before Done, and after a clean end.
	Err() error

	// Close ends the enclave at once if it still runs, waits for its end and
	// releases everything that the launch made. It may be called again.
	Close() error
}

// LaneFiles is the power of an [Instance] to open lanes whose host's end belongs
// to another process, which is handed the descriptors.
type LaneFiles interface {
	// OpenLaneFiles is Instance.OpenLane, and returns this end as files: the
	// shared memory, size bytes of it or more and sealed to stay so
	// (F_SEAL_SHRINK, F_SEAL_GROW), of which the lane is the first size bytes; and
	// the bell, a connected stream socket. This end can use futexes. The caller closes the files; the lane ends when nobody has the bell
	// any more.
	OpenLaneFiles(ctx context.Context, size int) (mem, bell *os.File, err error)
}

// Protection is one piece of confinement around an enclave.
type Protection struct {
	Name   string `json:"name"`             // "seccomp", "memfd_secret", …
	Active bool   `json:"active"`           //
	Reason string `json:"reason,omitempty"` // why not, if not Active
}

// Lane is one end of a lane: memory shared by exactly two processes, and a
// stream beside it. What arrives over either is chosen by the peer.
type Lane struct {
	// Mem is the shared region, page-aligned, of the same size at both ends,
	// and stays mapped until Close. The backend guarantees that the peer can't
	// shrink it (touching it never faults).
	Mem []byte

	// Bell is an ordered byte stream to the other end of this lane: switched
	// calls and, without Futex, wake-ups. It ends when the peer dies.
	Bell net.Conn

	// Futex tells that both ends can sleep on and wake words in Mem by futex.
	Futex bool

	// Release unmaps Mem. It is called once, when nothing refers to it any more.
	Release func()
}

// Platform is a TEE seen from the enclave inside it.
type Platform interface {
	// Name is the TEE's name, as Backend.Name.
	Name() string

	// Identity is what was launched, as the TEE measured it.
	Identity() Identity

	// Control is the other end of Instance.Control. Its content is untrusted.
	Control() net.Conn

	// AcceptLane waits for the next lane. Its error is final: the host is gone.
	AcceptLane() (*Lane, error)
}

// Identity says what runs in an enclave.
type Identity struct {
	Digest   image.Digest   // of the image: program and manifest
	Signer   image.SignerID // of the key that signed it
	Manifest image.Manifest // as signed
}

// Policy says who can derive the same sealing key again.
type Policy uint8

const (
	// PolicyImage: this exact image only (SGX: MRENCLAVE).
	PolicyImage Policy = 1
	// PolicySigner: every image by the same signer and name whose security
	// version is at least the one sealed for (SGX: MRSIGNER).
	PolicySigner Policy = 2
)

// SealingKeys is the power of a Platform to derive keys bound to the enclave's
// identity.
type SealingKeys interface {
	// SealingKey derives the key for policy, security version and salt. For
	// PolicySigner, a version above the running image's own is refused. The
	// key differs between machines.
	SealingKey(policy Policy, version uint32, salt [32]byte) ([32]byte, error)
}

// Attester is the power of a Platform to prove the enclave's identity.
type Attester interface {
	// Evidence returns the TEE's own evidence over the identity and data
	// (a nonce, a key's hash; zero-padded by the caller).
	Evidence(data [64]byte) ([]byte, error)
}

// Counters is the power of a Platform to keep monotonic counters that survive
// the enclave and can't be turned back. Counters belong to the signer and name
// of the image; a counter never used reads zero.
type Counters interface {
	Counter(id string) (uint64, error)
	// Increment adds one and returns the new value once it is durable.
	Increment(id string) (uint64, error)
}

// SecretMemory is the power of a Platform to give memory that the host's kernel
// itself has no way to read, as long as it is honest.
type SecretMemory interface {
	// Secret returns n zero bytes, and the function that wipes and frees them.
	// An error matches [errors.ErrUnsupported] if the machine has no such memory.
	Secret(n int) (mem []byte, free func(), err error)
}
