package sgx

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/secgear/secgear/sdk/image"
	"github.com/secgear/secgear/sdk/internal/control"
	"github.com/secgear/secgear/sdk/internal/mux"
	"github.com/secgear/secgear/sdk/tee"
	"github.com/secgear/secgear/sdk/tee/sgx/internal/wire"
)

// instance is a running enclave. What it sends may be anything.
type instance struct {
	proc        *process // Gramine
	mux         *mux.Mux
	platform    *mux.Stream
	control     *mux.Stream
	log         *slog.Logger
	manifest    image.Manifest
	dir         *folder
	protections []tee.Protection

	done chan struct{} // closed once err is final

	mu         sync.Mutex
	lanes      map[uint32]chan<- error // waiting for the enclave's answer
	nextStream uint32
	closing    bool   // by Close
	broken     error  // why the enclave was ended, if it broke the rules
	said       string // the beginning of what was printed
	err        error
}

// newInstance takes over conn and stderr, and the folder if it succeeds.
func newInstance(proc *process, b Backend, m image.Manifest, dir *folder, conn net.Conn, stderr *os.File, log *slog.Logger) (*instance, error) {
	i := &instance{
		proc: proc, log: log, manifest: m, dir: dir, protections: b.protections(m),
		mux:  mux.New(conn, int(wire.FirstLane)+m.Lanes+wire.SpareStreams, nil),
		done: make(chan struct{}), lanes: map[uint32]chan<- error{}, nextStream: wire.FirstLane,
	}
	said := make(chan struct{})
	go i.logOutput(stderr, said)
	go i.watch(said)
	var err error
	if i.platform, err = i.mux.Open(wire.Platform); err == nil {
		i.control, err = i.mux.Open(wire.Control)
	}
	if err != nil { // it has died already, or was killed
		i.proc.kill()
		<-i.proc.done
		<-said
		return nil, err
	}
	return i, nil
}

// protections says what is around the enclave, and what is not.
func (b Backend) protections(m image.Manifest) []tee.Protection {
	list := []tee.Protection{
		{Name: "SGX", Active: !b.Direct},
		{Name: "no debugging", Active: !b.Direct && !m.Debug},
		{Name: "system call filter around Gramine", Reason: "the host is not protected from the enclave beyond what Gramine does"},
	}
	if b.Direct {
		list[0].Reason = "Gramine runs without it"
	}
	if m.Debug {
		list[1].Reason = "the image is for debugging"
	} else if b.Direct {
		list[1].Reason = list[0].Reason
	}
	return list
}

// watch waits for the enclave's end.
func (i *instance) watch(said <-chan struct{}) {
	<-i.proc.done
	<-said
	i.mux.Close()
	err := i.cause()
	if left := i.dir.remove(); left != nil {
		i.log.Error("cleaning up after an enclave", "err", left)
	}
	i.mu.Lock()
	i.err = err
	i.mu.Unlock()
	close(i.done)
}

// cause says why the enclave ended.
func (i *instance) cause() error {
	i.mu.Lock()
	defer i.mu.Unlock()
	switch {
	case i.closing:
		return nil
	case i.broken != nil:
		return fmt.Errorf("the enclave was ended: %w", i.broken)
	case i.proc.err == nil:
		return nil
	}
	how := i.proc.err.Error()
	if i.said != "" {
		how += ": " + i.said
	} else if !i.manifest.Debug {
		how += " (what it printed is shown for debug images only)"
	}
	return fmt.Errorf("the enclave died: %s", how)
}

// logOutput passes on what Gramine and a debug image print, line by line, until
// their end.
func (i *instance) logOutput(r *os.File, said chan<- struct{}) {
	defer close(said)
	defer r.Close()
	lines := bufio.NewReaderSize(r, 4096)
	for {
		b, _, err := lines.ReadLine() // longer ones in pieces
		if err != nil {
			return
		}
		if len(b) == 0 || !i.manifest.Debug {
			continue
		}
		line := control.Printable(string(b)) // it goes to terminals
		i.log.Warn("enclave prints", "line", line)
		i.mu.Lock()
		if i.said == "" {
			i.said = line
		}
		i.mu.Unlock()
	}
}

// greet waits until the enclave is ready, and starts the conversation.
func (i *instance) greet(ctx context.Context) error {
	stop := context.AfterFunc(ctx, func() { i.platform.SetDeadline(time.Unix(1, 0)) })
	kind, body, err := wire.Read(i.platform, make([]byte, wire.MaxMessage))
	if !stop() {
		return fmt.Errorf("waiting for the enclave: %w", ctx.Err())
	}
	switch {
	case errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF):
		return i.silent()
	case err != nil:
		return fmt.Errorf("waiting for the enclave: %w", err)
	case kind != wire.KindReady || len(body) > 0:
		return fmt.Errorf("%w: message %d instead of a greeting", wire.ErrFormat, kind)
	}
	go i.serve()
	return nil
}

// silent says why an enclave did not greet.
func (i *instance) silent() error {
	if ended := i.mux.Err(); errors.Is(ended, mux.ErrProtocol) {
		return ended
	}
	i.proc.kill()
	<-i.done
	if err := i.Err(); err != nil {
		return err
	}
	return errors.New("the program ended without serving: does it call enclave.Main?")
}

// serve handles what the enclave sends until its end. One that breaks the rules is
// ended.
func (i *instance) serve() {
	buf := make([]byte, wire.MaxMessage)
	for {
		kind, body, err := wire.Read(i.platform, buf)
		if err == nil {
			err = i.handle(kind, body)
		}
		if err == nil {
			continue
		}
		if ended := i.mux.Err(); errors.Is(ended, mux.ErrProtocol) {
			err = ended
		}
		if errors.Is(err, wire.ErrFormat) || errors.Is(err, mux.ErrProtocol) {
			i.mu.Lock()
			i.broken = err
			i.mu.Unlock()
			i.proc.kill()
			return
		}
		select {
		case <-i.proc.done:
		case <-time.After(farewell):
			i.proc.kill()
		}
		return
	}
}

// farewell is how long Gramine may take to end after its program.
const farewell = 5 * time.Second

// handle deals with one message.
func (i *instance) handle(kind wire.Kind, body []byte) error {
	if kind != wire.KindLaneReply {
		return fmt.Errorf("%w: message %d is unknown", wire.ErrFormat, kind)
	}
	stream, result, err := wire.ParseLaneReply(body)
	if err != nil {
		return err
	}
	i.mu.Lock()
	waiting := i.lanes[stream]
	delete(i.lanes, stream)
	i.mu.Unlock()
	if waiting != nil { // else its opener has given up
		waiting <- result
	}
	return nil
}

// OpenLane implements [tee.Instance]. size is a multiple of the page size. The
// lane is its caller's: Close leaves it alone, apart from the end of its bell.
func (i *instance) OpenLane(ctx context.Context, size int) (*tee.Lane, error) {
	if size <= 0 || size%os.Getpagesize() != 0 || uint64(size) > i.manifest.LaneMemory {
		return nil, fmt.Errorf("opening a lane: %d bytes are not a number of pages up to the manifest's lane_memory, %d", size, i.manifest.LaneMemory)
	}
	lane, err := i.openLane(ctx, size)
	if err != nil {
		return nil, fmt.Errorf("opening a lane: %w", err)
	}
	return lane, nil
}

func (i *instance) openLane(ctx context.Context, size int) (*tee.Lane, error) {
	i.mu.Lock()
	number := i.nextStream
	i.nextStream++
	i.mu.Unlock()
	name := filepath.Join(i.dir.path, lanesDir, strconv.FormatUint(uint64(number), 10))
	mem, err := newMemory(name, size)
	if err != nil {
		return nil, i.lostOr(err)
	}
	release := sync.OnceFunc(func() {
		if err := unix.Munmap(mem); err != nil {
			i.log.Error("unmapping a lane", "err", err)
		}
	})
	bell, err := i.offer(ctx, wire.Lane{Stream: number, Size: uint64(size)})
	os.Remove(name) // both sides have it mapped, or nobody wants it
	if err != nil {
		release()
		return nil, err
	}
	return &tee.Lane{Mem: mem, Bell: bell, Release: release}, nil
}

// lostOr is what an error means of an enclave that may have ended.
func (i *instance) lostOr(err error) error {
	select {
	case <-i.proc.done:
		return tee.ErrLost
	default:
		return err
	}
}

// newMemory makes a file of size bytes and maps it.
func newMemory(name string, size int) ([]byte, error) {
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if err := f.Truncate(int64(size)); err != nil {
		return nil, errors.Join(err, os.Remove(name))
	}
	mem, err := unix.Mmap(int(f.Fd()), 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("mapping its memory: %w", err), os.Remove(name))
	}
	return mem, nil
}

// offer offers the enclave a lane and waits until it has taken it.
func (i *instance) offer(ctx context.Context, l wire.Lane) (*mux.Stream, error) {
	answer := make(chan error, 1)
	i.mu.Lock()
	i.lanes[l.Stream] = answer
	i.mu.Unlock()
	defer func() {
		i.mu.Lock()
		delete(i.lanes, l.Stream)
		i.mu.Unlock()
	}()
	bell, err := i.mux.Open(l.Stream)
	if err != nil {
		return nil, i.lostOr(err)
	}
	if err = i.send(ctx, wire.Append(nil, wire.KindLane, l.Encode()...)); err == nil {
		select {
		case err = <-answer:
		case <-ctx.Done():
			err = ctx.Err()
		case <-i.proc.done:
			err = tee.ErrLost
		}
	}
	if err != nil {
		bell.Close()
		return nil, err
	}
	return bell, nil
}

// send sends one message, bounded by ctx.
func (i *instance) send(ctx context.Context, message []byte) error {
	sent := make(chan error, 1)
	go func() {
		_, err := i.platform.Write(message)
		sent <- err
	}()
	select {
	case err := <-sent:
		if err != nil {
			return fmt.Errorf("%w: %w", tee.ErrLost, err)
		}
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-i.proc.done:
		return tee.ErrLost
	}
}

// Control implements [tee.Instance].
func (i *instance) Control() net.Conn { return i.control }

// Protections implements [tee.Instance].
func (i *instance) Protections() []tee.Protection { return i.protections }

// Done implements [tee.Instance].
func (i *instance) Done() <-chan struct{} { return i.done }

// Err implements [tee.Instance].
func (i *instance) Err() error {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.err
}

// Close implements [tee.Instance].
func (i *instance) Close() error {
	i.mu.Lock()
	i.closing = true
	i.mu.Unlock()
	if err := i.proc.kill(); err != nil {
		return fmt.Errorf("ending Gramine: %w", err)
	}
	<-i.done
	return nil
}
