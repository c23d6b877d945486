package main

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/secgear/secgear/examples/vault"
	"github.com/secgear/secgear/sdk/enclavetest"
)

// newJobs returns a function that makes jobs for an enclave of their own.
func newJobs(t *testing.T) func(content []byte) *job {
	t.Helper()
	e := enclavetest.Start(t, nil, enclavetest.Sandboxed(), enclavetest.WithPackage("../enclave"))
	return func(content []byte) *job {
		r, err := newRoads(t.Context(), e)
		if err != nil {
			t.Fatal(err)
		}
		f, err := os.Create(filepath.Join(t.TempDir(), "sealed"))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := f.Close(); err != nil {
				t.Error(err)
			}
		})
		return &job{enclave: vault.NewVaultClient(e), roads: r.zeroCopy, plain: bytes.NewReader(content), size: int64(len(content)), sealed: f}
	}
}

// TestTamperedFile: a sealed file that was changed on disk does not open.
func TestTamperedFile(t *testing.T) {
	newJob := newJobs(t)
	content := random(5*vault.ChunkSize + 7)
	tests := []struct {
		name   string
		change func(j *job, sealed []byte) []byte
		want   error
	}{
		{"not at all", func(_ *job, b []byte) []byte { return b }, nil},
		{"a bit", func(_ *job, b []byte) []byte { b[len(b)/2] ^= 1; return b }, vault.ErrTampered},
		{"header", func(_ *job, b []byte) []byte { b[vault.HeaderSize-1] ^= 1; return b }, vault.ErrHeader},
		{"cut at a chunk, and a host that believes it", func(j *job, b []byte) []byte {
			j.size = 5 * vault.ChunkSize
			return b[:vault.HeaderSize+5*sealedChunk]
		}, vault.ErrTampered},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			j := newJob(content)
			if err := j.seal(t.Context(), new(progress)); err != nil {
				t.Fatal(err)
			}
			sealed, err := os.ReadFile(j.sealed.Name())
			if err != nil {
				t.Fatal(err)
			}
			if int64(len(sealed)) != sealedSize(j.size) {
				t.Errorf("sealed it is %d bytes long, want %d", len(sealed), sealedSize(j.size))
			}
			if err := os.WriteFile(j.sealed.Name(), tt.change(j, sealed), 0o600); err != nil {
				t.Fatal(err)
			}
			if err := j.open(t.Context(), new(progress)); !errors.Is(err, tt.want) {
				t.Errorf("error %v, want %v", err, tt.want)
			}
		})
	}
}

// TestFileChanges: a file that is written to meanwhile is found out.
func TestFileChanges(t *testing.T) {
	newJob := newJobs(t)
	content := random(2 * vault.ChunkSize)
	t.Run("other content", func(t *testing.T) {
		j := newJob(content)
		if err := j.seal(t.Context(), new(progress)); err != nil {
			t.Fatal(err)
		}
		changed := slices.Clone(content)
		changed[vault.ChunkSize]++
		j.plain = bytes.NewReader(changed)
		if err := j.open(t.Context(), new(progress)); err == nil || !strings.Contains(err.Error(), "the chunk at 262144") {
			t.Errorf("error %v", err)
		}
	})
	t.Run("shorter", func(t *testing.T) {
		j := newJob(content)
		j.size++
		if err := j.run(t.Context(), new(progress)); err == nil || !strings.Contains(err.Error(), "shorter") {
			t.Errorf("error %v", err)
		}
	})
}

// fakeRoad returns in capitals what it is given.
type fakeRoad struct {
	room []byte
	busy bool
	fail error
}

var errBusy = errors.New("the road is taken")

func (f *fakeRoad) load(n int) ([]byte, error) {
	if f.busy {
		return nil, errBusy
	}
	f.room = make([]byte, n)
	return f.room, nil
}

func (f *fakeRoad) seal(context.Context, vault.Chunk) { f.busy = true }
func (f *fakeRoad) open(context.Context, vault.Chunk) { f.busy = true }

func (f *fakeRoad) wait() ([]byte, error) {
	if !f.busy {
		return nil, errors.New("nothing to wait for")
	}
	f.busy = false
	return bytes.ToUpper(f.room), f.fail
}

// TestStream: every piece takes a road, and comes back in order.
func TestStream(t *testing.T) {
	const text = "every piece takes a road"
	for size := range len(text) + 1 {
		for count := 1; count <= 5; count++ {
			fakes := make([]road, count)
			for i := range fakes {
				fakes[i] = new(fakeRoad)
			}
			var got strings.Builder
			var lasts []int64
			err := stream(fakes, strings.NewReader(text[:size]), int64(size), 3,
				func(r road, i int64, last bool) {
					r.seal(t.Context(), vault.Chunk{})
					if last {
						lasts = append(lasts, i)
					}
				},
				func(i int64, out []byte) error {
					if int64(got.Len()) != 3*i {
						t.Errorf("piece %d comes after %d bytes", i, got.Len())
					}
					got.Write(out)
					return nil
				})
			if err != nil || got.String() != strings.ToUpper(text[:size]) {
				t.Errorf("%d bytes on %d roads: %q, %v", size, count, got.String(), err)
			}
			if want := int64(max(0, (size-1)/3)); !slices.Equal(lasts, []int64{want}) {
				t.Errorf("%d bytes: last is %v, want %d", size, lasts, want)
			}
		}
	}
}

// TestStreamFails: it ends with the first error.
func TestStreamFails(t *testing.T) {
	mine := errors.New("mine")
	send := func(r road, _ int64, _ bool) { r.seal(t.Context(), vault.Chunk{}) }
	fine := func(int64, []byte) error { return nil }
	tests := []struct {
		name  string
		roads []road
		size  int64
		send  func(road, int64, bool)
		take  func(int64, []byte) error
		want  error
	}{
		{"in the enclave", []road{new(fakeRoad), &fakeRoad{fail: mine}}, 9, send, fine, mine},
		{"in writing", []road{new(fakeRoad)}, 9, send, func(int64, []byte) error { return mine }, mine},
		{"in loading", []road{&fakeRoad{busy: true}}, 9, send, fine, errBusy},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			err := stream(tt.roads, strings.NewReader("some text"), tt.size, 3, tt.send, tt.take)
			if !errors.Is(err, tt.want) {
				t.Errorf("error %v, want %v", err, tt.want)
			}
		})
	}
}
