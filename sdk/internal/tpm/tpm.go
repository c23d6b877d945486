// Package tpm does with a TPM 2.0 what a measured platform needs: it extends
// registers (PCRs), quotes them, derives secrets that the TPM gives only to a
// machine in the same state, and keeps monotonic counters.
//
// A TPM is used through the kernel's resource manager, /dev/tpmrm0, or a Unix
// socket of the emulator swtpm. Nothing is left in it but counters: keys are
// primary ones, which the TPM makes anew from its seeds each time.
//
// What crosses the bus between processor and TPM and is secret is encrypted, and
// what must not be altered authenticated, by sessions salted with a key of the
// TPM's. That keeps out who listens; who also answers in the TPM's place is
// found out by the key's name, if the caller remembers it ([TPM.Name]).
//
// The hierarchies' authorizations must be empty, as they are by default.
package tpm

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"time"

	"github.com/google/go-tpm/tpm2"
	"github.com/google/go-tpm/tpm2/transport"
)

// Device is where Linux has the TPM, shared by its resource manager.
const Device = "/dev/tpmrm0"

// TPM is a TPM. It is opened for each use. Its methods may be called
// concurrently, and do one thing after another.
type TPM struct {
	path string
	mu   sync.Mutex
}

// At returns the TPM at path, a device or a socket.
func At(path string) *TPM { return &TPM{path: path} }

// Path is where the TPM is.
func (t *TPM) Path() string { return t.path }

// Probe tells why the TPM can't be used, without changing anything.
func (t *TPM) Probe() error {
	return t.use("probing", func(c transport.TPM) error {
		banks, err := banks(c)
		if err == nil && !banks[tpm2.TPMAlgSHA256] {
			err = errors.New("its registers have no bank for SHA-256")
		}
		return err
	})
}

// use opens the TPM for f. what is for the error.
func (t *TPM) use(what string, f func(transport.TPM) error) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	c, err := t.open()
	if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	err = f(c)
	if e := c.Close(); err == nil {
		err = e
	}
	if err != nil {
		return fmt.Errorf("%s (TPM at %s): %w", what, t.path, err)
	}
	return nil
}

func (t *TPM) open() (transport.TPMCloser, error) {
	info, err := os.Stat(t.path)
	if err != nil {
		return nil, err
	}
	switch info.Mode() & os.ModeType {
	case os.ModeSocket:
		return socket(t.path), nil
	case os.ModeDevice | os.ModeCharDevice:
		f, err := os.OpenFile(t.path, os.O_RDWR, 0)
		return device{f}, err
	}
	return nil, fmt.Errorf("%s is neither a device nor a socket", t.path)
}

// device is an open TPM.
type device struct{ io.ReadWriteCloser }

// A message is at most maxMessage bytes, of which the header says how many:
//
//	tag (2), size (4), code (4), …
const (
	maxMessage = 4096
	header     = 10
)

// Send implements [transport.TPM].
func (d device) Send(command []byte) ([]byte, error) {
	if _, err := d.Write(command); err != nil {
		return nil, err
	}
	// At once, as far as it is there: a device has it all, or nothing more.
	answer := make([]byte, maxMessage)
	n, err := io.ReadAtLeast(d, answer, header)
	if err != nil {
		return nil, err
	}
	size := binary.BigEndian.Uint32(answer[2:])
	if size > maxMessage || uint32(n) > size {
		return nil, fmt.Errorf("the TPM sends %d bytes and says %d", n, size)
	}
	if uint32(n) < size {
		_, err = io.ReadFull(d, answer[n:size])
	}
	return answer[:size], err
}

// socket is a TPM at a Unix socket. The emulator takes one connection at a time,
// so each command has its own.
type socket string

// rcRetry is the answer of a TPM that is busy with itself and did nothing
// (TPM_RC_RETRY). The kernel hides it.
const rcRetry = 0x922

// retries is how often a command is sent at most; between two there are that many
// milliseconds more each time.
const retries = 30

// Send implements [transport.TPM].
func (s socket) Send(command []byte) (answer []byte, err error) {
	for i := range retries {
		time.Sleep(time.Duration(i) * time.Millisecond)
		answer, err = s.send(command)
		if err != nil || binary.BigEndian.Uint32(answer[6:]) != rcRetry {
			break
		}
	}
	return answer, err
}

func (s socket) send(command []byte) ([]byte, error) {
	c, err := net.Dial("unix", string(s))
	if err != nil {
		return nil, err
	}
	defer c.Close() // only what was answered counts
	return device{c}.Send(command)
}

func (socket) Close() error { return nil }

// flush forgets an object that a command made.
func flush(c transport.TPM, h tpm2.TPMHandle) error {
	_, err := tpm2.FlushContext{FlushHandle: h}.Execute(c)
	return err
}

// primary makes a primary key, calls f with it, and forgets it.
func primary(c transport.TPM, hierarchy tpm2.TPMHandle, template tpm2.TPMTPublic, f func(key) error) error {
	made, err := tpm2.CreatePrimary{PrimaryHandle: hierarchy, InPublic: tpm2.New2B(template)}.Execute(c)
	if err != nil {
		return fmt.Errorf("making a primary key: %w", err)
	}
	k, err := newKey(made.ObjectHandle, made.OutPublic, made.Name)
	if err == nil {
		err = k.isOf(template)
	}
	if err == nil {
		err = f(k)
	}
	return errors.Join(err, flush(c, made.ObjectHandle))
}

// key is a loaded key. The TPM's half of a session computes with the key's true
// name, so that nobody between can make another key of it.
type key struct {
	handle tpm2.TPMHandle
	name   tpm2.TPM2BName
	public tpm2.TPMTPublic
}

// errAltered: what the TPM seems to say contradicts itself.
var errAltered = errors.New("the TPM's answer is not about what it was asked for: is there something between?")

func newKey(handle tpm2.TPMHandle, public tpm2.TPM2BPublic, name tpm2.TPM2BName) (key, error) {
	p, err := public.Contents()
	if err != nil {
		return key{}, err
	}
	own, err := tpm2.ObjectName(p)
	if err != nil {
		return key{}, err
	}
	if !bytes.Equal(own.Buffer, name.Buffer) {
		return key{}, errAltered
	}
	return key{handle, name, *p}, nil
}

// isOf refuses a key that was made by another template.
func (k key) isOf(template tpm2.TPMTPublic) error {
	template.Unique = k.public.Unique
	if !bytes.Equal(tpm2.Marshal(template), tpm2.Marshal(k.public)) {
		return errAltered
	}
	return nil
}

// with is the key with an authorization.
func (k key) with(auth tpm2.Session) tpm2.AuthHandle {
	return tpm2.AuthHandle{Handle: k.handle, Name: k.name, Auth: auth}
}

// storage calls f with the storage root key, by which sessions are salted.
func storage(c transport.TPM, f func(srk key) error) error {
	return primary(c, tpm2.TPMRHOwner, tpm2.ECCSRKTemplate, f)
}

// Name is the name of the TPM's storage root key: that of no other TPM, and
// another one after the TPM was cleared.
func (t *TPM) Name() (name []byte, err error) {
	err = t.use("asking for the TPM's identity", func(c transport.TPM) error {
		return storage(c, func(srk key) error {
			name = srk.name.Buffer
			return nil
		})
	})
	return name, err
}

// secret are the options of a session whose parameters are encrypted in the
// direction, under a salt that only the TPM with srk can read.
func secret(srk key, direction interface{ option() tpm2.AuthOption }) []tpm2.AuthOption {
	return []tpm2.AuthOption{tpm2.Salted(srk.handle, srk.public), direction.option()}
}

// nonceSize is that of sessions' nonces, in bytes.
const nonceSize = 16

// Which parameters of a command are encrypted.
type (
	in  struct{}
	out struct{}
)

func (in) option() tpm2.AuthOption  { return tpm2.AESEncryption(128, tpm2.EncryptIn) }
func (out) option() tpm2.AuthOption { return tpm2.AESEncryption(128, tpm2.EncryptOut) }
