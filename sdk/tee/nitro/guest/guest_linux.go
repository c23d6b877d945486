package guest

import (
	"context"
	"crypto/subtle"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"time"

	"github.com/secgear/secgear/sdk/internal/initramfs"
	"github.com/secgear/secgear/sdk/internal/vsock"
	"github.com/secgear/secgear/sdk/tee"
	"github.com/secgear/secgear/sdk/tee/nitro/guest/nsm"
	"github.com/secgear/secgear/sdk/tee/nitro/internal/wire"
)

// platform implements [tee.Platform].
type platform struct {
	id      tee.Identity
	module  *nsm.Session
	control net.Conn

	mu    sync.Mutex
	owned bool
	token wire.Token
	lanes chan *tee.Lane // sent to under mu
	owner chan net.Conn  // the control stream, once
	gone  chan struct{}  // closed when nothing comes any more
}

// Start returns the platform if this program runs in a Nitro Enclave, or false at
// once. It is called once. In process 1 of the enclave it does not return, see
// [initramfs.Start].
func Start() (p tee.Platform, ok bool, err error) {
	id, ok, err := initramfs.Start(Name)
	if !ok || err != nil {
		return nil, ok, err
	}
	started, err := start(id)
	if err != nil {
		return nil, true, fmt.Errorf("starting in a Nitro Enclave: %w", err)
	}
	return started, true, nil
}

func start(id tee.Identity) (*platform, error) {
	module, err := nsm.Open()
	if err != nil {
		return nil, err
	}
	if err := seed(module); err != nil {
		return nil, err
	}
	l, err := vsock.Listen(wire.Port)
	if err != nil {
		return nil, err
	}
	announce()
	go greetTools(func(ctx context.Context) (net.Conn, error) {
		return vsock.Dial(ctx, vsock.Addr{CID: vsock.Parent, Port: wire.HeartbeatPort})
	})
	p := newPlatform(id, module)
	go p.serve(func() (net.Conn, error) { return l.Accept() })
	return p, p.awaitOwner()
}

// seed mixes random numbers of the module into the kernel's, from which all of
// the enclave's are drawn.
func seed(module *nsm.Session) error {
	random, err := module.Random()
	if err != nil {
		return err
	}
	defer clear(random)
	f, err := os.OpenFile("/dev/urandom", os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = f.Write(random)
	return err
}

// announce tells on the console that the enclave listens. Only the emulation's host
// needs to know, and where there is no console there is none that reads it.
func announce() {
	f, err := os.OpenFile("/dev/console", os.O_WRONLY, 0)
	if err != nil {
		return
	}
	defer f.Close()
	f.WriteString("\r\n" + wire.ListeningLine + "\r\n")
}

// toolsPatience is how long AWS's tools may take to answer.
const toolsPatience = 10 * time.Second

// greetTools tells the tool that launched the enclave that it runs, if it was
// AWS's; secgear's host doesn't listen.
func greetTools(dial func(context.Context) (net.Conn, error)) error {
	ctx, cancel := context.WithTimeout(context.Background(), toolsPatience)
	defer cancel()
	c, err := dial(ctx)
	if err != nil {
		return err
	}
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(toolsPatience)); err != nil {
		return err
	}
	if _, err := c.Write([]byte{wire.Heartbeat}); err != nil {
		return err
	}
	_, err = io.ReadFull(c, make([]byte, 1))
	return err
}

// spareLanes is how many lanes may wait to be accepted beyond those that the
// manifest allows: their openers may have given up. The rest is refused.
const spareLanes = 16

func newPlatform(id tee.Identity, module *nsm.Session) *platform {
	return &platform{
		id: id, module: module,
		lanes: make(chan *tee.Lane, max(id.Manifest.Lanes, 0)+spareLanes),
		owner: make(chan net.Conn, 1),
		gone:  make(chan struct{}),
	}
}

// awaitOwner waits for whom the enclave is to serve.
func (p *platform) awaitOwner() error {
	select {
	case p.control = <-p.owner:
		return nil
	case <-p.gone:
		return tee.ErrLost
	}
}

// maxStrangers is how many streams may begin at a time. Anybody on the host can
// begin one.
const maxStrangers = 64

// serve takes streams until none can come any more.
func (p *platform) serve(accept func() (net.Conn, error)) {
	defer close(p.gone)
	strangers := make(chan struct{}, maxStrangers)
	for {
		c, err := accept()
		if err != nil {
			return
		}
		select {
		case strangers <- struct{}{}:
		default:
			c.Close()
			continue
		}
		go func() {
			defer func() { <-strangers }()
			if err := p.begin(c); err != nil {
				c.Close()
			}
		}()
	}
}

// prefacePatience is how long a stream may take to begin.
const prefacePatience = 10 * time.Second

// begin begins the stream c. If it fails, c is of no use.
func (p *platform) begin(c net.Conn) error {
	if err := c.SetDeadline(time.Now().Add(prefacePatience)); err != nil {
		return err
	}
	var preface [wire.PrefaceSize]byte
	if _, err := io.ReadFull(c, preface[:]); err != nil {
		return err
	}
	kind, token, err := wire.ParsePreface(preface[:])
	if err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	refusal := p.refusal(kind, token)
	if _, err := c.Write(wire.Answer(refusal)); err != nil {
		return err
	}
	if refusal != nil {
		return refusal
	}
	if err := c.SetDeadline(time.Time{}); err != nil {
		return err
	}
	if kind == wire.Control {
		p.owned, p.token = true, token
		p.owner <- c
		return nil
	}
	p.lanes <- &tee.Lane{Bell: c, Release: func() {}}
	return nil
}

// refusal tells why a stream is not to be taken, or returns nil. Its caller holds
// mu.
func (p *platform) refusal(kind wire.Kind, token wire.Token) error {
	switch {
	case kind == wire.Control && p.owned:
		return errors.New("the enclave has an owner already")
	case kind == wire.Control:
		return nil
	case !p.owned || subtle.ConstantTimeCompare(token[:], p.token[:]) != 1:
		return errors.New("only the enclave's owner opens lanes")
	case len(p.lanes) == cap(p.lanes):
		return fmt.Errorf("%d lanes wait to be accepted already", cap(p.lanes))
	}
	return nil
}

// Name implements [tee.Platform].
func (p *platform) Name() string { return Name }

// Identity implements [tee.Platform].
func (p *platform) Identity() tee.Identity { return p.id }

// Control implements [tee.Platform].
func (p *platform) Control() net.Conn { return p.control }

// AcceptLane implements [tee.Platform]. Lanes have no memory.
func (p *platform) AcceptLane() (*tee.Lane, error) {
	select {
	case l := <-p.lanes:
		return l, nil
	case <-p.gone:
		return nil, fmt.Errorf("accepting a lane: %w", tee.ErrLost)
	}
}
