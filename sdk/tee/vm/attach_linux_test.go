package vm

import (
	"context"
	"errors"
	"path/filepath"
	"slices"
	"testing"

	"github.com/secgear/secgear/sdk/call"
	"github.com/secgear/secgear/sdk/host"
	"github.com/secgear/secgear/sdk/shm"
	"github.com/secgear/secgear/sdk/tee"
	"github.com/secgear/secgear/sdk/tee/teetest"
)

// inside is the contract of the suite's callee.
var inside = &call.Contract{Name: "teetest.Inside", ID: 1, Methods: []call.Method{{Name: "Do"}, {Name: "DoSwitched", Switched: true}}}

// ask has the callee do something.
func ask(ctx context.Context, e *host.Enclave, method uint16, text string) (string, error) {
	var p call.Pending
	var enc call.Encoder
	p.Begin(ctx, e, inside, method, call.SizeString(text)+call.SizeBuffer, &enc)
	enc.String(text)
	enc.Buffer(shm.Buffer{})
	p.Start(&enc)
	var dec call.Decoder
	if err := p.Wait(&dec); err != nil {
		return "", err
	}
	out := slices.Clone(dec.Bytes())
	return string(out), p.End(&dec)
}

// TestAttach: others attach to an enclave in a machine, and are woken and wake it,
// as long as there are memories that nobody had before.
func TestAttach(t *testing.T) {
	b := available(t)
	m := teetest.Manifest()
	m.Name, m.Attach, m.Lanes = "callee", []string{"owner"}, 2
	m.Services = nil
	socket := filepath.Join(t.TempDir(), "s")
	ctx, cancel := context.WithTimeout(t.Context(), teetest.Patience)
	defer cancel()
	owner, err := host.LoadImage(ctx, teetest.Image(t, m, teetest.BuildCallee(t, "amd64"), 1), host.Options{
		Backends: []tee.Backend{b}, TEE: b.Name(), StateDir: t.TempDir(), Socket: socket,
	})
	if err != nil {
		t.Fatal(err)
	}
	defer owner.Close()
	attached := 0
	for range 1 + spareMemories {
		e, err := host.Attach(ctx, socket, host.Options{Spin: -1})
		if err != nil {
			t.Errorf("attaching number %d: %v", attached+1, err)
			break
		}
		attached++
		for method := range uint16(2) {
			for range 20 {
				if got, err := ask(ctx, e, method, "echo hello"); err != nil || got != "hello" {
					t.Fatalf("method %d: %q, %v", method, got, err)
				}
			}
		}
		if err := e.Close(); err != nil {
			t.Error(err)
		}
	}
	if e, err := host.Attach(ctx, socket, host.Options{}); !errors.Is(err, host.ErrAttach) {
		if err == nil {
			e.Close()
		}
		t.Errorf("one more than there are memories: %v", err)
	}
	if got, err := ask(ctx, owner, 0, "echo owner"); err != nil || got != "owner" {
		t.Errorf("the owner's lane: %q, %v", got, err)
	}
}
