package machine

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/secgear/secgear/internal/atomicfile"
	"github.com/secgear/secgear/sdk/measured"
)

// logFile is the log's name in its folder, which all who launch on this machine
// share.
const logFile = "images.log"

// register is one that images are measured into.
type register struct {
	kind   measured.Register
	alg    measured.Alg
	read   func() ([]byte, error)
	extend func(event []byte) error
}

func (m *Machine) registers() (list []register) {
	if m.TPM != nil {
		list = append(list, register{measured.RegisterTPM, measured.SHA256, m.readPCR, func(event []byte) error {
			return m.TPM.Extend(measured.PCR, event)
		}})
	}
	if m.RTMR != nil {
		list = append(list, register{measured.RegisterTDX, measured.SHA384, m.RTMR.Read, func(event []byte) error {
			return m.RTMR.Extend(measured.SHA384.Sum(event))
		}})
	}
	return list
}

func (m *Machine) readPCR() ([]byte, error) {
	values, err := m.TPM.ReadPCRs([]int{measured.PCR})
	if err != nil {
		return nil, err
	}
	return values[0].Value[:], nil
}

// RegisterFile is a [Register] as Linux has it (ABI/testing/sysfs-devices-
// virtual-misc-tdx_guest): what is read of the file is its value, and what is
// written extends it.
type RegisterFile string

// Read implements [Register].
func (r RegisterFile) Read() ([]byte, error) {
	b, err := readSmall(string(r), measured.SHA384.Size())
	if err == nil && len(b) != measured.SHA384.Size() {
		err = fmt.Errorf("%s: %d bytes", string(r), len(b))
	}
	return b, err
}

// Extend implements [Register].
func (r RegisterFile) Extend(digest []byte) error {
	f, err := os.OpenFile(string(r), os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.Write(digest)
	return errors.Join(err, f.Close())
}

// log is the machine's log while nobody else uses it.
type log struct {
	*measured.Log
	registers []register
	file      string
}

// withLog calls f with the log, which it begins if there is none.
func (m *Machine) withLog(f func(*log) error) error {
	unlock, err := lock(m.LogDir)
	if err != nil {
		return err
	}
	l := &log{registers: m.registers(), file: filepath.Join(m.LogDir, logFile)}
	if err = l.open(); err == nil {
		err = f(l)
	}
	return errors.Join(err, unlock())
}

func (l *log) open() error {
	b, err := readSmall(l.file, measured.MaxLog)
	if errors.Is(err, os.ErrNotExist) {
		return l.begin()
	}
	if err != nil {
		return err
	}
	if l.Log, err = measured.ParseLog(b); err != nil {
		return fmt.Errorf("%s: %w", l.file, err)
	}
	return nil
}

// begin begins a log at the registers' present values.
func (l *log) begin() error {
	l.Log = &measured.Log{}
	for _, r := range l.registers {
		value, err := r.read()
		if err != nil {
			return fmt.Errorf("reading %v: %w", r.kind, err)
		}
		l.Bases = append(l.Bases, measured.Base{Register: r.kind, Alg: r.alg, Value: value})
	}
	return l.write()
}

func (l *log) write() error {
	if err := atomicfile.Write(l.file, l.Encode(), 0o600); err != nil {
		return err
	}
	return os.Chmod(l.file, 0o660) // whatever the umask: others launch here, too
}

// measure measures event into every register, unless it is there already.
func (l *log) measure(event []byte) error {
	if err := l.reconcile(); err != nil {
		return err
	}
	if l.Has(event) {
		return nil
	}
	if len(l.Events) == measured.MaxEvents || len(l.Encode())+2*len(event)+200 > measured.MaxLog {
		return fmt.Errorf("%d images were measured since the machine started, and there is no room for more", len(l.Events))
	}
	// The log first: what is in it and not yet in a register is made up for, and
	// what is in a register and not in the log is not.
	l.Events = append(l.Events, event)
	if err := l.write(); err != nil {
		return err
	}
	return l.reconcile()
}

// reconcile sees to it that the log leads to each register's value. If a launch
// was interrupted, the log's last event may be missing in a register.
func (l *log) reconcile() error {
	for _, r := range l.registers {
		err := l.settle(r)
		if err != nil {
			return fmt.Errorf("%v: %w", r.kind, err)
		}
	}
	return nil
}

func (l *log) settle(r register) error {
	want, err := l.Replay(r.kind, r.alg)
	if err != nil {
		return err
	}
	value, err := r.read()
	if err != nil || bytes.Equal(value, want) {
		return err
	}
	before, err := l.ReplayBut(1, r.kind, r.alg)
	if err != nil {
		return err
	}
	if !bytes.Equal(value, before) {
		return fmt.Errorf("its value is %x, and the log %s leads to %x: somebody else measured into it, or the log is of another start of this machine", value, l.file, want)
	}
	if err := r.extend(l.Events[len(l.Events)-1]); err != nil {
		return err
	}
	if value, err = r.read(); err == nil && !bytes.Equal(value, want) {
		err = fmt.Errorf("after it was extended its value is %x instead of %x", value, want)
	}
	return err
}

// readSmall reads a file that should have at most size bytes.
func readSmall(name string, size int) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, int64(size)+1))
	if err == nil && len(b) > size {
		err = fmt.Errorf("%s: more than %d bytes", name, size)
	}
	return b, err
}
