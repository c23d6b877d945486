package guest

import (
	"fmt"
	"io"
	"net"
	"os"
	"runtime"
	"sync"
	"time"

	"github.com/secgear/secgear/sdk/internal/initramfs"
	"github.com/secgear/secgear/sdk/internal/mux"
	"github.com/secgear/secgear/sdk/tee"
	"github.com/secgear/secgear/sdk/tee/vm/internal/wire"
)

// platform implements [tee.Platform].
type platform struct {
	name    string
	id      tee.Identity
	mux     *mux.Mux
	own     *mux.Stream // the platform stream
	control net.Conn

	mu       sync.Mutex
	waiting  map[uint32]*mux.Stream // opened by the host, not yet claimed
	arrived  chan struct{}          // capacity 1: something is in waiting
	memories []*memory

	lanes chan *tee.Lane // closed when the host is gone
	gone  chan struct{}  // closed when the host is gone
}

// Start returns the platform if this program is a virtual machine's, or false at
// once. It is called once. The first time that the program is started in a
// machine, by its kernel, Start does not return: see package initramfs.
func Start() (p tee.Platform, ok bool, err error) {
	for _, name := range Names {
		id, ok, err := initramfs.Start(name)
		if !ok {
			continue
		}
		if err == nil {
			p, err = startMachine(name, id)
		}
		if err != nil {
			return nil, true, fmt.Errorf("starting in a virtual machine: %w", err)
		}
		return p, true, nil
	}
	return nil, false, nil
}

// grace is how long the enclave may take to end by itself after its host.
const grace = 2 * time.Second

// startMachine makes a platform of the machine's devices.
func startMachine(name string, id tee.Identity) (tee.Platform, error) {
	port, err := openPort(portsDir, devicesDir, wire.PortName)
	if err != nil {
		return nil, err
	}
	memories, err := findMemories(pciDir)
	if err != nil {
		return nil, err
	}
	p, err := start(name, id, port, memories)
	if err != nil {
		return nil, err
	}
	go func() {
		<-p.gone
		time.AfterFunc(grace, func() { os.Exit(1) })
	}()
	return withPowers(p), nil
}

// spareStreams is how many streams there may be beyond those of the lanes that
// the manifest allows: some of them are about to end.
const spareStreams = 64

// start makes a platform that speaks to the host over port.
func start(name string, id tee.Identity, port io.ReadWriteCloser, memories []*memory) (*platform, error) {
	p := &platform{
		name: name, id: id, memories: memories,
		waiting: make(map[uint32]*mux.Stream), arrived: make(chan struct{}, 1),
		lanes: make(chan *tee.Lane, len(memories)), gone: make(chan struct{}),
	}
	p.mux = mux.New(port, int(wire.FirstLane)+id.Manifest.Lanes+spareStreams, p.accept)
	var err error
	if p.own, err = p.claim(wire.Platform); err != nil {
		return nil, err
	}
	if p.control, err = p.claim(wire.Control); err != nil {
		return nil, err
	}
	ready, err := wire.Ready(protections())
	if err != nil {
		return nil, err
	}
	if err := p.send(wire.KindReady, ready); err != nil {
		return nil, err
	}
	go p.receive()
	return p, nil
}

// protections are what the guest knows of its own confinement.
func protections() []tee.Protection {
	return []tee.Protection{{Name: "kernel of its own", Active: true}, {Name: "no other program in the machine", Active: true}}
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
	switch {
	case kind == wire.KindLane:
		l, err := wire.ParseLane(body)
		if err != nil {
			return err
		}
		return p.send(wire.KindLaneReply, wire.LaneReply(l.Stream, p.takeLane(l)))
	case kind == wire.KindCollect && len(body) == 0:
		go runtime.GC() // lanes are released when nothing refers to them
		return nil
	}
	return fmt.Errorf("%w: message %d of %d bytes", wire.ErrFormat, kind, len(body))
}

// takeLane makes a lane of what the host offers and queues it.
func (p *platform) takeLane(offer wire.Lane) error {
	bell := p.take(offer.Stream)
	if bell == nil {
		return fmt.Errorf("there is no stream %d", offer.Stream)
	}
	lane, err := p.newLane(offer, bell)
	if err != nil {
		bell.Close()
		return err
	}
	select {
	case p.lanes <- lane:
		return nil
	default: // there is room for one of each memory
		bell.Close()
		lane.Release()
		return fmt.Errorf("%d lanes wait to be accepted already", cap(p.lanes))
	}
}

// newLane maps the memory that the host offers.
func (p *platform) newLane(offer wire.Lane, bell net.Conn) (*tee.Lane, error) {
	if int64(offer.Memory) >= int64(len(p.memories)) {
		return nil, fmt.Errorf("the machine has no memory number %d", offer.Memory)
	}
	if offer.Size > p.id.Manifest.LaneMemory {
		return nil, fmt.Errorf("%d bytes are more than the manifest's lane_memory, %d", offer.Size, p.id.Manifest.LaneMemory)
	}
	m := p.memories[offer.Memory]
	mem, err := m.open(offer.Size)
	if err != nil {
		return nil, err
	}
	release := sync.OnceFunc(func() {
		m.close(mem)
		go p.send(wire.KindFreed, wire.Freed(offer.Memory)) // an error is the host's end
	})
	return &tee.Lane{Mem: mem, Bell: bell, Release: release}, nil
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
