package peer

import (
	"context"
	"errors"
	"net"
	"os"
	"testing"
	"time"

	"github.com/secgear/secgear/bench/internal/cpu"
	"github.com/secgear/secgear/bench/internal/drive"
)

func TestMain(m *testing.M) {
	Main(nil)
	os.Exit(m.Run())
}

// TestPeers runs every work of every peer in every placement: the peers
// compare what comes back themselves and fail the work if it differs.
func TestPeers(t *testing.T) {
	cpus, err := cpu.Allowed()
	if err != nil {
		t.Fatal(err)
	}
	for kind, start := range map[string]func(Placement) (*Peer, error){"socket": Socket, "grpc": GRPC} {
		for _, at := range Placements(cpus[0], cpus[len(cpus)-1]) {
			t.Run(kind+"/"+at.Name, func(t *testing.T) {
				p, err := start(at)
				if err != nil {
					t.Fatal(err)
				}
				defer func() {
					if err := p.Close(); err != nil {
						t.Error(err)
					}
				}()
				for _, work := range []string{"rtt64", "rtt4k", "rtt1m", "throughput16"} {
					numbers, err := p.Run(t.Context(), work, 5*time.Millisecond)
					if err != nil {
						t.Fatal(err)
					}
					s, err := drive.AsSlice(numbers)
					if err != nil {
						t.Fatalf("%s: %v: %v", work, numbers, err)
					}
					if s.Mean() < 1000 || s.Median < 1000 {
						t.Errorf("%s: %+v is faster than a system call", work, s)
					}
				}
			})
		}
	}
}

func TestServerGone(t *testing.T) {
	p, err := Socket(Placement{Name: "anywhere"})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	}()
	if err := p.server.Close(); err != nil {
		t.Fatal(err)
	}
	if numbers, err := p.Run(context.Background(), "rtt64", time.Millisecond); err == nil {
		t.Errorf("calls to a server that is gone took %v", numbers)
	}
}

func TestBurner(t *testing.T) {
	cpus, err := cpu.Allowed()
	if err != nil {
		t.Fatal(err)
	}
	b, err := Burner(cpus[0])
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	}()
	used := func() time.Duration {
		d, _, err := cpu.TreeTime(b.Pid())
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	if _, err := b.Run(t.Context(), "burn", 0); err != nil {
		t.Fatal(err)
	}
	for begin := time.Now(); used() < 50*time.Millisecond; {
		if time.Since(begin) > 20*time.Second {
			t.Fatalf("burned %v in 20 s", used())
		}
	}
	if _, err := b.Run(t.Context(), "rest", 0); err != nil {
		t.Fatal(err)
	}
}

// TestForged: the client's side of the protocol, with a server that lies.
func TestForged(t *testing.T) {
	for name, answer := range map[string][]byte{
		"other bytes":   append([]byte{Small, 0, 0, 0}, make([]byte, Small)...),
		"too long":      {0xff, 0xff, 0xff, 0x7f},
		"other message": {1, 0, 0, 0, 1, 9, 9, 9, 9},
	} {
		t.Run(name, func(t *testing.T) {
			ours, theirs := net.Pipe()
			defer ours.Close()
			defer theirs.Close()
			served := make(chan error, 1)
			go func() {
				_, err := receive(theirs, make([]byte, header+Small))
				if err == nil {
					_, err = theirs.Write(answer)
				}
				served <- err
			}()
			if err := newSocketCaller(ours, Small).call(1); err == nil {
				t.Error("taken for an echo")
			}
			if err := <-served; err != nil {
				t.Error(err)
			}
		})
	}
}

func TestCalibrate(t *testing.T) {
	calls := 0
	best, d, err := Calibrate(3, 2, func(i int) (time.Duration, error) {
		calls++
		if i == 0 && calls == 1 {
			return time.Nanosecond, nil // a lucky slice does not count
		}
		return time.Duration(20 - 10*i), nil
	})
	if best != 1 || d != 10 || err != nil || calls != 6 {
		t.Errorf("chose %d with %v after %d slices, %v; want 1 with 10ns after 6", best, d, calls, err)
	}
	broken := errors.New("broken")
	if _, _, err := Calibrate(1, 1, func(int) (time.Duration, error) { return 0, broken }); !errors.Is(err, broken) {
		t.Errorf("error is %v, want %v", err, broken)
	}
}
