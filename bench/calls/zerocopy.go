package main

import (
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
