package call

import (
	"context"
	"fmt"

	"github.com/secgear/secgear/sdk/shm"
)

// Contract describes one interface to both of its sides.
type Contract struct {
	Name    string   // package path and interface: "example.com/demo.Greeter"
	ID      uint32   // fingerprint of methods, types and sentinels
	Methods []Method // in the interface's order
	Errors  []error  // declared sentinels, in code order
}

// Method describes one method of a contract.
type Method struct {
	Name     string
	Switched bool // calls go over the doorbell instead of shared memory
}

func (c *Contract) method(i uint16) string {
	if int(i) < len(c.Methods) {
		return c.Methods[i].Name
	}
	return fmt.Sprintf("method %d", i)
}

// Caller is where a client sends its calls: *host.Enclave for ECALLs,
// *enclave.Enclave for OCALLs.
type Caller interface {
	// Lane returns the lane for a call of c made with ctx, or for a buffer if
	// c is nil: inside a handler, the one whose call is being handled. It fails
	// when c may not be called.
	Lane(ctx context.Context, c *Contract) (*shm.Lane, error)
}

// Registrar is where a service is offered: *enclave.Enclave for ECALLs,
// *host.Enclave for OCALLs.
type Registrar interface {
	// Register offers s. Offering two services of one contract panics.
	Register(s Service)
}

// Service is one contract's implementation, as made by generated code.
type Service struct {
	Contract *Contract
	// Dispatch decodes the arguments of q, calls the implementation and sends
	// its results. An error it returns is sent instead of results.
	Dispatch func(ctx context.Context, method uint16, q Request) error
}

// Pending is a call in flight. It is waited for exactly once. It has four words,
// which is what the compiler keeps in registers: a larger value is copied by
// loads that span several fresh stores, and these wait until the processor has
// got rid of all stores before them, the call's own among them.
type Pending struct {
	call     *shm.Call
	contract *Contract
	use      uint64 // ticket<<16 | method
	failed   *error // why there is nothing to wait for
}

func (p *Pending) method() uint16 { return uint16(p.use) }
func (p *Pending) ticket() uint32 { return uint32(p.use >> 16) }

// Begin starts building a call whose arguments take size bytes and which e is
// to encode; Start follows. When every slot of the lane is taken it waits,
// bounded by ctx. An error is kept for Wait.
func (p *Pending) Begin(ctx context.Context, to Caller, c *Contract, method uint16, size int, e *Encoder) {
	p.contract, p.use = c, uint64(method)
	lane, err := to.Lane(ctx, c)
	if err != nil {
		p.fail(err)
		return
	}
	p.call, err = lane.Begin(ctx, c.ID, method, c.Methods[method].Switched, size)
	if err != nil {
		p.fail(err)
		return
	}
	if p.call.Unnamed() {
		p.call.Name(c.Name, c.Methods[method].Name)
	}
	p.use |= uint64(p.call.Ticket()) << 16
	e.buf, e.to = p.call.Args(), p.call
}

// wrap names the call that err happened to.
func (p *Pending) wrap(err error) error {
	return fmt.Errorf("%s.%s: %w", p.contract.Name, p.contract.method(p.method()), err)
}

// fail ends the call before it was sent.
func (p *Pending) fail(err error) {
	err = p.wrap(err)
	p.call, p.failed = nil, &err
}

// Start sends the call.
func (p *Pending) Start(e *Encoder) {
	if p.failed != nil {
		return
	}
	if err := e.End(); err != nil {
		p.call.Abort()
		p.fail(err)
		return
	}
	if err := p.call.Start(); err != nil {
		p.fail(err)
	}
}

// Wait waits for the answer, which d is to decode. After a nil error, End must
// follow.
func (p *Pending) Wait(d *Decoder) error {
	if p.failed != nil {
		return *p.failed
	}
	a, err := p.call.Wait(p.ticket())
	if err != nil {
		return p.wrap(err)
	}
	if a.Status != statusOK {
		err := remote(p.contract, p.method(), a.Status, a.Payload)
		p.call.End()
		return err
	}
	d.buf, d.owned, d.from = a.Payload, a.Owned, p.call
	return nil
}

// End gives back what the call held and returns the fault met in decoding its
// results.
func (p *Pending) End(d *Decoder) error {
	err := d.End()
	if err != nil {
		p.call.Refuse()
	}
	p.call.End()
	if err != nil {
		return p.wrap(err)
	}
	return nil
}
