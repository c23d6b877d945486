package sandbox

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/secgear/secgear/sdk/internal/control"
	"github.com/secgear/secgear/sdk/internal/sandbox/wire"
	"github.com/secgear/secgear/sdk/internal/spawn"
	"github.com/secgear/secgear/sdk/tee"
)

// instance is a running enclave. What the enclave sends may be anything.
type instance struct {
	proc        *spawn.Process
	control     *net.UnixConn
	platform    *net.UnixConn
	hardware    Hardware
	log         *slog.Logger
	protections []tee.Protection
	debug       bool   // its output is logged
	pin         []byte // of a decrypted program, until the end

	out  chan packet   // to the platform socket, unbuffered
	done chan struct{} // closed once err is final

	mu       sync.Mutex
	lanes    map[uint32]chan<- error // waiting for the enclave's answer
	nextLane uint32
	closing  bool   // by Close
	broken   error  // why the enclave was ended, if it broke the rules
	said     string // the beginning of what it said at its end
	err      error
}

// packet is a message to the enclave with descriptors, which are closed once it
// is sent.
type packet struct {
	message []byte
	files   []*os.File
}

// newInstance takes over what l holds for a running enclave.
func newInstance(proc *spawn.Process, l *launch, hw Hardware, log *slog.Logger) *instance {
	i := &instance{
		proc: proc, platform: l.conns[0], control: l.conns[1], hardware: hw, log: log,
		debug: l.stderr != nil, pin: l.pin,
		out: make(chan packet), done: make(chan struct{}), lanes: map[uint32]chan<- error{},
	}
	said := make(chan struct{})
	go i.logOutput(l.stderr, said)
	go i.watch(said)
	l.conns, l.stderr, l.pin = [2]*net.UnixConn{}, nil, nil
	return i
}

// watch waits for the enclave's end.
func (i *instance) watch(said <-chan struct{}) {
	<-i.proc.Done()
	<-said
	i.platform.Close()
	unpin(i.pin)
	i.mu.Lock()
	i.err = i.cause()
	i.mu.Unlock()
	close(i.done)
}

// cause says why the enclave ended.
func (i *instance) cause() error {
	status, err := i.proc.Status()
	if i.closing {
		return nil
	}
	if i.broken != nil {
		return fmt.Errorf("the enclave was ended: %w", i.broken)
	}
	if err != nil {
		return fmt.Errorf("the enclave ended, how is unknown: %w", err)
	}
	how := fmt.Sprintf("exit status %d", status.ExitStatus())
	switch {
	case status.Exited() && status.ExitStatus() == 0:
		return nil
	case status.Signaled():
		how = unix.SignalName(status.Signal())
	}
	switch {
	case i.said != "":
		how += ": " + i.said
	case !i.debug && status.Exited():
		how += " (what it printed is shown for debug images only)"
	}
	return fmt.Errorf("the enclave died: %s", how)
}

// logOutput passes on what the enclave prints, line by line, until its end.
func (i *instance) logOutput(r *os.File, said chan<- struct{}) {
	defer close(said)
	if r == nil {
		return
	}
	defer r.Close()
	lines := bufio.NewReaderSize(r, 4096)
	for {
		b, _, err := lines.ReadLine() // longer ones in pieces
		if err != nil {
			return
		}
		if len(b) == 0 {
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

// greet makes the enclave's acquaintance and starts the conversation.
func (i *instance) greet(ctx context.Context, id tee.Identity) error {
	stop := context.AfterFunc(ctx, func() { i.platform.SetDeadline(time.Unix(1, 0)) })
	err := i.exchangeGreetings(id)
	if !stop() {
		return fmt.Errorf("waiting for the enclave: %w", ctx.Err())
	}
	if err != nil {
		return err
	}
	go i.send()
	go i.serve()
	return nil
}

// exchangeGreetings tells the enclave what it is, and waits until it is ready.
func (i *instance) exchangeGreetings(id tee.Identity) error {
	hello, err := wire.Hello(id)
	if err != nil {
		return err
	}
	if _, err := i.platform.Write(hello); err != nil {
		return i.silent(err)
	}
	kind, body, err := i.receive(make([]byte, wire.MaxMessage))
	if err != nil {
		return i.silent(err)
	}
	if kind != wire.KindReady {
		return fmt.Errorf("%w: message %d instead of a greeting", wire.ErrFormat, kind)
	}
	found, err := wire.ParseReady(body)
	if err != nil {
		return err
	}
	for _, p := range found {
		if p.Name == partDump || p.Name == partSecret {
			i.protections = append(i.protections, p)
		}
	}
	return nil
}

// silent says why an enclave did not greet.
func (i *instance) silent(err error) error {
	if !errors.Is(err, io.EOF) && !errors.Is(err, unix.ECONNRESET) && !errors.Is(err, unix.EPIPE) {
		return fmt.Errorf("waiting for the enclave: %w", err)
	}
	i.proc.Kill()
	<-i.done
	if err := i.Err(); err != nil {
		return err
	}
	return errors.New("the program ended without serving: does it call enclave.Main?")
}

// receive reads the next message into buf.
func (i *instance) receive(buf []byte) (wire.Kind, []byte, error) {
	n, _, flags, _, err := i.platform.ReadMsgUnix(buf, nil)
	switch {
	case err != nil:
		return 0, nil, err
	case n == 0:
		return 0, nil, io.EOF
	case flags&(unix.MSG_TRUNC|unix.MSG_CTRUNC) != 0:
		return 0, nil, fmt.Errorf("%w: it is too long, or has descriptors", wire.ErrFormat)
	}
	return wire.Kind(buf[0]), buf[1:n], nil
}

// serve answers the enclave's messages until its end. An enclave that breaks
// the rules is ended.
func (i *instance) serve() {
	buf := make([]byte, wire.MaxMessage)
	for {
		kind, body, err := i.receive(buf)
		if err == nil {
			err = i.handle(kind, body)
		}
		if err == nil {
			continue
		}
		if errors.Is(err, wire.ErrFormat) {
			i.mu.Lock()
			i.broken = err
			i.mu.Unlock()
		}
		// Without this socket the enclave is no use to anyone, itself included.
		i.proc.Kill()
		return
	}
}

// handle answers one message.
func (i *instance) handle(kind wire.Kind, body []byte) error {
	switch kind {
	case wire.KindRequest:
		r, err := wire.ParseRequest(body)
		if err != nil {
			return err
		}
		return i.post(context.Background(), packet{message: wire.Reply(i.answer(r))})
	case wire.KindLaneReply:
		id, result, err := wire.ParseLaneReply(body)
		if err != nil {
			return err
		}
		i.mu.Lock()
		waiting := i.lanes[id]
		delete(i.lanes, id)
		i.mu.Unlock()
		if waiting != nil { // else its opener has given up
			waiting <- result
		}
		return nil
	}
	return fmt.Errorf("%w: message %d is unknown", wire.ErrFormat, kind)
}

// answer does what the enclave asks of its platform.
func (i *instance) answer(r wire.Request) ([]byte, error) {
	switch r.Op {
	case wire.OpSealingKey:
		key, err := i.hardware.SealingKey(r.Policy, r.Version, r.Salt)
		return key[:], err
	case wire.OpEvidence:
		return i.hardware.Evidence(r.Data)
	case wire.OpCounter:
		v, err := i.hardware.Counter(r.ID)
		return wire.Value(v), err
	case wire.OpIncrement:
		v, err := i.hardware.Increment(r.ID)
		return wire.Value(v), err
	}
	return nil, fmt.Errorf("request %d: %w", r.Op, errors.ErrUnsupported)
}

// post hands p to the sender.
func (i *instance) post(ctx context.Context, p packet) error {
	select {
	case i.out <- p:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-i.proc.Done():
		return tee.ErrLost
	}
}

// send writes packets until the enclave's end. It alone writes, so that an
// enclave that doesn't read holds up nobody's context.
func (i *instance) send() {
	for {
		select {
		case p := <-i.out:
			i.write(p)
		case <-i.proc.Done():
			return
		}
	}
}

// write sends p. A failure shows where the answer is awaited: the enclave is
// gone.
func (i *instance) write(p packet) {
	var fds []int
	for _, f := range p.files {
		fds = append(fds, int(f.Fd()))
	}
	_, _, err := i.platform.WriteMsgUnix(p.message, unix.UnixRights(fds...), nil)
	if err != nil {
		i.log.Debug("writing to the enclave", "err", err)
		i.proc.Kill()
	}
	for _, f := range p.files {
		f.Close()
	}
}

// Pid is the enclave's process.
func (i *instance) Pid() int { return i.proc.Pid }

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
	if err := i.proc.Kill(); err != nil {
		return fmt.Errorf("ending the enclave: %w", err)
	}
	<-i.done
	if err := i.control.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
		return fmt.Errorf("closing the control stream: %w", err)
	}
	return nil
}
