// The enclave of the C library's tests. Its contract is spoken by hand: messages
// are bytes without a codec, but for a length before them.
package main

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"time"

	"github.com/secgear/secgear/sdk/call"
	"github.com/secgear/secgear/sdk/enclave"
	"github.com/secgear/secgear/sdk/shm"
)

// contract is what the C test program calls, outside what it can be called with.
var (
	contract = &call.Contract{Name: "test.C", ID: 0xc0ffee, Methods: []call.Method{{Name: "Echo"}, {Name: "Block"}, {Name: "Sleep"}, {Name: "Out"}, {Name: "Fail"}, {Name: "Large"}, {Name: "Invert"}, {Name: "Give"}, {Name: "Die"}, {Name: "OutSwitched"}}}
	outside  = &call.Contract{Name: "test.Outside", ID: 2, Methods: []call.Method{{Name: "Do"}, {Name: "DoSwitched", Switched: true}}}
)

func main() { enclave.Main(setup) }

func setup(e *enclave.Enclave) error {
	e.Register(call.Service{Contract: contract, Dispatch: func(ctx context.Context, method uint16, q call.Request) error {
		var dec call.Decoder
		q.Args(&dec)
		if method == 6 {
			return invert(&dec, q)
		}
		in := dec.Bytes()
		if err := dec.End(); err != nil {
			return err
		}
		if method == 7 {
			return give(ctx, e, in, q)
		}
		out, err := answer(ctx, e, method, in)
		if err != nil {
			return err
		}
		var enc call.Encoder
		q.Results(call.SizeBytes(out), &enc)
		enc.Bytes(out)
		return q.Send(&enc)
	}})
	ln, err := e.Listen("echo")
	if err != nil {
		return err
	}
	go echo(ln)
	return nil
}

// echo sends back what streams bring.
func echo(ln net.Listener) {
	for {
		c, err := ln.Accept()
		if err != nil {
			return
		}
		go func() {
			defer c.Close()
			_, _ = io.Copy(c, c)
		}()
	}
}

func answer(ctx context.Context, e *enclave.Enclave, method uint16, in []byte) ([]byte, error) {
	switch method {
	case 0:
		return in, nil
	case 1:
		<-ctx.Done()
		return nil, ctx.Err()
	case 2:
		time.Sleep(10 * time.Millisecond)
		return in, nil
	case 3, 9:
		return out(ctx, e, min(method/9, 1), in)
	case 4:
		return nil, errors.New("it failed: " + string(in))
	case 5:
		large := make([]byte, len(in)*1024)
		for i := range large {
			large[i] = in[i%len(in)]
		}
		return large, nil
	case 8:
		os.Exit(3)
	}
	return nil, call.ErrNoMethod
}

// out calls the process that called.
func out(ctx context.Context, e *enclave.Enclave, method uint16, in []byte) ([]byte, error) {
	var p call.Pending
	var enc call.Encoder
	p.Begin(ctx, e, outside, method, call.SizeBytes(in), &enc)
	enc.Bytes(in)
	p.Start(&enc)
	var dec call.Decoder
	if err := p.Wait(&dec); err != nil {
		return nil, err
	}
	b := dec.Bytes()
	return b, p.End(&dec)
}

// invert inverts the bytes of a buffer that it is lent.
func invert(dec *call.Decoder, q call.Request) error {
	b := dec.Buffer()
	if err := dec.End(); err != nil {
		return err
	}
	data := make([]byte, b.Len())
	if _, err := b.ReadAt(data, 0); err != nil {
		return err
	}
	for i := range data {
		data[i] ^= 0xff
	}
	if _, err := b.WriteAt(data, 0); err != nil {
		return err
	}
	var enc call.Encoder
	q.Results(0, &enc)
	return q.Send(&enc)
}

// give returns what it got in a buffer, which the caller owns then.
func give(ctx context.Context, e *enclave.Enclave, in []byte, q call.Request) error {
	var b shm.Buffer
	b, err := e.NewBuffer(ctx, len(in))
	if err != nil {
		return err
	}
	if _, err := b.WriteAt(in, 0); err != nil {
		return err
	}
	var enc call.Encoder
	q.Results(call.SizeBuffer, &enc)
	enc.Buffer(b)
	return q.Send(&enc)
}
