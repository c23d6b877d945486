// Command callee is the conformance suite's enclave for what goes through the
// runtimes of host and enclave: the host's half is calls.go of package teetest.
package main

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strconv"
	"strings"

	"github.com/secgear/secgear/sdk/call"
	"github.com/secgear/secgear/sdk/enclave"
	"github.com/secgear/secgear/sdk/shm"
	"github.com/secgear/secgear/sdk/tee"
)

// Contracts of both directions, as the generator makes them. Both have the
// methods Do(ctx, text []byte, b shm.Buffer) ([]byte, error), over shared memory
// and switched.
var (
	methods = []call.Method{{Name: "Do"}, {Name: "DoSwitched", Switched: true}}
	inside  = &call.Contract{Name: "teetest.Inside", ID: 1, Methods: methods}
	outside = &call.Contract{Name: "teetest.Outside", ID: 2, Methods: methods}
)

func main() { enclave.Main(setup) }

func setup(e *enclave.Enclave) error {
	c := &callee{e: e, stopped: make(chan struct{}, 1)}
	e.Log().Info("callee is here", "tee", e.TEE())
	e.Register(call.Service{Contract: inside, Dispatch: c.dispatch})
	ln, err := e.Listen("mirror")
	if err != nil {
		return err
	}
	go mirror(ln) // until the host wants us to stop
	return nil
}

// mirror answers what is read from each stream with itself.
func mirror(ln net.Listener) {
	for {
		conn, err := ln.Accept()
		if err != nil {
			return
		}
		go func() {
			defer conn.Close()
			io.Copy(conn, conn) // who dialled notices failures
			conn.(interface{ CloseWrite() error }).CloseWrite()
		}()
	}
}

type callee struct {
	e       *enclave.Enclave
	stopped chan struct{} // a call of "block" has ended
}

func (c *callee) dispatch(ctx context.Context, method uint16, q call.Request) error {
	var dec call.Decoder
	q.Args(&dec)
	text, b := dec.Bytes(), dec.Buffer()
	if err := dec.End(); err != nil {
		return err
	}
	out, err := c.do(ctx, method, text, b)
	if err != nil {
		return err
	}
	var enc call.Encoder
	q.Results(call.SizeBytes(out), &enc)
	enc.Bytes(out)
	return q.Send(&enc)
}

// ask calls the host.
func (c *callee) ask(ctx context.Context, method uint16, text string) ([]byte, error) {
	var p call.Pending
	var enc call.Encoder
	p.Begin(ctx, c.e, outside, method, call.SizeString(text)+call.SizeBuffer, &enc)
	enc.String(text)
	enc.Buffer(shm.Buffer{})
	p.Start(&enc)
	var dec call.Decoder
	if err := p.Wait(&dec); err != nil {
		return nil, err
	}
	out := slices.Clone(dec.Bytes())
	return out, p.End(&dec)
}

func (c *callee) do(ctx context.Context, method uint16, text []byte, b shm.Buffer) ([]byte, error) {
	what, rest, _ := strings.Cut(string(text), " ")
	switch what {
	case "echo":
		return []byte(rest), nil
	case "ask", "nest":
		return c.ask(ctx, method, rest)
	case "reverse":
		return nil, reverse(b)
	case "block":
		defer func() { c.stopped <- struct{}{} }()
		if _, err := c.ask(ctx, method, "blocking"); err != nil {
			return nil, err
		}
		<-ctx.Done()
		return nil, ctx.Err()
	case "stopped":
		<-c.stopped
		return nil, nil
	case "log":
		c.e.Log().Info(rest)
		return nil, nil
	}
	return c.power(what, rest)
}

// power uses a power of the platform.
func (c *callee) power(what, rest string) ([]byte, error) {
	switch what {
	case "sealimage":
		return c.e.Seal(tee.PolicyImage, []byte(rest), nil)
	case "sealsigner":
		return c.e.Seal(tee.PolicySigner, []byte(rest), nil)
	case "unseal":
		sealed, err := hex.DecodeString(rest)
		if err != nil {
			return nil, err
		}
		return c.e.Unseal(sealed, nil)
	case "evidence":
		return c.e.Evidence([]byte(rest))
	case "count":
		n, err := c.e.Increment(rest)
		return strconv.AppendUint(nil, n, 10), err
	case "random":
		n, err := strconv.Atoi(rest)
		if err != nil || n < 0 || n > 1<<20 {
			return nil, fmt.Errorf("random %q", rest)
		}
		out := make([]byte, n)
		_, err = io.ReadFull(c.e.Random(), out)
		return out, err
	case "tee":
		return []byte(c.e.TEE()), nil
	}
	return nil, errors.New("unknown request")
}

// reverse reverses the content of b, in pieces of its own.
func reverse(b shm.Buffer) error {
	own := make([]byte, b.Len())
	if _, err := b.ReadAt(own, 0); err != nil {
		return err
	}
	slices.Reverse(own)
	_, err := b.WriteAt(own, 0)
	return err
}
