package main

import (
	"bytes"
	"context"
	"errors"
	"sync"
	"testing"

	"github.com/secgear/secgear/examples/vault"
	"github.com/secgear/secgear/sdk/enclave"
	"github.com/secgear/secgear/sdk/enclavetest"
	"github.com/secgear/secgear/sdk/shm"
)

// buffer returns shared memory that holds data.
func (c client) buffer(t *testing.T, data []byte) shm.Buffer {
	t.Helper()
	b, err := c.enclave.NewBuffer(t.Context(), len(data))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.WriteAt(data, 0); err != nil {
		t.Fatal(err)
	}
	return b
}

// TestMisuse: calls that an honest host does not make.
func TestMisuse(t *testing.T) {
	c := start(t)
	ctx := t.Context()
	full := make([]byte, vault.ChunkSize)
	create := func(t *testing.T) vault.File {
		t.Helper()
		number, _, err := c.Create(ctx)
		if err != nil {
			t.Fatal(err)
		}
		return number
	}
	seal := func(at vault.Chunk, plain []byte) error {
		_, err := c.detours.SealCopy(ctx, at, plain)
		return err
	}
	tests := []struct {
		name string
		try  func(t *testing.T, f vault.File) error // f is being sealed
		want error
	}{
		{"file that never was", func(_ *testing.T, f vault.File) error {
			return seal(vault.Chunk{File: f + 1000, Last: true}, nil)
		}, vault.ErrFile},
		{"finished file", func(t *testing.T, f vault.File) error {
			if err := c.Finish(ctx, f); !errors.Is(err, vault.ErrIncomplete) {
				t.Errorf("finishing: %v", err)
			}
			return seal(vault.Chunk{File: f, Last: true}, nil)
		}, vault.ErrFile},
		{"nonce twice", func(t *testing.T, f vault.File) error {
			if err := seal(vault.Chunk{File: f}, full); err != nil {
				t.Fatal(err)
			}
			return seal(vault.Chunk{File: f}, full)
		}, vault.ErrIndex},
		{"nonce twice, now as the last", func(t *testing.T, f vault.File) error {
			if err := seal(vault.Chunk{File: f}, full); err != nil {
				t.Fatal(err)
			}
			return seal(vault.Chunk{File: f, Last: true}, full)
		}, vault.ErrIndex},
		{"after the last", func(t *testing.T, f vault.File) error {
			if err := seal(vault.Chunk{File: f, Last: true}, full); err != nil {
				t.Fatal(err)
			}
			return seal(vault.Chunk{File: f, Index: 1, Last: true}, full)
		}, vault.ErrIndex},
		{"far ahead", func(_ *testing.T, f vault.File) error {
			return seal(vault.Chunk{File: f, Index: 1 << 63, Last: true}, full)
		}, vault.ErrIndex},
		{"sealing to a file being opened", func(t *testing.T, _ vault.File) error {
			sealed, err := c.seal(ctx, c.detours.SealCopy, nil)
			if err != nil {
				t.Fatal(err)
			}
			f, err := c.Open(ctx, vault.Header(sealed))
			if err != nil {
				t.Fatal(err)
			}
			return seal(vault.Chunk{File: f, Last: true}, []byte("other content"))
		}, vault.ErrFile},
		{"opening from a file being sealed", func(_ *testing.T, f vault.File) error {
			_, err := c.detours.UnsealCopy(ctx, vault.Chunk{File: f, Last: true}, make([]byte, vault.Overhead))
			return err
		}, vault.ErrFile},
		{"chunk too long", func(_ *testing.T, f vault.File) error {
			return seal(vault.Chunk{File: f, Last: true}, append(full, 0))
		}, vault.ErrSize},
		{"chunk too short", func(_ *testing.T, f vault.File) error {
			return seal(vault.Chunk{File: f}, full[1:])
		}, vault.ErrSize},
		{"empty chunk at the end", func(_ *testing.T, f vault.File) error {
			return seal(vault.Chunk{File: f, Index: 1, Last: true}, nil)
		}, vault.ErrSize},
		{"chunk without a tag", func(t *testing.T, f vault.File) error {
			_, err := c.detours.UnsealCopy(ctx, vault.Chunk{File: f, Last: true}, make([]byte, vault.Overhead-1))
			return err
		}, vault.ErrFile},
		{"buffer too long", func(t *testing.T, f vault.File) error {
			b := c.buffer(t, make([]byte, vault.ChunkSize+1))
			return c.Seal(ctx, vault.Chunk{File: f, Last: true}, b, c.buffer(t, make([]byte, sealedChunk+1)))
		}, vault.ErrSize},
		{"no room for the tag", func(t *testing.T, f vault.File) error {
			b := c.buffer(t, full)
			return c.Seal(ctx, vault.Chunk{File: f}, b, b)
		}, vault.ErrSize},
		{"buffers that don't match", func(t *testing.T, f vault.File) error {
			b := c.buffer(t, full)
			return c.Unseal(ctx, vault.Chunk{File: f}, b, b)
		}, vault.ErrSize},
		{"no buffers", func(_ *testing.T, f vault.File) error {
			return c.Unseal(ctx, vault.Chunk{File: f}, shm.Buffer{}, shm.Buffer{})
		}, vault.ErrSize},
		{"missing chunk", func(t *testing.T, f vault.File) error {
			if err := seal(vault.Chunk{File: f, Index: 1, Last: true}, full); err != nil {
				t.Fatal(err)
			}
			return c.Finish(ctx, f)
		}, vault.ErrIncomplete},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if err := tt.try(t, create(t)); !errors.Is(err, tt.want) {
				t.Errorf("error %v, want %v", err, tt.want)
			}
		})
	}
}

// TestTooManyFiles: the host can't use up the enclave's memory by files that it
// never finishes.
func TestTooManyFiles(t *testing.T) {
	c := start(t)
	var first vault.File
	for i := range maxFiles {
		number, _, err := c.Create(t.Context())
		if err != nil {
			t.Fatalf("file %d: %v", i, err)
		}
		if i == 0 {
			first = number
		}
	}
	if _, _, err := c.Create(t.Context()); err == nil {
		t.Error("one file too many was accepted")
	}
	if err := c.Finish(t.Context(), first); !errors.Is(err, vault.ErrIncomplete) {
		t.Errorf("finishing: %v", err)
	}
	if _, _, err := c.Create(t.Context()); err != nil {
		t.Errorf("after one was finished: %v", err)
	}
}

// TestChangedMeanwhile runs a host that keeps changing the shared memory that
// the enclave works on. What is sealed must be something that was in the memory,
// and what is opened must be what was sealed, or nothing. The enclave is a
// process of its own here, as it is for a real host.
func TestChangedMeanwhile(t *testing.T) {
	c := start(t, enclavetest.Sandboxed())
	a, b := bytes.Repeat([]byte{0x55}, 64<<10), bytes.Repeat([]byte{0xaa}, 64<<10)
	var opened, refused int
	for range 50 {
		sealed := c.sealChanging(t, a, b)
		content, err := c.open(t.Context(), c.detours.UnsealCopy, sealed)
		if err != nil {
			t.Fatalf("what was sealed does not open: %v", err)
		}
		for i, x := range content {
			if x != a[i] && x != b[i] {
				t.Fatalf("byte %d is %#x", i, x)
			}
		}
		mixed := bytes.Clone(sealed)
		clear(mixed[len(mixed)/2:])
		switch got := c.openChanging(t, sealed, mixed); {
		case got == nil:
			refused++
		case bytes.Equal(got, content):
			opened++
		default:
			t.Fatal("something was opened that was not sealed")
		}
	}
	t.Logf("opened %d times, refused %d times", opened, refused)
}

// sealChanging seals a file of one chunk whose content, in shared memory, switches
// between a and b meanwhile.
func (c client) sealChanging(t *testing.T, a, b []byte) []byte {
	t.Helper()
	number, header, err := c.Create(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	in, out := c.buffer(t, a), c.buffer(t, make([]byte, len(a)+vault.Overhead))
	stop := changing(t, in, a, b)
	err = c.Seal(t.Context(), vault.Chunk{File: number, Last: true}, in, out)
	stop()
	if err := errors.Join(err, c.Finish(t.Context(), number)); err != nil {
		t.Fatal(err)
	}
	return append(header[:], take(t, in, out)...)
}

// openChanging opens a file of one chunk that switches between a and b meanwhile.
// It returns nil if the enclave refuses.
func (c client) openChanging(t *testing.T, a, b []byte) []byte {
	t.Helper()
	number, err := c.Open(t.Context(), vault.Header(a))
	if err != nil {
		t.Fatal(err)
	}
	a, b = a[vault.HeaderSize:], b[vault.HeaderSize:]
	in, out := c.buffer(t, a), c.buffer(t, make([]byte, len(a)-vault.Overhead))
	stop := changing(t, in, a, b)
	err = c.Unseal(t.Context(), vault.Chunk{File: number, Last: true}, in, out)
	stop()
	content := take(t, in, out)
	if errors.Is(err, vault.ErrTampered) {
		if err := c.Finish(t.Context(), number); !errors.Is(err, vault.ErrIncomplete) {
			t.Errorf("finishing: %v", err)
		}
		return nil
	}
	if err := errors.Join(err, c.Finish(t.Context(), number)); err != nil {
		t.Fatal(err)
	}
	return content
}

// changing switches what is in a buffer between a and b until it is stopped.
func changing(t *testing.T, buffer shm.Buffer, a, b []byte) (stop func()) {
	t.Helper()
	memory, err := buffer.Shared() // which only a hostile host uses during the call
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() {
		for ctx.Err() == nil {
			copy(memory, b)
			copy(memory, a)
		}
	})
	return func() {
		cancel()
		wg.Wait()
	}
}

// take returns what is in the buffer out, and frees both.
func take(t *testing.T, in, out shm.Buffer) []byte {
	t.Helper()
	data := make([]byte, out.Len())
	_, err := out.ReadAt(data, 0)
	if err := errors.Join(err, in.Free(), out.Free()); err != nil {
		t.Fatal(err)
	}
	return data
}

// keeper is an enclave with a mistake in it: it keeps the buffers it is lent.
type keeper struct {
	vault.Vault
	kept chan shm.Buffer
	wait chan struct{}
}

func (k *keeper) Seal(_ context.Context, _ vault.Chunk, plain, _ shm.Buffer) error {
	k.kept <- plain
	<-k.wait
	return nil
}

// TestKeptBuffers: nobody can use a buffer that is not theirs at the moment.
func TestKeptBuffers(t *testing.T) {
	k := &keeper{kept: make(chan shm.Buffer, 1), wait: make(chan struct{})}
	e := enclavetest.Start(t, func(e *enclave.Enclave) error {
		vault.RegisterVault(e, k)
		return nil
	})
	c := client{VaultClient: vault.NewVaultClient(e), enclave: e}
	b := c.buffer(t, make([]byte, 100))
	pending := c.StartSeal(t.Context(), vault.Chunk{}, b, b)
	inside := <-k.kept

	// While the call lasts the host has lent the buffer.
	if _, err := b.ReadAt(make([]byte, 1), 0); !errors.Is(err, shm.ErrLent) {
		t.Errorf("the host reads a lent buffer: %v", err)
	}
	if err := b.Free(); !errors.Is(err, shm.ErrLent) {
		t.Errorf("the host frees a lent buffer: %v", err)
	}
	if _, err := inside.ReadAt(make([]byte, 1), 0); err != nil {
		t.Errorf("the enclave can't read a buffer it was lent: %v", err)
	}
	close(k.wait)
	if err := pending.Wait(); err != nil {
		t.Fatal(err)
	}

	// After it the enclave has nothing any more.
	if _, err := inside.ReadAt(make([]byte, 1), 0); !errors.Is(err, shm.ErrReleased) {
		t.Errorf("the enclave reads a buffer it gave back: %v", err)
	}
	if _, err := inside.WriteAt(make([]byte, 1), 0); !errors.Is(err, shm.ErrReleased) {
		t.Errorf("the enclave writes to a buffer it gave back: %v", err)
	}
	if err := b.Free(); err != nil {
		t.Errorf("freeing: %v", err)
	}
	if err := c.Seal(t.Context(), vault.Chunk{}, b, b); !errors.Is(err, shm.ErrReleased) {
		t.Errorf("the host lends a freed buffer: %v", err)
	}
}
