package nitro

import (
	"context"
	"errors"
	"fmt"
	"net"
	"runtime"

	"github.com/secgear/secgear/sdk/image"
	"github.com/secgear/secgear/sdk/tee"
)

// machine is a virtual machine that runs an enclave.
type machine interface {
	// dial connects to a port of the enclave. That fails until something listens
	// there.
	dial(ctx context.Context, port uint32) (net.Conn, error)
	// done is closed when the machine has ended.
	done() <-chan struct{}
	// cause is why it ended by itself, valid after done; nil if in order.
	cause() error
	// close ends the machine, waits for its end and releases everything. It may be
	// called again.
	close() error
	protections() []tee.Protection
}

// Hardware tells whether this machine has the driver.
func Hardware() bool { return Backend{}.hardware() }

func (b Backend) hardware() bool { return b.kernel().present() }

// kernel is the driver that b launches with.
func (b Backend) kernel() driver {
	if b.driver != nil {
		return b.driver
	}
	return kernelDriver{}
}

// Launch implements [tee.Backend]. The enclave's state folder is not used:
// nothing outlives it.
func (b Backend) Launch(ctx context.Context, img *image.Image, cfg tee.LaunchConfig) (tee.Instance, error) {
	i, err := b.launch(ctx, img, cfg)
	if err != nil {
		return nil, fmt.Errorf("launching %s in a Nitro Enclave: %w", img.Manifest.Name, err)
	}
	return i, nil
}

func (b Backend) launch(ctx context.Context, img *image.Image, cfg tee.LaunchConfig) (*instance, error) {
	emulated := !b.hardware()
	if err := checkArch(img.Arch, emulated); err != nil {
		return nil, err
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	k, err := FindKernel(emulated)
	if err != nil {
		return nil, err
	}
	e, err := EIF(img, k)
	if err != nil {
		return nil, err
	}
	file, err := e.Encode()
	if err != nil {
		return nil, err
	}
	s := spec{file: file, memory: e.Memory, cores: cfg.Cores, debug: img.Manifest.Debug, log: cfg.Log}
	var m machine
	if emulated {
		m, err = emulate(ctx, s)
	} else {
		m, err = allocate(b.kernel(), s)
	}
	if err != nil {
		return nil, err
	}
	return newInstance(ctx, m, img.Manifest.LaneMemory)
}

// spec is a machine to be.
type spec struct {
	file   []byte // EIF
	memory uint64
	cores  []int // empty: any
	debug  bool
	log    logger
}

// checkArch refuses programs for machines that there are none of here.
func checkArch(arch string, emulated bool) error {
	switch {
	case emulated && arch != "amd64":
		return fmt.Errorf("the program is for %s, and only amd64 is emulated: %w", arch, errors.ErrUnsupported)
	case !emulated && arch != runtime.GOARCH:
		return fmt.Errorf("the program is for %s, this instance is %s: %w", arch, runtime.GOARCH, errors.ErrUnsupported)
	}
	return nil
}
