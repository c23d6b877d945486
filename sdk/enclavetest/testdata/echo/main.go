// Echo is an enclave for the tests of enclavetest. Contract 1 answers the text
// it is called with in a way that the text asks for.
package main

import (
	"context"
	"errors"
	"os"
	"strings"

	"github.com/secgear/secgear/sdk/call"
	"github.com/secgear/secgear/sdk/enclave"
	"github.com/secgear/secgear/sdk/tee"
)

var contract = &call.Contract{Name: "test.Inside", ID: 1, Methods: []call.Method{{Name: "Do"}, {Name: "DoSwitched", Switched: true}}}

func main() { enclave.Main(setup) }

func setup(e *enclave.Enclave) error {
	if e.Manifest().Name == "fails" {
		return errors.New("setup was told to fail")
	}
	e.Log().Info("echo is here", "tee", e.TEE())
	e.Register(call.Service{Contract: contract, Dispatch: func(ctx context.Context, _ uint16, q call.Request) error {
		var dec call.Decoder
		q.Args(&dec)
		text := dec.String()
		if err := dec.End(); err != nil {
			return err
		}
		out, err := answer(ctx, e, text)
		if err != nil {
			return err
		}
		var enc call.Encoder
		q.Results(call.SizeBytes(out), &enc)
		enc.Bytes(out)
		return q.Send(&enc)
	}})
	return nil
}

func answer(ctx context.Context, e *enclave.Enclave, text string) ([]byte, error) {
	what, rest, _ := strings.Cut(text, " ")
	switch what {
	case "echo":
		return []byte(rest), nil
	case "seal":
		return e.Seal(tee.PolicySigner, []byte(rest), nil)
	case "unseal":
		return e.Unseal([]byte(rest), nil)
	case "evidence":
		return e.Evidence([]byte(rest))
	case "count":
		n, err := e.Increment(rest)
		return []byte{byte(n)}, err
	case "secret":
		mem, free, err := e.SecretMemory(32)
		if err != nil {
			return nil, err
		}
		defer free()
		return []byte{byte(len(mem))}, nil
	case "die":
		os.Exit(3)
	case "block":
		<-ctx.Done()
		return nil, ctx.Err()
	}
	return nil, errors.New("unknown request")
}
