package enclavetest

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"net"
	"reflect"
	"runtime"
	"sync"

	"github.com/secgear/secgear/sdk/enclave"
	"github.com/secgear/secgear/sdk/image"
	"github.com/secgear/secgear/sdk/shm"
	"github.com/secgear/secgear/sdk/tee"
	"github.com/secgear/secgear/sdk/tee/sim/hardware"
)

// Name is the TEE's name of enclaves in the test's own process.
const Name = "inprocess"

// pretend returns an image that stands for setup.
func pretend(m image.Manifest, setup func(*enclave.Enclave) error) *image.Image {
	name := runtime.FuncForPC(reflect.ValueOf(setup).Pointer()).Name()
	return &image.Image{
		Manifest: m,
		Arch:     runtime.GOARCH,
		Digest:   sha256.Sum256(fmt.Appendf(nil, "enclavetest image %s %+v", name, m)),
		Signer:   sha256.Sum256([]byte("enclavetest signer")),
	}
}

// backend runs setup in this process.
type backend struct {
	setup func(*enclave.Enclave) error
}

func (*backend) Name() string      { return Name }
func (*backend) Probe() tee.Status { return tee.Status{Available: true} }

func (b *backend) Launch(_ context.Context, img *image.Image, cfg tee.LaunchConfig) (tee.Instance, error) {
	machine, err := hardware.Open(cfg.StateDir)
	if err != nil {
		return nil, err
	}
	id := tee.Identity{Digest: img.Digest, Signer: img.Signer, Manifest: img.Manifest}
	host, guest := net.Pipe()
	i := &instance{control: host, lanes: make(chan *tee.Lane), closing: make(chan struct{}), done: make(chan struct{})}
	p := &platform{Enclave: machine.Enclave(id), id: id, control: guest, instance: i}
	go i.run(p, b.setup)
	return i, nil
}

// instance is the host's side of an enclave in this process.
type instance struct {
	control net.Conn
	lanes   chan *tee.Lane
	once    sync.Once
	closing chan struct{}
	done    chan struct{}
	err     error // set before done is closed
}

// run is the enclave's life.
func (i *instance) run(p *platform, setup func(*enclave.Enclave) error) {
	defer close(i.done)
	i.err = enclave.Run(p, setup)
	i.end()
}

// end breaks what connects both sides.
func (i *instance) end() {
	i.once.Do(func() {
		close(i.closing)
		i.control.Close()
	})
}

// Cooperative tells both runtimes that they share a process.
func (*instance) Cooperative() bool { return true }

func (i *instance) Control() net.Conn { return i.control }

func (i *instance) OpenLane(ctx context.Context, size int) (*tee.Lane, error) {
	host, guest := shm.Pipe(size)
	select {
	case i.lanes <- guest:
		return host, nil
	case <-i.closing:
		return nil, tee.ErrClosed
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

func (*instance) Protections() []tee.Protection {
	return []tee.Protection{{Name: "process", Reason: "the enclave runs in the test's process"}}
}

func (i *instance) Done() <-chan struct{} { return i.done }

func (i *instance) Err() error {
	select {
	case <-i.done:
		return i.err
	default:
		return nil
	}
}

func (i *instance) Close() error {
	i.end()
	<-i.done
	return nil
}

// platform is the enclave's side.
type platform struct {
	*hardware.Enclave // keys, evidence, counters
	id                tee.Identity
	control           net.Conn
	instance          *instance
}

var (
	_ tee.SealingKeys = (*platform)(nil)
	_ tee.Attester    = (*platform)(nil)
	_ tee.Counters    = (*platform)(nil)
)

func (*platform) Name() string             { return Name }
func (p *platform) Identity() tee.Identity { return p.id }
func (p *platform) Control() net.Conn      { return p.control }
func (*platform) Cooperative() bool        { return true }

var errEnded = errors.New("the host is gone")

func (p *platform) AcceptLane() (*tee.Lane, error) {
	select {
	case l := <-p.instance.lanes:
		return l, nil
	case <-p.instance.closing:
		return nil, errEnded
	}
}
