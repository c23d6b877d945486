package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/secgear/secgear/examples/vault"
	"github.com/secgear/secgear/sdk/enclavetest"
	"github.com/secgear/secgear/sdk/host"
	"github.com/secgear/secgear/sdk/image"
)

// client is a host that seals and opens files in memory, chunk after chunk.
type client struct {
	vault.VaultClient
	detours vault.DetoursClient
	enclave *host.Enclave
}

// start runs the enclave in the test's own process: no image, no privileges, and
// a debugger can look inside.
func start(t testing.TB, opts ...enclavetest.Option) client {
	t.Helper()
	e := enclavetest.Start(t, setup, opts...)
	return client{vault.NewVaultClient(e), vault.NewDetoursClient(e), e}
}

// worker seals or opens one chunk.
type worker func(context.Context, vault.Chunk, []byte) ([]byte, error)

// seal makes a sealed file of content.
func (c client) seal(ctx context.Context, work worker, content []byte) ([]byte, error) {
	number, header, err := c.Create(ctx)
	if err != nil {
		return nil, err
	}
	sealed, err := c.each(ctx, work, number, content, vault.ChunkSize)
	return append(header[:], sealed...), err
}

// open returns the content of a sealed file.
func (c client) open(ctx context.Context, work worker, sealed []byte) ([]byte, error) {
	number, err := c.Open(ctx, vault.Header(sealed))
	if err != nil {
		return nil, err
	}
	return c.each(ctx, work, number, sealed[vault.HeaderSize:], vault.ChunkSize+vault.Overhead)
}

// each works on data in chunks of size.
func (c client) each(ctx context.Context, work worker, number vault.File, data []byte, size int) ([]byte, error) {
	var all []byte
	for i := uint64(0); ; i++ {
		n := min(len(data), size)
		at := vault.Chunk{File: number, Index: i, Last: n == len(data)}
		out, err := work(ctx, at, data[:n])
		if err != nil {
			return nil, errors.Join(err, ignoreIncomplete(c.Finish(ctx, number)))
		}
		all, data = append(all, out...), data[n:]
		if at.Last {
			return all, c.Finish(ctx, number)
		}
	}
}

func ignoreIncomplete(err error) error {
	if errors.Is(err, vault.ErrIncomplete) {
		return nil
	}
	return err
}

// sealShared and openShared work on a chunk by way of shared memory.
func (c client) sealShared(ctx context.Context, at vault.Chunk, plain []byte) ([]byte, error) {
	return c.shared(ctx, at, plain, vault.Overhead)
}

func (c client) openShared(ctx context.Context, at vault.Chunk, sealed []byte) ([]byte, error) {
	return c.shared(ctx, at, sealed, -vault.Overhead)
}

func (c client) shared(ctx context.Context, at vault.Chunk, in []byte, grows int) (out []byte, err error) {
	b, err := c.enclave.NewBuffer(ctx, len(in)+max(0, grows))
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, b.Free()) }()
	if _, err := b.WriteAt(in, 0); err != nil {
		return nil, err
	}
	from, err := b.Slice(0, len(in))
	if err != nil {
		return nil, err
	}
	to, err := b.Slice(0, max(0, len(in)+grows))
	if err != nil {
		return nil, err
	}
	if grows > 0 {
		err = c.Seal(ctx, at, from, to)
	} else {
		err = c.Unseal(ctx, at, from, to)
	}
	if err != nil {
		return nil, err
	}
	out = make([]byte, to.Len())
	_, err = to.ReadAt(out, 0)
	return out, err
}

// random returns n bytes that are the same every time.
func random(n int) []byte {
	b := make([]byte, n)
	rand.NewChaCha8([32]byte{1}).Read(b) // never fails
	return b
}

// TestRoundTrip: whatever way a file is sealed, every way opens it.
func TestRoundTrip(t *testing.T) {
	c := start(t)
	ways := []struct {
		name       string
		seal, open worker
	}{
		{"shared", c.sealShared, c.openShared},
		{"copied", c.detours.SealCopy, c.detours.UnsealCopy},
		{"switched", c.detours.SealSwitched, c.detours.UnsealSwitched},
	}
	for _, size := range []int{0, 1, vault.ChunkSize - 1, vault.ChunkSize, vault.ChunkSize + 1, 3*vault.ChunkSize + 5} {
		content := random(size)
		for _, from := range ways {
			for _, to := range ways {
				t.Run(fmt.Sprintf("%d/%s/%s", size, from.name, to.name), func(t *testing.T) {
					sealed, err := c.seal(t.Context(), from.seal, content)
					if err != nil {
						t.Fatal(err)
					}
					if want := sealedSize(size); len(sealed) != want {
						t.Errorf("sealed it has %d bytes, want %d", len(sealed), want)
					}
					got, err := c.open(t.Context(), to.open, sealed)
					if err != nil || !bytes.Equal(got, content) {
						t.Errorf("opened it has %d bytes, equal %v, %v", len(got), bytes.Equal(got, content), err)
					}
				})
			}
		}
	}
}

// sealedSize is the length of a sealed file with n bytes of content.
func sealedSize(n int) int {
	chunks := max(1, (n+vault.ChunkSize-1)/vault.ChunkSize)
	return vault.HeaderSize + n + chunks*vault.Overhead
}

// TestNothing: calls that do nothing, which the host measures, succeed.
func TestNothing(t *testing.T) {
	c := start(t)
	if err := c.detours.Nothing(t.Context()); err != nil {
		t.Error(err)
	}
	if err := c.detours.NothingSwitched(t.Context()); err != nil {
		t.Error(err)
	}
}

// TestNotPlain: what is sealed does not contain the content, and is another
// each time.
func TestNotPlain(t *testing.T) {
	c := start(t)
	content := bytes.Repeat([]byte("not a secret any more "), 1000)
	var files [2][]byte
	for i := range files {
		var err error
		if files[i], err = c.seal(t.Context(), c.detours.SealCopy, content); err != nil {
			t.Fatal(err)
		}
		if bytes.Contains(files[i], []byte("secret")) {
			t.Error("the content can be read")
		}
	}
	if bytes.Equal(files[0], files[1]) {
		t.Error("sealing a file twice gives the same bytes")
	}
}

// TestWhoOpens: which enclaves can open the file that another one sealed.
func TestWhoOpens(t *testing.T) {
	version := func(n uint32) enclavetest.Option {
		return enclavetest.WithManifest(image.Manifest{Name: "vault", SecurityVersion: n})
	}
	here := t.TempDir()
	sealer := start(t, enclavetest.WithStateDir(here), version(2))
	content := random(1000)
	sealed, err := sealer.seal(t.Context(), sealer.detours.SealCopy, content)
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name  string
		opts  []enclavetest.Option
		opens bool
	}{
		{"the same one", []enclavetest.Option{enclavetest.WithStateDir(here), version(2)}, true},
		{"its successor", []enclavetest.Option{enclavetest.WithStateDir(here), version(3)}, true},
		{"on another machine", []enclavetest.Option{version(2)}, false},
		{"another program", []enclavetest.Option{
			enclavetest.WithStateDir(here),
			enclavetest.WithManifest(image.Manifest{Name: "other", SecurityVersion: 2}),
		}, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := start(t, tt.opts...)
			got, err := c.open(t.Context(), c.detours.UnsealCopy, sealed)
			switch {
			case tt.opens && (err != nil || !bytes.Equal(got, content)):
				t.Errorf("got %d bytes, %v", len(got), err)
			case !tt.opens && !errors.Is(err, vault.ErrHeader):
				t.Errorf("error %v, want %v", err, vault.ErrHeader)
			}
		})
	}
}
