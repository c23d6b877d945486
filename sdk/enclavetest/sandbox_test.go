package enclavetest_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/secgear/secgear/sdk/enclavetest"
	"github.com/secgear/secgear/sdk/host"
	"github.com/secgear/secgear/sdk/image"
	"github.com/secgear/secgear/sdk/tee"
)

// echo are the options for the enclave in testdata.
var echo = []enclavetest.Option{enclavetest.Sandboxed(), enclavetest.WithPackage("testdata/echo")}

// ask calls the enclave in testdata.
func ask(t *testing.T, e *host.Enclave, text string) string {
	t.Helper()
	got, err := do(t.Context(), e, inside, 0, text)
	if err != nil {
		t.Fatalf("%.20q: %v", text, err)
	}
	return got
}

func TestSandboxed(t *testing.T) {
	e := enclavetest.Start(t, nil, echo...)
	if e.TEE() != "sim" {
		t.Errorf("TEE is %q", e.TEE())
	}
	if got := ask(t, e, "echo hello"); got != "hello" {
		t.Errorf("got %q", got)
	}
	if got, err := do(t.Context(), e, inside, 1, "echo switched"); err != nil || got != "switched" {
		t.Errorf("switched: %q, %v", got, err)
	}
	if got := ask(t, e, "unseal "+ask(t, e, "seal my secret")); got != "my secret" {
		t.Errorf("unsealed %q", got)
	}
	if got := ask(t, e, "evidence nonce"); len(got) < 64 {
		t.Errorf("evidence of %d bytes", len(got))
	}
	if got := ask(t, e, "count a") + ask(t, e, "count a"); got != "\x01\x02" {
		t.Errorf("counted %q", got)
	}
	if _, err := do(t.Context(), e, inside, 0, "secret"); err != nil && !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("secret memory: %v", err)
	}
	if err := e.Close(); err != nil {
		t.Error(err)
	}
}

// TestEncrypted: an enclave whose program was encrypted works as any other, and
// what it sealed for its signer opens in the next one; without the key there is
// none.
func TestEncrypted(t *testing.T) {
	dir := enclavetest.WithStateDir(t.TempDir())
	opts := append(echo[:len(echo):len(echo)], enclavetest.Encrypted(), dir)
	e := enclavetest.Start(t, nil, opts...)
	if got := ask(t, e, "echo hello"); got != "hello" {
		t.Errorf("got %q", got)
	}
	sealed := ask(t, e, "seal my secret")
	ask(t, e, "count a")
	digest := e.Digest()
	if err := e.Close(); err != nil {
		t.Error(err)
	}
	e = enclavetest.Start(t, nil, opts...)
	if e.Digest() != digest {
		t.Error("another launch has another digest")
	}
	if got := ask(t, e, "unseal "+sealed); got != "my secret" {
		t.Errorf("unsealed %q", got)
	}
	if got := ask(t, e, "count a"); got != "\x02" {
		t.Errorf("counted %q", got)
	}
	denied := errors.New("denied")
	refuse := enclavetest.WithOptions(func(o *host.Options) {
		o.ImageKey = func(context.Context, host.KeyRequest) (image.Key, error) { return image.Key{}, denied }
	})
	if _, err := enclavetest.TryStart(t, nil, append(opts, refuse)...); !errors.Is(err, host.ErrNoKey) || !errors.Is(err, denied) {
		t.Errorf("without the key: %v", err)
	}
	old := enclavetest.WithManifest(image.Manifest{Name: "echo", SecurityVersion: 1})
	newer := enclavetest.WithManifest(image.Manifest{Name: "echo", SecurityVersion: 2})
	enclavetest.Start(t, nil, append(opts, newer)...).Close()
	if _, err := enclavetest.TryStart(t, nil, append(opts, old)...); !errors.Is(err, host.ErrRollback) {
		t.Errorf("an older version: %v", err)
	}
}

// TestSandboxedByEnvironment: the environment switches tests that say nothing.
func TestSandboxedByEnvironment(t *testing.T) {
	t.Setenv("SECGEAR_TEST_SANDBOXED", "1")
	e := enclavetest.Start(t, nil, enclavetest.WithPackage("testdata/echo"))
	if e.TEE() != "sim" {
		t.Errorf("TEE is %q", e.TEE())
	}
}

func TestSandboxedSetupFails(t *testing.T) {
	opts := append(echo[:len(echo):len(echo)], enclavetest.WithManifest(image.Manifest{Name: "fails"}))
	_, err := enclavetest.TryStart(t, nil, opts...)
	if !errors.Is(err, host.ErrSetup) || !strings.Contains(err.Error(), "told to fail") {
		t.Errorf("got %v", err)
	}
}

// TestSandboxedDies: calls in flight and later ones learn how the enclave
// ended.
func TestSandboxedDies(t *testing.T) {
	e := enclavetest.Start(t, nil, echo...)
	blocked := make(chan error, 2)
	for method := range uint16(2) {
		go func() {
			_, err := do(context.Background(), e, inside, method, "block")
			blocked <- err
		}()
	}
	_, err := do(t.Context(), e, inside, 0, "die")
	<-e.Done()
	errs := map[string]error{"the deadly call": err, "a call in flight": <-blocked, "another": <-blocked, "Err": e.Err()}
	_, errs["a later call"] = do(t.Context(), e, inside, 0, "echo")
	for what, err := range errs {
		if !errors.Is(err, tee.ErrLost) || !strings.Contains(err.Error(), "status 3") {
			t.Errorf("%s: %v", what, err)
		}
	}
}

// TestSandboxedRestart: what one run sealed and counted, the next one finds.
func TestSandboxedRestart(t *testing.T) {
	m := image.DefaultManifest("restart")
	m.SecurityVersion = 2
	state := t.TempDir()
	with := func(m image.Manifest) []enclavetest.Option {
		return append(echo[:len(echo):len(echo)], enclavetest.WithStateDir(state), enclavetest.WithManifest(m))
	}
	e := enclavetest.Start(t, nil, with(m)...)
	sealed := ask(t, e, "seal kept")
	ask(t, e, "count runs")
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	m.SecurityVersion = 3
	e = enclavetest.Start(t, nil, with(m)...)
	if got := ask(t, e, "unseal "+sealed); got != "kept" {
		t.Errorf("unsealed %q", got)
	}
	if got := ask(t, e, "count runs"); got != "\x02" {
		t.Errorf("counted %q", got)
	}
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	m.SecurityVersion = 2
	if _, err := enclavetest.TryStart(t, nil, with(m)...); !errors.Is(err, host.ErrRollback) {
		t.Errorf("older version: %v", err)
	}
}
