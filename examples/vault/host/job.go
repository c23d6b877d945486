package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"syscall"
	"time"

	"github.com/secgear/secgear/examples/vault"
)

// job is a file to be sealed, opened again and compared.
type job struct {
	enclave vault.VaultClient
	roads   []road      // each for one chunk at a time
	plain   io.ReaderAt // the file, of size bytes
	size    int64
	sealed  *os.File // where it goes, from the beginning

	took      times // set by run
	temporary bool  // set by run: the file's key is lost with the enclave
}

// times are how long the parts of a job took.
type times struct{ seal, open time.Duration }

// sealedChunk is the length of a full chunk once it is sealed.
const sealedChunk = vault.ChunkSize + vault.Overhead

// chunks is how many chunks a file of size bytes has. An empty file has one.
func chunks(size int64) int64 {
	return max(1, (size+vault.ChunkSize-1)/vault.ChunkSize)
}

// sealedSize is how long a file of size bytes is once it is sealed.
func sealedSize(size int64) int64 {
	return vault.HeaderSize + size + chunks(size)*vault.Overhead
}

// run seals the file, opens what came of it, and fails if that is not the file.
func (j *job) run(ctx context.Context, show *progress) error {
	began := time.Now()
	if err := j.seal(ctx, show); err != nil {
		return fmt.Errorf("sealing: %w", err)
	}
	j.took.seal = time.Since(began)
	began = time.Now()
	if err := j.open(ctx, show); err != nil {
		return fmt.Errorf("opening what was sealed: %w", err)
	}
	j.took.open = time.Since(began)
	return nil
}

// seal writes the header that the enclave gives, and then every chunk as it comes
// back.
func (j *job) seal(ctx context.Context, show *progress) error {
	file, header, err := j.enclave.Create(ctx)
	if err != nil {
		return err
	}
	if _, err := j.sealed.WriteAt(header[:], 0); err != nil {
		return diskFull(err)
	}
	defer show.begin("sealing", j.size)()
	err = stream(j.roads, j.plain, j.size, vault.ChunkSize,
		func(r road, i int64, last bool) { r.seal(ctx, vault.Chunk{File: file, Index: uint64(i), Last: last}) },
		func(i int64, sealed []byte) error {
			_, err := j.sealed.WriteAt(sealed, vault.HeaderSize+i*sealedChunk)
			show.advance(len(sealed))
			return diskFull(err)
		})
	if err != nil {
		return err
	}
	return j.enclave.Finish(ctx, file)
}

// open reads the header back, then chunk after chunk, and compares what the enclave
// makes of them with the file. Only Finish tells that none was missing.
func (j *job) open(ctx context.Context, show *progress) error {
	var header vault.Header
	if _, err := j.sealed.ReadAt(header[:], 0); err != nil {
		return err
	}
	j.temporary = string(header[:len(vault.TemporaryMagic)]) == vault.TemporaryMagic
	file, err := j.enclave.Open(ctx, header)
	if err != nil {
		return err
	}
	defer show.begin("opening", j.size)()
	original := make([]byte, vault.ChunkSize)
	body := io.NewSectionReader(j.sealed, vault.HeaderSize, sealedSize(j.size)-vault.HeaderSize)
	err = stream(j.roads, body, body.Size(), sealedChunk,
		func(r road, i int64, last bool) { r.open(ctx, vault.Chunk{File: file, Index: uint64(i), Last: last}) },
		func(i int64, opened []byte) error {
			show.advance(len(opened))
			return j.compare(opened, original[:len(opened)], i*vault.ChunkSize)
		})
	if err != nil {
		return err
	}
	return j.enclave.Finish(ctx, file)
}

// compare fails unless opened is what the file holds at off. room is for that.
func (j *job) compare(opened, room []byte, off int64) error {
	if err := readAt(j.plain, room, off); err != nil {
		return err
	}
	if !bytes.Equal(opened, room) {
		return fmt.Errorf("the chunk at %d is not what the file holds there now", off)
	}
	return nil
}

// stream takes size bytes of src in pieces of step bytes through the enclave and
// hands what comes back to take, in order. A piece is under way on each of the
// roads, so that the enclave works while the host reads and writes.
func stream(roads []road, src io.ReaderAt, size, step int64, send func(r road, i int64, last bool), take func(i int64, out []byte) error) error {
	count := max(1, (size+step-1)/step)
	lead := int64(len(roads)) // pieces sent before the first one is waited for
	for i := range count + lead {
		r := roads[i%lead]
		if i >= lead && i-lead < count {
			out, err := r.wait()
			if err != nil {
				return err
			}
			if err := take(i-lead, out); err != nil {
				return err
			}
		}
		if i < count {
			in, err := r.load(int(min(step, size-i*step)))
			if err != nil {
				return err
			}
			if err := readAt(src, in, i*step); err != nil {
				return err
			}
			send(r, i, i == count-1)
		}
	}
	return nil
}

// readAt fills p from off on.
func readAt(src io.ReaderAt, p []byte, off int64) error {
	n, err := src.ReadAt(p, off)
	switch {
	case n == len(p):
		return nil
	case errors.Is(err, io.EOF):
		return errors.New("the file has become shorter")
	}
	return err
}

// diskFull adds what to do to the error of a write for which there is no space.
func diskFull(err error) error {
	if errors.Is(err, syscall.ENOSPC) {
		return fmt.Errorf("%w (set TMPDIR to a folder with more space)", err)
	}
	return err
}
