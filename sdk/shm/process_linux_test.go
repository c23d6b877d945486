package shm

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/secgear/secgear/sdk/tee"
	"golang.org/x/sys/unix"
)

const (
	peerEnv  = "SECGEAR_SHM_TEST_PEER"
	peerSize = 64 << 20
)

// TestMain serves the enclave's end of a lane when started by startPeer.
func TestMain(m *testing.M) {
	if os.Getenv(peerEnv) == "" {
		os.Exit(m.Run())
	}
	lane, err := laneOf(3, 4)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	p := &pair{gate: make(chan struct{}), entered: make(chan struct{}, 1000)}
	workers, _ := strconv.Atoi(os.Getenv(peerEnv))
	cfg := Config{Workers: workers}
	if workers < 0 {
		cfg = Config{Spin: -1, nap: time.Hour}
	}
	cfg.Listeners = new(Listeners)
	ln, err := cfg.Listeners.Listen("echo")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	go echoStreams(ln)
	l, err := Open(lane, Enclave, p, cfg)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	<-l.Done()
	os.Exit(0)
}

// laneOf makes a lane of a shared memory descriptor and a socket.
func laneOf(mem, bell int) (*tee.Lane, error) {
	b, err := unix.Mmap(mem, 0, peerSize, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return nil, err
	}
	f := os.NewFile(uintptr(bell), "bell")
	defer f.Close()
	conn, err := net.FileConn(f)
	if err != nil {
		return nil, err
	}
	return &tee.Lane{Mem: b, Bell: conn, Futex: true, Release: func() { unix.Munmap(b) }}, nil
}

// emulatorEnv names the program that runs this test's program, if the machine
// can't: see scripts/test-emulated.
const emulatorEnv = "SECGEAR_TEST_EMULATOR"

// startPeer starts a process with the other end of a lane. With workers below
// zero both ends sleep at once instead of spinning, and for good: a lost wake-up
// hangs the test.
func startPeer(t testing.TB, h Handler, workers int) (*Lane, *exec.Cmd) {
	t.Helper()
	mem, err := unix.MemfdCreate("lane", unix.MFD_CLOEXEC)
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.Ftruncate(mem, peerSize); err != nil {
		t.Fatal(err)
	}
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	memFile, peer := os.NewFile(uintptr(mem), "lane"), os.NewFile(uintptr(fds[1]), "bell")
	defer memFile.Close()
	cmd := exec.Command(os.Args[0])
	if emulator := os.Getenv(emulatorEnv); emulator != "" {
		cmd = exec.Command(emulator, os.Args[0])
	}
	cmd.Env = append(os.Environ(), peerEnv+"="+strconv.Itoa(workers))
	cmd.ExtraFiles = []*os.File{memFile, peer}
	cmd.Stderr = os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	peer.Close()
	lane, err := laneOf(mem, fds[0])
	if err != nil {
		t.Fatal(err)
	}
	cfg := Config{}
	if workers < 0 {
		cfg = Config{Spin: -1, nap: time.Hour}
	}
	l := open(t, lane, Host, h, cfg)
	t.Cleanup(func() {
		l.Close()
		l.Join()
		cmd.Process.Kill()
		cmd.Wait()
	})
	return l, cmd
}

func TestProcess(t *testing.T) {
	p := &pair{gate: make(chan struct{}), entered: make(chan struct{}, 1000)}
	l, _ := startPeer(t, p, 0)
	var wg sync.WaitGroup
	for range 16 {
		wg.Go(func() {
			for i := range 2000 {
				if got, err := do(t.Context(), l, echo, pattern(i)); err != nil || len(got) != i {
					t.Error(len(got), err)
					return
				}
			}
		})
	}
	wg.Wait()
}

func TestNoWakeUpIsLost(t *testing.T) {
	l, _ := startPeer(t, &pair{entered: make(chan struct{}, 1000)}, -1)
	for _, callers := range []int{1, 2, 16, 100} {
		t.Run(strconv.Itoa(callers), func(t *testing.T) {
			var wg sync.WaitGroup
			for range callers {
				wg.Go(func() {
					for i := range 2000 / callers {
						if _, err := do(t.Context(), l, uint16(echo), pattern(i)); err != nil {
							t.Error(err)
							return
						}
						arg := []byte{byte(i % 3), 0, 0, 0}
						if _, err := do(t.Context(), l, nested, arg); err != nil {
							t.Error(err)
							return
						}
					}
				})
			}
			wg.Wait()
		})
	}
	t.Run("nested in switched", func(t *testing.T) {
		for range 300 {
			c, err := start(t.Context(), l, nested, true, []byte{1, 0, 0, 0})
			if err != nil {
				t.Fatal(err)
			}
			if _, err := finish(c, c.Ticket()); err != nil {
				t.Fatal(err)
			}
		}
	})
}

// TestNoStreamWakeUpIsLost: readers and writers of streams sleep and are woken,
// among calls, with sides that sleep at once.
func TestNoStreamWakeUpIsLost(t *testing.T) {
	l, _ := startPeer(t, &pair{entered: make(chan struct{}, 1000)}, -1)
	for _, n := range []int{1, 2, 30} {
		t.Run(strconv.Itoa(n), func(t *testing.T) {
			var wg sync.WaitGroup
			for range n {
				wg.Go(func() { echoOver(t, l, 600/n) })
				wg.Go(func() {
					for i := range 600 / n {
						if _, err := do(t.Context(), l, nested, []byte{byte(i % 3), 0, 0, 0}); err != nil {
							t.Error(err)
							return
						}
					}
				})
			}
			wg.Wait()
		})
	}
}

// echoOver sends messages of many sizes over a stream and expects them back.
func echoOver(t *testing.T, l *Lane, messages int) {
	s, err := l.DialStream(t.Context(), "echo")
	if err != nil {
		t.Error(err)
		return
	}
	defer s.Close()
	for i := range messages {
		out := pattern(1 + i*i%9000)
		if _, err := s.Write(out); err != nil {
			t.Error(err)
			return
		}
		in := make([]byte, len(out))
		if _, err := io.ReadFull(s, in); err != nil || !bytes.Equal(in, out) {
			t.Errorf("message %d: %v", i, err)
			return
		}
	}
}

// TestPeerKilled: a stream whose peer was killed ends with an error, wherever it
// was.
func TestPeerKilled(t *testing.T) {
	l, cmd := startPeer(t, &pair{entered: make(chan struct{}, 1000)}, 0)
	var wg sync.WaitGroup
	started := make(chan struct{}, 20)
	for i := range 20 {
		s, err := l.DialStream(t.Context(), "echo")
		if err != nil {
			t.Fatal(err)
		}
		wg.Go(func() {
			defer s.Close()
			b := make([]byte, 10_000)
			for first := true; ; first = false {
				var err error
				if i%2 == 0 {
					_, err = s.Write(b)
				} else if _, err = s.Write(b[:100]); err == nil {
					_, err = io.ReadFull(s, b[:100])
				}
				if first {
					started <- struct{}{}
				}
				if err != nil {
					if !errors.Is(err, tee.ErrLost) {
						t.Error(err)
					}
					return
				}
			}
		})
	}
	for range 20 {
		<-started
	}
	cmd.Process.Kill()
	wg.Wait()
}

func echo64(b *testing.B, l *Lane, arg []byte) {
	c, err := l.Begin(context.Background(), 1, echo, false, len(arg))
	if err != nil {
		b.Error(err)
		return
	}
	copy(c.Args(), arg)
	c.Start()
	if _, err := c.Wait(c.Ticket()); err != nil {
		b.Error(err)
		return
	}
	c.End()
}

func BenchmarkProcess(b *testing.B) {
	l, _ := startPeer(b, &pair{entered: make(chan struct{}, 1000)}, 0)
	for _, n := range []int{64, 4096, 1 << 20} {
		arg := pattern(n)
		b.Run(fmt.Sprintf("rtt%d", n), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				echo64(b, l, arg)
			}
		})
	}
	arg := pattern(64)
	b.Run("batch16", func(b *testing.B) {
		var calls [16]*Call
		for i := 0; i < b.N; i += len(calls) {
			for k := range calls {
				c, err := l.Begin(context.Background(), 1, echo, false, len(arg))
				if err != nil {
					b.Fatal(err)
				}
				copy(c.Args(), arg)
				c.Start()
				calls[k] = c
			}
			for _, c := range calls {
				if _, err := c.Wait(c.Ticket()); err != nil {
					b.Fatal(err)
				}
				c.End()
			}
		}
	})
	b.Run("throughput16", func(b *testing.B) {
		var wg sync.WaitGroup
		for range 16 {
			wg.Go(func() {
				for i := 0; i < b.N; i += 16 {
					echo64(b, l, arg)
				}
			})
		}
		wg.Wait()
	})
}
