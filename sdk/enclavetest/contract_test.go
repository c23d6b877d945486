package enclavetest_test

import (
	"context"

	"github.com/secgear/secgear/sdk/call"
)

// Two contracts as the generator makes them, one for each direction, with the
// method Do(ctx, string) (string, error) over shared memory and switched.
var (
	inside  = &call.Contract{Name: "test.Inside", ID: 1, Methods: []call.Method{{Name: "Do"}, {Name: "DoSwitched", Switched: true}}}
	outside = &call.Contract{Name: "test.Outside", ID: 2, Methods: inside.Methods}
)

// do calls the method of c with the given number.
func do(ctx context.Context, to call.Caller, c *call.Contract, method uint16, text string) (string, error) {
	var p call.Pending
	var enc call.Encoder
	p.Begin(ctx, to, c, method, call.SizeString(text), &enc)
	enc.String(text)
	p.Start(&enc)
	var dec call.Decoder
	if err := p.Wait(&dec); err != nil {
		return "", err
	}
	out := dec.String()
	return out, p.End(&dec)
}

// serve offers f as both methods of c.
func serve(r call.Registrar, c *call.Contract, f func(context.Context, string) (string, error)) {
	r.Register(call.Service{Contract: c, Dispatch: func(ctx context.Context, _ uint16, q call.Request) error {
		var dec call.Decoder
		q.Args(&dec)
		text := dec.String()
		if err := dec.End(); err != nil {
			return err
		}
		out, err := f(ctx, text)
		if err != nil {
			return err
		}
		var enc call.Encoder
		q.Results(call.SizeString(out), &enc)
		enc.String(out)
		return q.Send(&enc)
	}})
}
