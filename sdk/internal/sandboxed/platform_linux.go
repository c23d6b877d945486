package sandboxed

import (
	"fmt"
	"net"
	"os"
	"syscall"
	"time"

	"github.com/secgear/secgear/sdk/internal/sandbox/wire"
	"github.com/secgear/secgear/sdk/tee"
)

// platform implements [tee.Platform] and all optional powers.
type platform struct {
	name    string
	id      tee.Identity
	control net.Conn
	socket  *socket

	lanes chan *tee.Lane // closed when the host is gone
	calls chan call      // requests to the host, unbuffered
	gone  chan struct{}  // closed when the host is gone
}

// Start returns the platform if this process was launched by the TEE called
// name, or false at once. It is called once for each name.
func Start(name string) (p tee.Platform, ok bool, err error) {
	if os.Getenv(wire.Env) != name {
		return nil, false, nil
	}
	os.Unsetenv(wire.Env) // not to be taken over by anyone
	started, err := start(name, wire.PlatformFD, wire.ControlFD)
	if err != nil {
		return nil, true, fmt.Errorf("starting in the sandbox: %w", err)
	}
	// The kernel ends this process with the host's. This is for the case that it
	// does not.
	go func() {
		<-started.gone
		time.AfterFunc(grace, func() { os.Exit(1) })
	}()
	return started, true, nil
}

// spareLanes is how many lanes may wait to be accepted beyond those that the
// manifest allows: their openers may have given up. The rest is refused.
const spareLanes = 16

// start makes a platform of the descriptors of its sockets.
func start(name string, platformFD, controlFD int) (*platform, error) {
	socket, err := openSocket(platformFD)
	if err != nil {
		return nil, err
	}
	control, err := newConn(controlFD, "control")
	if err != nil {
		socket.file.Close()
		return nil, err
	}
	p := &platform{name: name, socket: socket, control: control, calls: make(chan call), gone: make(chan struct{})}
	if err := p.greet(); err != nil {
		socket.file.Close()
		control.Close()
		return nil, err
	}
	p.lanes = make(chan *tee.Lane, max(p.id.Manifest.Lanes, 0)+spareLanes)
	replies := make(chan []byte, 1) // of the one request under way
	go p.receive(replies)
	go p.ask(replies)
	return p, nil
}

// greet learns what was launched and tells what was found.
func (p *platform) greet() error {
	m, err := p.socket.receive(make([]byte, wire.MaxMessage))
	if err != nil {
		return fmt.Errorf("waiting for the host's greeting: %w", err)
	}
	defer m.closeFiles()
	if m.kind != wire.KindHello || len(m.files) > 0 {
		return fmt.Errorf("%w: message %d with %d descriptors instead of a greeting", wire.ErrFormat, m.kind, len(m.files))
	}
	if p.id, err = wire.ParseHello(m.body); err != nil {
		return err
	}
	ready, err := wire.Ready([]tee.Protection{preventDebugging(p.id.Manifest.Debug), probeSecretMemory()})
	if err != nil {
		return err
	}
	return p.socket.send(ready)
}

// preventDebugging keeps other processes of the same user, and core dumps, from
// the enclave's memory.
func preventDebugging(debug bool) tee.Protection {
	p := tee.Protection{Name: "no debugging"}
	if debug {
		p.Reason = "the image is for debugging"
		return p
	}
	_, _, errno := syscall.Syscall(syscall.SYS_PRCTL, syscall.PR_SET_DUMPABLE, 0, 0)
	if errno != 0 {
		p.Reason = errno.Error()
		return p
	}
	p.Active = true
	return p
}

// grace is how long the enclave may take to end by itself after its host.
const grace = 2 * time.Second

// receive handles what the host sends until it is gone.
func (p *platform) receive(replies chan<- []byte) {
	buf := make([]byte, wire.MaxMessage)
	for {
		m, err := p.socket.receive(buf)
		if err == nil {
			err = p.handle(m, replies)
		}
		if err != nil {
			p.socket.file.Close()
			close(p.gone)
			close(p.lanes)
			return
		}
	}
}

// handle deals with one message and its descriptors.
func (p *platform) handle(m message, replies chan<- []byte) error {
	defer m.closeFiles()
	switch {
	case m.kind == wire.KindReply && len(m.files) == 0:
		select {
		case replies <- append([]byte(nil), m.body...):
			return nil
		default:
			return fmt.Errorf("%w: a reply to no request", wire.ErrFormat)
		}
	case m.kind == wire.KindLane:
		id, size, err := wire.ParseLane(m.body)
		if err != nil {
			return err
		}
		result := p.takeLane(size, &m)
		m.closeFiles() // before the host knows
		return p.socket.send(wire.LaneReply(id, result))
	}
	return fmt.Errorf("%w: message %d with %d descriptors", wire.ErrFormat, m.kind, len(m.files))
}

// takeLane makes a lane of the descriptors in m and queues it.
func (p *platform) takeLane(size uint64, m *message) error {
	lane, err := newLane(size, m, p.id.Manifest.LaneMemory)
	if err != nil {
		return err
	}
	select {
	case p.lanes <- lane:
		return nil
	default:
		lane.Bell.Close()
		lane.Release()
		return fmt.Errorf("%d lanes wait to be accepted already", cap(p.lanes))
	}
}

// Name implements [tee.Platform].
func (p *platform) Name() string { return p.name }

// Identity implements [tee.Platform].
func (p *platform) Identity() tee.Identity { return p.id }

// Control implements [tee.Platform].
func (p *platform) Control() net.Conn { return p.control }

// AcceptLane implements [tee.Platform].
func (p *platform) AcceptLane() (*tee.Lane, error) {
	lane, ok := <-p.lanes
	if !ok {
		return nil, fmt.Errorf("accepting a lane: %w", tee.ErrLost)
	}
	return lane, nil
}
