package enclavetest_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/secgear/secgear/sdk/enclave"
	"github.com/secgear/secgear/sdk/enclavetest"
	"github.com/secgear/secgear/sdk/image"
	"github.com/secgear/secgear/sdk/tee"
)

// keeper seals, unseals and counts.
func keeper(e *enclave.Enclave) error {
	serve(e, inside, func(_ context.Context, s string) (string, error) {
		what, rest, _ := strings.Cut(s, " ")
		switch what {
		case "seal":
			b, err := e.Seal(tee.PolicyImage, []byte(rest), nil)
			return string(b), err
		case "unseal":
			b, err := e.Unseal([]byte(rest), nil)
			return string(b), err
		}
		n, err := e.Increment(rest)
		return string(rune('0' + n)), err
	})
	return nil
}

// TestRestart: state goes with the folder, and image-sealed data with the image.
func TestRestart(t *testing.T) {
	m := image.DefaultManifest("keeper")
	state := enclavetest.WithStateDir(t.TempDir())
	e := enclavetest.Start(t, keeper, state, enclavetest.WithManifest(m))
	sealed := ask(t, e, "seal kept")
	ask(t, e, "count runs")
	e.Close()
	e = enclavetest.Start(t, keeper, state, enclavetest.WithManifest(m))
	if got := ask(t, e, "unseal "+sealed); got != "kept" {
		t.Errorf("unsealed %q", got)
	}
	if got := ask(t, e, "count runs"); got != "2" {
		t.Errorf("counted %q", got)
	}
	e.Close()
	m.Workers = 3 // another image
	e = enclavetest.Start(t, keeper, state, enclavetest.WithManifest(m))
	if _, err := do(t.Context(), e, inside, 0, "unseal "+sealed); err == nil || !strings.Contains(err.Error(), enclave.ErrSealed.Error()) {
		t.Errorf("another image: %v", err)
	}
	elsewhere := enclavetest.Start(t, keeper, enclavetest.WithManifest(m))
	if _, err := do(t.Context(), elsewhere, inside, 0, "unseal "+sealed); err == nil {
		t.Error("unsealed on another machine")
	}
	if got := ask(t, elsewhere, "count runs"); got != "1" {
		t.Errorf("counted %q on another machine", got)
	}
}

// TestManifest: it is read from the enclave's folder if there is one.
func TestManifest(t *testing.T) {
	e := enclavetest.Start(t, setup, enclavetest.WithPackage("testdata/echo"))
	if e.Manifest().Name != "echo" {
		t.Errorf("name %q", e.Manifest().Name)
	}
	e = enclavetest.Start(t, setup)
	if e.Manifest().Name != "test" {
		t.Errorf("name %q by default", e.Manifest().Name)
	}
}

// TestSecretMemoryInProcess: what the test's process lacks says so.
func TestSecretMemoryInProcess(t *testing.T) {
	enclavetest.Start(t, func(e *enclave.Enclave) error {
		if _, _, err := e.SecretMemory(1); !errors.Is(err, errors.ErrUnsupported) {
			t.Errorf("secret memory: %v", err)
		}
		return nil
	})
}
