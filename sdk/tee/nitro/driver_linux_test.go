package nitro

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/secgear/secgear/sdk/internal/initramfs"
	"github.com/secgear/secgear/sdk/internal/ioctl"
	"github.com/secgear/secgear/sdk/tee"
	"github.com/secgear/secgear/sdk/tee/nitro/internal/wire"
)

// fakeDriver is a double of the kernel's driver and of the enclave behind it. It
// holds requests against the kernel's rules.
type fakeDriver struct {
	fail   map[uintptr]error // by request
	cid    uint64
	offset uint64 // where the image belongs
	noMem  bool

	mu      sync.Mutex
	said    []string // requests, in words
	mem     []byte
	enclave int // the enclave's end of the descriptor; its end ends the enclave
	freed   int
	console string // what an enclave for debugging prints
}

func newFake() *fakeDriver { return &fakeDriver{cid: 16, offset: 8 << 20, enclave: -1} }

func (d *fakeDriver) present() bool { return true }

func (d *fakeDriver) open() (*os.File, error) { return os.Open(os.DevNull) }

func (d *fakeDriver) ioctl(f *os.File, request uintptr, arg []byte) (int, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.fail[request]; err != nil {
		return 0, err
	}
	switch {
	case request == 0x8008ae20 && len(arg) == 8:
		d.said = append(d.said, "create")
		binary.NativeEndian.PutUint64(arg, 77)
		pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM, 0)
		if err != nil {
			return 0, err
		}
		d.enclave = pair[1]
		return pair[0], nil
	case request == 0xc010ae22 && len(arg) == 16:
		d.said = append(d.said, fmt.Sprint("image ", word(arg, 0)))
		binary.NativeEndian.PutUint64(arg[8:], d.offset)
	case request == 0x4018ae23 && len(arg) == 24:
		same := word(arg, 1) == uint64(len(d.mem)) && word(arg, 2) == ioctl.Address(d.mem)
		d.said = append(d.said, fmt.Sprint("memory ", word(arg, 0), " ", same))
	case request == 0xc004ae21 && len(arg) == 4:
		d.said = append(d.said, fmt.Sprint("processor ", binary.NativeEndian.Uint32(arg)))
	case request == 0xc010ae24 && len(arg) == 16:
		d.said = append(d.said, fmt.Sprint("start ", word(arg, 0), " ", word(arg, 1)))
		binary.NativeEndian.PutUint64(arg[8:], d.cid)
	default:
		return 0, syscall.ENOTTY
	}
	return 0, nil
}

func (d *fakeDriver) memory(size uint64) ([]byte, func() error, error) {
	if d.noMem {
		return nil, nil, syscall.ENOMEM
	}
	mem, err := unix.Mmap(-1, 0, int(size), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS)
	d.mem = mem
	return mem, func() error { d.freed++; return unix.Munmap(mem) }, err
}

// dial is answered by an enclave that takes every stream and mirrors it.
func (d *fakeDriver) dial(_ context.Context, cid, port uint32) (net.Conn, error) {
	a, b := net.Pipe()
	switch {
	case cid == 0 && port == 10_000+uint32(d.cid):
		go func() {
			io.WriteString(b, d.console)
			b.Close()
		}()
		return a, nil
	case uint64(cid) != d.cid || port != wire.Port:
		return nil, fmt.Errorf("nobody is at %d:%d", cid, port)
	}
	go func() {
		defer b.Close()
		preface := make([]byte, wire.PrefaceSize)
		if _, err := io.ReadFull(b, preface); err != nil {
			return
		}
		if _, _, err := wire.ParsePreface(preface); err != nil {
			return
		}
		b.Write(wire.Answer(nil))
		io.Copy(b, b)
	}()
	return a, nil
}

// die ends the enclave from its side.
func (d *fakeDriver) die() {
	d.mu.Lock()
	defer d.mu.Unlock()
	unix.Close(d.enclave)
}

func testSpec() spec {
	return spec{file: []byte("an enclave image file"), memory: 64 << 20, log: slog.New(slog.DiscardHandler)}
}

// TestDriver: an enclave is made by the requests that the kernel wants, in that
// order, with the image where the hypervisor wants it, and ends with its
// descriptor.
func TestDriver(t *testing.T) {
	for name, tt := range map[string]struct {
		change func(*spec)
		want   []string
	}{
		"any processors": {
			func(*spec) {},
			[]string{"create", "image 1", "memory 0 true", "processor 0", "processor 0", "start 0 0"},
		},
		"these, debugging": {
			func(s *spec) { s.cores = []int{2, 3, 6, 7}; s.debug = true },
			[]string{"create", "image 1", "memory 0 true", "processor 2", "processor 3", "processor 6", "processor 7", "start 1 0"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			d, s := newFake(), testSpec()
			tt.change(&s)
			m, err := allocate(d, s)
			if err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(d.said, tt.want) {
				t.Errorf("requests %q, want %q", d.said, tt.want)
			}
			if !bytes.Equal(d.mem[d.offset:][:len(s.file)], s.file) {
				t.Error("the image is not where it belongs")
			}
			i, err := newInstance(t.Context(), m, 1<<20)
			if err != nil {
				t.Fatal(err)
			}
			l, err := i.OpenLane(t.Context(), 1<<20)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := l.Bell.Write([]byte("ring")); err != nil {
				t.Error(err)
			}
			if got := make([]byte, 4); l.Mem != nil || func() bool { _, err := io.ReadFull(l.Bell, got); return err != nil }() || string(got) != "ring" {
				t.Errorf("a lane of %d bytes, mirrored %q", len(l.Mem), got)
			}
			for range 2 {
				if err := i.Close(); err != nil {
					t.Error(err)
				}
			}
			if err := i.Err(); err != nil || d.freed != 1 {
				t.Errorf("after Close: %v, memory freed %d times", err, d.freed)
			}
			// The kernel's end is closed: that is what ends an enclave.
			if _, err := unix.Read(d.enclave, make([]byte, 1)); err != nil {
				t.Error(err)
			}
			unix.Close(d.enclave)
		})
	}
}

// TestDriverEnd: an enclave that ends by itself is done, with what is known of
// why.
func TestDriverEnd(t *testing.T) {
	for name, tt := range map[string]struct {
		debug   bool
		console string
		want    string
	}{
		"nothing is known": {false, "", "debug images only"},
		"exit status":      {true, "hello\r\n" + initramfs.ExitLine + "7\r\n", "exit status 7"},
		"in order":         {true, initramfs.ExitLine + "0\n", ""},
	} {
		t.Run(name, func(t *testing.T) {
			d, s := newFake(), testSpec()
			s.debug, d.console = tt.debug, tt.console
			m, err := allocate(d, s)
			if err != nil {
				t.Fatal(err)
			}
			i, err := newInstance(t.Context(), m, 1<<20)
			if err != nil {
				t.Fatal(err)
			}
			d.die()
			<-i.Done()
			err = i.Err()
			if tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
				t.Errorf("Err: %v, want %q", err, tt.want)
			}
			if err := i.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestDriverRefuses: whatever fails, nothing is left, and the driver's own errors
// are put into words.
func TestDriverRefuses(t *testing.T) {
	with := func(request uintptr, errno syscall.Errno) func(*fakeDriver, *spec) {
		return func(d *fakeDriver, _ *spec) { d.fail = map[uintptr]error{request: errno} }
	}
	for name, tt := range map[string]struct {
		change func(*fakeDriver, *spec)
		want   string
	}{
		"create":          {with(neCreateVM, syscall.EPERM), "operation not permitted"},
		"image":           {with(neImageLoadInfo, 274), "a flag is unknown"},
		"memory":          {with(neSetMemory, 264), "another NUMA node"},
		"processors":      {with(neAddVCPU, 272), "raise cpu_count"},
		"start":           {with(neStart, 269), "whole cores"},
		"huge pages":      {func(d *fakeDriver, _ *spec) { d.noMem = true }, "cannot allocate memory"},
		"large image":     {func(d *fakeDriver, s *spec) { s.file = make([]byte, s.memory-d.offset+1) }, "don't fit"},
		"far away":        {func(d *fakeDriver, _ *spec) { d.offset = 1 << 63 }, "don't fit"},
		"the host's CID":  {func(d *fakeDriver, _ *spec) { d.cid = 3 }, "CID 3"},
		"a CID of no use": {func(d *fakeDriver, _ *spec) { d.cid = 1 << 32 }, "CID 4294967296"},
		"processor -1":    {func(_ *fakeDriver, s *spec) { s.cores = []int{-1} }, "processor -1"},
	} {
		t.Run(name, func(t *testing.T) {
			d, s := newFake(), testSpec()
			tt.change(d, &s)
			_, err := allocate(d, s)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v, want %q", err, tt.want)
			}
			if d.mem != nil && d.freed != 1 {
				t.Errorf("memory freed %d times", d.freed)
			}
			if d.enclave >= 0 {
				if n, err := unix.Read(d.enclave, make([]byte, 1)); n != 0 || err != nil {
					t.Errorf("the enclave is left: %v", err)
				}
				unix.Close(d.enclave)
			}
		})
	}
}

// TestNoSilentEmulation: where the driver is, but can't be used, nothing is
// emulated instead.
func TestNoSilentEmulation(t *testing.T) {
	b := Backend{driver: denied{newFake()}}
	if s := b.Probe(); s.Available || len(s.Missing) == 0 || s.Missing[0].What != device || s.Missing[0].Fix == "" {
		t.Errorf("status %+v", s)
	}
	for _, p := range (&instance{machine: &hypervisor{}}).Protections() {
		if p.Name == "Nitro hypervisor" && !p.Active {
			t.Errorf("%+v", p)
		}
	}
	if s := (Backend{driver: newFake()}).ProbeArch("s390x"); s.Available {
		t.Error("s390x is available")
	}
	if err := checkArch("arm64", true); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("arm64, emulated: %v", err)
	}
}

// denied is a driver that this user may not open.
type denied struct{ *fakeDriver }

func (denied) open() (*os.File, error) { return nil, os.ErrPermission }

var _ tee.Instance = (*instance)(nil)
