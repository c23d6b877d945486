package guest

import (
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"time"

	"github.com/secgear/secgear/sdk/internal/initramfs"
	"github.com/secgear/secgear/sdk/internal/mux"
	"github.com/secgear/secgear/sdk/tee"
	"github.com/secgear/secgear/sdk/tee/sgx/internal/wire"
)

// platform implements [tee.Platform].
type platform struct {
	name    string
	id      tee.Identity
	root    string // of the file system, "" but in tests
	mux     *mux.Mux
	own     *mux.Stream // the platform stream
	control net.Conn

	mu      sync.Mutex
	waiting map[uint32]*mux.Stream // opened by the host, not yet claimed
	arrived chan struct{}          // capacity 1: something is in waiting

	lanes chan *tee.Lane // closed when the host is gone
	gone  chan struct{}  // closed when the host is gone
}

// withPowers is a platform in SGX. Where Gramine runs without it, there is only
// platform.
type withPowers struct {
	*platform
	attestation
}

// grace is how long the enclave may take to end by itself after its host.
const grace = 2 * time.Second

// Start returns the platform if this program was started in Gramine by package
// sgx, or false at once. It is called once.
func Start() (p tee.Platform, ok bool, err error) {
	name := os.Getenv(wire.Variable)
	if name == "" {
		return nil, false, nil
	}
	os.Unsetenv(wire.Variable)
	p, gone, err := start(name, "", stdio{})
	if err != nil {
		return nil, true, fmt.Errorf("starting in Gramine: %w", err)
	}
	go func() {
		<-gone
		time.AfterFunc(grace, func() { os.Exit(1) })
	}()
	return p, true, nil
}

// stdio is the connection to the host.
type stdio struct{}

func (stdio) Read(b []byte) (int, error)  { return os.Stdin.Read(b) }
func (stdio) Write(b []byte) (int, error) { return os.Stdout.Write(b) }

// Close leaves a reader that waits alone: the end of the program ends it.
func (stdio) Close() error { return os.Stdout.Close() }

// start makes a platform of the name that the manifest gives, which speaks to the
// host over conn.
func start(name, root string, conn io.ReadWriteCloser) (tee.Platform, <-chan struct{}, error) {
	if name != wire.Name && name != wire.DirectName {
		return nil, nil, fmt.Errorf("the manifest says %s=%.40q", wire.Variable, name)
	}
	a := attestation{root: root}
	if name == wire.Name {
		if err := a.check(); err != nil {
			return nil, nil, err
		}
	}
	id, err := readIdentity(name, root)
	if err != nil {
		return nil, nil, err
	}
	p := &platform{
		name: name, id: id, root: root,
		waiting: make(map[uint32]*mux.Stream), arrived: make(chan struct{}, 1),
		lanes: make(chan *tee.Lane, id.Manifest.Lanes+wire.SpareStreams), gone: make(chan struct{}),
	}
	if err := p.greet(conn); err != nil {
		return nil, nil, err
	}
	go p.receive()
	if name != wire.Name {
		return p, p.gone, nil
	}
	a.id = id
	return &withPowers{p, a}, p.gone, nil
}

// readIdentity reads what the manifest's trusted file says of the program.
func readIdentity(name, root string) (id tee.Identity, err error) {
	b, err := readFile(root+wire.IdentityFile, initramfs.MaxIdentity)
	if err != nil {
		return id, err
	}
	platform, id, err := initramfs.ParseIdentity(b)
	if err == nil && platform != name {
		err = fmt.Errorf("the identity is one for %q, this is %s", platform, name)
	}
	return id, err
}

// greet begins the conversation.
func (p *platform) greet(conn io.ReadWriteCloser) (err error) {
	p.mux = mux.New(conn, int(wire.FirstLane)+p.id.Manifest.Lanes+wire.SpareStreams, p.accept)
	defer func() {
		if err != nil {
			p.mux.Close()
		}
	}()
	if p.own, err = p.claim(wire.Platform); err != nil {
		return err
	}
	if p.control, err = p.claim(wire.Control); err != nil {
		return err
	}
	return p.send(wire.KindReady, nil)
}

// accept keeps a stream that the host opened until it says what it is for.
func (p *platform) accept(s *mux.Stream) {
	p.mu.Lock()
	p.waiting[s.Number()] = s
	p.mu.Unlock()
	select {
	case p.arrived <- struct{}{}:
	default:
	}
}

// claim waits for one of the host's first streams.
func (p *platform) claim(number uint32) (*mux.Stream, error) {
	for {
		if s := p.take(number); s != nil {
			return s, nil
		}
		select {
		case <-p.arrived:
		case <-p.mux.Done():
			return nil, fmt.Errorf("waiting for the host: %w: %w", tee.ErrLost, p.mux.Err())
		}
	}
}

// take returns a stream that waits, or nil.
func (p *platform) take(number uint32) *mux.Stream {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := p.waiting[number]
	delete(p.waiting, number)
	return s
}

// send sends one message. Callers may overlap.
func (p *platform) send(kind wire.Kind, body []byte) error {
	if _, err := p.own.Write(wire.Append(nil, kind, body...)); err != nil {
		return fmt.Errorf("writing to the host: %w", err)
	}
	return nil
}

// receive handles what the host sends until it is gone.
func (p *platform) receive() {
	buf := make([]byte, wire.MaxMessage)
	for {
		kind, body, err := wire.Read(p.own, buf)
		if err == nil {
			err = p.handle(kind, body)
		}
		if err != nil {
			p.mux.Close()
			close(p.gone)
			close(p.lanes)
			return
		}
	}
}

// handle deals with one message.
func (p *platform) handle(kind wire.Kind, body []byte) error {
	if kind != wire.KindLane {
		return fmt.Errorf("%w: message %d of %d bytes", wire.ErrFormat, kind, len(body))
	}
	offer, err := wire.ParseLane(body)
	if err != nil {
		return err
	}
	return p.send(wire.KindLaneReply, wire.LaneReply(offer.Stream, p.takeLane(offer)))
}

// takeLane makes a lane of what the host offers and queues it.
func (p *platform) takeLane(offer wire.Lane) error {
	if offer.Stream < wire.FirstLane {
		return fmt.Errorf("stream %d is no lane's", offer.Stream)
	}
	bell := p.take(offer.Stream)
	if bell == nil {
		return fmt.Errorf("there is no stream %d", offer.Stream)
	}
	mem, release, err := mapLane(p.root, offer, p.id.Manifest.LaneMemory)
	if err != nil {
		bell.Close()
		return err
	}
	select {
	case p.lanes <- &tee.Lane{Mem: mem, Bell: bell, Release: release}:
		return nil
	default:
		bell.Close()
		release()
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
