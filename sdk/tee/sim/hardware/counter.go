package hardware

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"

	"github.com/secgear/secgear/sdk/internal/entitlement"
)

// MaxCounterID is the length of a counter's id in bytes at most.
const MaxCounterID = entitlement.MaxCounterID

// maxCounters is how many counters the images of one signer and name can have
// on a machine.
const maxCounters = 1024

// A counter is a file counters/<owner>/<id>, both hashed:
//
//	counterMagic, value (8 bytes, big-endian),
//	HMAC-SHA256 over owner hash, id hash, and all before
const (
	countersDir  = "counters"
	counterMagic = "secgear counter v1\n"
	atValue      = len(counterMagic)
	counterSize  = atValue + 8 + sha256.Size
)

// counter is the place of one counter.
type counter struct {
	machine   *Machine
	dir, file string
	owner, id [32]byte
}

// Counter implements [tee.Counters]. Ids are 1 to [MaxCounterID] printable ASCII
// characters.
func (e *Enclave) Counter(id string) (uint64, error) {
	var value uint64
	err := e.withCounter(id, func(c *counter) (err error) {
		value, err = c.read()
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("reading counter %.*q: %w", MaxCounterID, id, err)
	}
	return value, nil
}

// Increment implements [tee.Counters]. If it fails, the counter may or may not
// have been incremented.
func (e *Enclave) Increment(id string) (uint64, error) {
	var value uint64
	err := e.withCounter(id, func(c *counter) (err error) {
		value, err = c.increment()
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("incrementing counter %.*q: %w", MaxCounterID, id, err)
	}
	return value, nil
}

// withCounter calls f while nobody else uses the owner's counters.
func (e *Enclave) withCounter(id string, f func(*counter) error) (err error) {
	if err := entitlement.CheckCounterID(id); err != nil {
		return err
	}
	c := &counter{machine: e.machine, owner: entitlement.Owner(e.id), id: sha256.Sum256([]byte(id))}
	c.dir = filepath.Join(e.machine.dir, countersDir, hex.EncodeToString(c.owner[:]))
	c.file = filepath.Join(c.dir, hex.EncodeToString(c.id[:]))
	if err := os.MkdirAll(c.dir, 0o700); err != nil {
		return err
	}
	unlock, err := lockDir(c.dir)
	if err != nil {
		return err
	}
	return errors.Join(f(c), unlock())
}

// read returns the value on disk. What is no counter's content is an error,
// never zero; so is less than what was seen before.
func (c *counter) read() (uint64, error) {
	var value uint64
	b, err := readSmall(c.file, counterSize)
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return 0, err
	case len(b) != counterSize || !hmac.Equal(b[atValue+8:], c.mac(b[:atValue+8])):
		return 0, fmt.Errorf("%s is damaged", c.file)
	default:
		value = binary.BigEndian.Uint64(b[atValue:])
	}
	return value, c.see(value)
}

// see remembers the highest value, and refuses a lower one.
func (c *counter) see(value uint64) error {
	c.machine.mu.Lock()
	defer c.machine.mu.Unlock()
	if highest := c.machine.seen[c.file]; value < highest {
		return fmt.Errorf("%s was turned back: it reads %d and was %d", c.file, value, highest)
	}
	c.machine.seen[c.file] = value
	return nil
}

// increment adds one on disk and returns the new value.
func (c *counter) increment() (uint64, error) {
	value, err := c.read()
	if err != nil {
		return 0, err
	}
	if value == math.MaxUint64 {
		return 0, fmt.Errorf("%w: it is at its end", ErrRefused)
	}
	if value == 0 {
		if err := c.checkRoom(); err != nil {
			return 0, err
		}
	}
	value++
	b := binary.BigEndian.AppendUint64([]byte(counterMagic), value)
	if err := replaceFile(c.file, append(b, c.mac(b)...)); err != nil {
		return 0, err
	}
	return value, c.see(value)
}

// checkRoom refuses another counter to an owner who has maxCounters.
func (c *counter) checkRoom() error {
	d, err := os.Open(c.dir)
	if err != nil {
		return err
	}
	defer d.Close()
	// The lock file is among them; a leftover of a crash costs a place.
	names, err := d.Readdirnames(maxCounters + 1)
	if len(names) == maxCounters+1 {
		return fmt.Errorf("%w: there are %d counters already", ErrRefused, maxCounters)
	}
	return err
}

// mac authenticates content as this counter's.
func (c *counter) mac(content []byte) []byte {
	h := hmac.New(sha256.New, c.machine.filing)
	h.Write(c.owner[:])
	h.Write(c.id[:])
	h.Write(content)
	return h.Sum(nil)
}
