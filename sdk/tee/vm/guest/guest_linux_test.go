package guest

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/secgear/secgear/sdk/image"
	"github.com/secgear/secgear/sdk/internal/mux"
	"github.com/secgear/secgear/sdk/tee"
	"github.com/secgear/secgear/sdk/tee/vm/internal/wire"
)

// patience is how long anything may take.
const patience = 30 * time.Second

const window = 1 << 20

// bus returns a folder that shows PCI devices: n of them are shared memories.
func bus(t testing.TB, n int) string {
	t.Helper()
	dir := t.TempDir()
	device := func(address, vendor, id string) {
		d := filepath.Join(dir, address)
		if err := os.Mkdir(d, 0o700); err != nil {
			t.Fatal(err)
		}
		for name, content := range map[string]string{
			"vendor": vendor + "\n", "device": id + "\n", "enable": "0", "resource2": "", "resource2_wc": "",
		} {
			if err := os.WriteFile(filepath.Join(d, name), []byte(content), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		for _, name := range []string{"resource2", "resource2_wc"} {
			if err := os.Truncate(filepath.Join(d, name), window); err != nil {
				t.Fatal(err)
			}
		}
	}
	device("0000:00:01.0", "0x1af4", "0x1003")
	device("0000:00:02.0", "0x8086", "0x1110")
	for i := range n {
		device("0000:00:04."+string(rune('0'+i)), ivshmemVendor, ivshmemDevice)
	}
	return dir
}

// host is the other end of a platform under test.
type host struct {
	t        testing.TB
	mux      *mux.Mux
	platform *mux.Stream
	control  *mux.Stream
	buf      []byte
}

var testID = tee.Identity{Digest: image.Digest{1}, Manifest: image.Manifest{Name: "test", Lanes: 2, LaneMemory: window / 2, Memory: 1 << 20}}

// newPair starts a platform, and has it greet.
func newPair(t testing.TB, memories int) (*platform, *host) {
	t.Helper()
	found, err := findMemories(bus(t, memories))
	if err != nil || len(found) != memories {
		t.Fatalf("found %d memories of %d: %v", len(found), memories, err)
	}
	a, b := net.Pipe()
	h := &host{t: t, mux: mux.New(a, 100, nil), buf: make([]byte, wire.MaxMessage)}
	if h.platform, err = h.mux.Open(wire.Platform); err != nil {
		t.Fatal(err)
	}
	if h.control, err = h.mux.Open(wire.Control); err != nil {
		t.Fatal(err)
	}
	p, err := start("vm", testID, b, found)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		h.mux.Close()
		<-p.gone
	})
	h.platform.SetReadDeadline(time.Now().Add(patience))
	if kind, _ := h.receive(); kind != wire.KindReady {
		t.Fatalf("greeted by message %d", kind)
	}
	return p, h
}

func (h *host) send(kind wire.Kind, body ...byte) {
	h.t.Helper()
	if _, err := h.platform.Write(wire.Append(nil, kind, body...)); err != nil {
		h.t.Fatal(err)
	}
}

func (h *host) receive() (wire.Kind, []byte) {
	h.t.Helper()
	kind, body, err := wire.Read(h.platform, h.buf)
	if err != nil {
		h.t.Fatal(err)
	}
	return kind, body
}

// offer offers a lane, after opening its stream, and returns the answer.
func (h *host) offer(l wire.Lane, open bool) error {
	h.t.Helper()
	if open {
		if _, err := h.mux.Open(l.Stream); err != nil {
			h.t.Fatal(err)
		}
	}
	h.send(wire.KindLane, l.Encode()...)
	kind, body := h.receive()
	if kind != wire.KindLaneReply {
		h.t.Fatalf("message %d", kind)
	}
	stream, result, err := wire.ParseLaneReply(body)
	if err != nil || stream != l.Stream {
		h.t.Fatalf("stream %d, %v", stream, err)
	}
	return result
}

// TestLane: a lane is taken, works, and its memory can be used again.
func TestLane(t *testing.T) {
	p, h := newPair(t, 1)
	for i := range uint32(3) {
		if err := h.offer(wire.Lane{Stream: 2 + i, Size: 8192}, true); err != nil {
			t.Fatal(err)
		}
		l, err := p.AcceptLane()
		if err != nil {
			t.Fatal(err)
		}
		if len(l.Mem) != 8192 || l.Futex || l.Mem[0] != byte(i) {
			t.Errorf("%d bytes, the first is %d", len(l.Mem), l.Mem[0])
		}
		l.Mem[0]++
		l.Bell.Close()
		l.Release()
		l.Release()
		kind, body := h.receive()
		if n, err := wire.ParseFreed(body); kind != wire.KindFreed || err != nil || n != 0 {
			t.Errorf("message %d: %d, %v", kind, n, err)
		}
	}
}

// TestLanesRefused: a lane that can't be is refused, and harms nothing.
func TestLanesRefused(t *testing.T) {
	p, h := newPair(t, 2)
	if err := h.offer(wire.Lane{Stream: 2, Memory: 1, Size: 4096}, true); err != nil {
		t.Fatal(err)
	}
	stream := uint32(10)
	for name, tt := range map[string]struct {
		memory uint32
		size   uint64
		open   bool
	}{
		"no stream":              {0, 4096, false},
		"no such memory":         {2, 4096, true},
		"any memory":             {1<<32 - 1, 4096, true},
		"no size":                {0, 0, true},
		"no page":                {0, 100, true},
		"more than the manifest": {0, window, true},
		"endless":                {0, 1<<64 - 4096, true},
		"in use":                 {1, 4096, true},
	} {
		stream++
		if err := h.offer(wire.Lane{Stream: stream, Memory: tt.memory, Size: tt.size}, tt.open); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
	if err := h.offer(wire.Lane{Stream: 3, Size: window / 2}, true); err != nil {
		t.Error(err)
	}
	for range 2 {
		l, err := p.AcceptLane()
		if err != nil {
			t.Fatal(err)
		}
		l.Release()
	}
}

// TestWindow: a window that is smaller than the manifest allows bounds a lane.
func TestWindow(t *testing.T) {
	m := &memory{file: filepath.Join(t.TempDir(), "none"), size: 4096}
	if _, err := m.open(8192); err == nil || !strings.Contains(err.Error(), "4096") {
		t.Errorf("error: %v", err)
	}
	if _, err := m.open(4096); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("error: %v", err)
	}
}

// TestBrokenRules: a host that does not keep to the rules is as one that is gone;
// whoever waits is told.
func TestBrokenRules(t *testing.T) {
	for name, b := range map[string][]byte{
		"unknown message":  wire.Append(nil, 99),
		"guest's message":  wire.Append(nil, wire.KindReady, '[', ']'),
		"cut lane":         wire.Append(nil, wire.KindLane, 1),
		"collect and more": wire.Append(nil, wire.KindCollect, 1),
		"too long":         {0xff, 0xff, 0, 0},
		"empty":            {0, 0, 0, 0},
	} {
		t.Run(name, func(t *testing.T) {
			p, h := newPair(t, 1)
			if _, err := h.platform.Write(b); err != nil {
				t.Fatal(err)
			}
			if _, err := p.AcceptLane(); !errors.Is(err, tee.ErrLost) {
				t.Errorf("AcceptLane: %v", err)
			}
			if _, err := p.Control().Read(make([]byte, 1)); err != io.EOF {
				t.Errorf("control: %v", err)
			}
		})
	}
}

// TestHostGone: the end of the port is the end of everything.
func TestHostGone(t *testing.T) {
	p, h := newPair(t, 1)
	h.mux.Close()
	if _, err := p.AcceptLane(); !errors.Is(err, tee.ErrLost) {
		t.Errorf("AcceptLane: %v", err)
	}
}

// TestPort: the port of the right name is found, and its end before the host has
// come is none.
func TestPort(t *testing.T) {
	ports, devices := t.TempDir(), t.TempDir()
	for device, name := range map[string]string{"vport0p1": "other", "vport0p2": "secgear"} {
		if err := os.Mkdir(filepath.Join(ports, device), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(ports, device, "name"), []byte(name+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	file := filepath.Join(devices, "vport0p2")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	port, err := openPort(ports, devices, "secgear")
	if err != nil {
		t.Fatal(err)
	}
	defer port.Close()
	arrives := time.AfterFunc(20*time.Millisecond, func() { os.WriteFile(file, []byte("hello"), 0o600) })
	defer arrives.Stop()
	if got, err := io.ReadAll(port); err != nil || string(got) != "hello" {
		t.Errorf("%q, %v", got, err)
	}
}

// FuzzHostile: whatever the host says on the platform stream, the guest does not
// panic, and ends in order.
func FuzzHostile(f *testing.F) {
	f.Add(wire.Append(nil, wire.KindLane, wire.Lane{Stream: 2, Size: 4096}.Encode()...))
	f.Add(wire.Append(wire.Append(nil, wire.KindCollect), wire.KindLane, wire.Lane{Stream: 1, Memory: 7}.Encode()...))
	f.Add([]byte{1, 0, 0, 0, 99})
	dir := bus(f, 1)
	f.Fuzz(func(t *testing.T, b []byte) {
		memories, err := findMemories(dir)
		if err != nil {
			t.Fatal(err)
		}
		here, there := net.Pipe()
		m := mux.New(here, 100, nil)
		var streams []*mux.Stream
		for n := range uint32(3) {
			s, err := m.Open(n)
			if err != nil {
				t.Fatal(err)
			}
			streams = append(streams, s)
		}
		go io.Copy(io.Discard, streams[0])
		p, err := start("vm", testID, there, memories)
		if err != nil {
			t.Fatal(err)
		}
		io.Copy(streams[0], bytes.NewReader(b))
		streams[0].Close()
		for {
			l, err := p.AcceptLane()
			if err != nil {
				break
			}
			l.Release()
		}
		m.Close()
		<-p.gone
	})
}
