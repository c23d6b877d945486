package main

import (
	"bytes"

	"github.com/secgear/secgear/bench/echo"
	"github.com/secgear/secgear/bench/internal/peer"
	"github.com/secgear/secgear/sdk/host"
	"github.com/secgear/secgear/sdk/shm"
)

// inverter has the enclave work on a shared buffer.
type inverter struct {
	caller
	shared  shm.Buffer
	out, in []byte
}

func newInverter(c caller, e *host.Enclave) (*inverter, error) {
	b, err := e.NewBuffer(c.ctx, peer.Large)
	if err != nil {
		return nil, err
	}
	v := &inverter{c, b, make([]byte, peer.Large), make([]byte, peer.Large)}
	for i := range v.out {
		v.out[i] = byte(i)
	}
	return v, nil
}

// invert makes n calls, each with the buffer filled before and read after it:
// as many bytes go there and back as in an echo.
func (v *inverter) invert(n int) error {
	for range n {
		if _, err := v.shared.WriteAt(v.out, 0); err != nil {
			return err
		}
		if err := v.to.Invert(v.ctx, v.shared); err != nil {
			return err
		}
		if _, err := v.shared.ReadAt(v.in, 0); err != nil {
			return err
		}
	}
	for i := 0; i < len(v.in); i += 997 {
		if v.in[i] != ^v.out[i] {
			return errDiffers
		}
	}
	return nil
}

// inFlight is how many pieces are on their way at a time, so that both sides
// copy at the same time.
const inFlight = 4

// pipeline echoes large data through shared buffers, piece by piece.
type pipeline struct {
	caller
	shared  [inFlight]shm.Buffer
	out, in []byte
}

func newPipeline(c caller, e *host.Enclave) (*pipeline, error) {
	p := &pipeline{caller: c, out: make([]byte, peer.Large), in: make([]byte, peer.Large)}
	for i := range p.out {
		p.out[i] = byte(i)
	}
	for i := range p.shared {
		var err error
		if p.shared[i], err = e.NewBuffer(c.ctx, echo.Piece); err != nil {
			return nil, err
		}
	}
	return p, nil
}

// echo has all of p.out echoed into p.in n times. What came back is looked at
// after the last.
func (p *pipeline) echo(n int) error {
	clear(p.in)
	for range n {
		if err := p.once(); err != nil {
			return err
		}
	}
	if !bytes.Equal(p.in, p.out) {
		return errDiffers
	}
	return nil
}

func (p *pipeline) once() error {
	const pieces = peer.Large / echo.Piece
	var calls [inFlight]echo.EchoerEchoSharedCall
	var failed error
	for i := range pieces + inFlight {
		at := i % inFlight
		if i >= inFlight { // the answers of all that were started are waited for
			if err := calls[at].Wait(); err != nil {
				failed = err
			} else if _, err := p.shared[at].ReadAt(p.in[(i-inFlight)*echo.Piece:][:echo.Piece], 0); err != nil {
				failed = err
			}
		}
		if i < pieces {
			if _, err := p.shared[at].WriteAt(p.out[i*echo.Piece:][:echo.Piece], 0); err != nil {
				failed = err
			}
			calls[at] = p.to.StartEchoShared(p.ctx, p.shared[at])
		}
	}
	return failed
}
