package main

import (
	"context"
	"sync"

	"github.com/secgear/secgear/examples/vault"
	"github.com/secgear/secgear/sdk/shm"
)

// private is memory of the enclave's own, large enough for a sealed chunk.
//
// Shared memory is not worked on directly. The host can change it at any moment,
// also between GCM's decryption and its authentication: what is checked must be
// what is used, and plaintext that was not authenticated must never be seen.
var private = sync.Pool{New: func() any { return new([vault.ChunkSize + vault.Overhead]byte) }}

// Seal seals a chunk of shared memory.
func (s *service) Seal(_ context.Context, at vault.Chunk, plain, sealed shm.Buffer) error {
	if plain.Len() > vault.ChunkSize || sealed.Len() != plain.Len()+vault.Overhead {
		return vault.ErrSize
	}
	return s.through(plain, sealed, at, (*file).seal)
}

// Unseal opens a chunk of shared memory.
func (s *service) Unseal(_ context.Context, at vault.Chunk, sealed, plain shm.Buffer) error {
	if plain.Len() > vault.ChunkSize || sealed.Len() != plain.Len()+vault.Overhead {
		return vault.ErrSize
	}
	return s.through(sealed, plain, at, (*file).open)
}

// through does work on a chunk that comes and goes in shared memory.
func (s *service) through(from, to shm.Buffer, at vault.Chunk, work func(*file, vault.Chunk, []byte) ([]byte, error)) error {
	f, err := s.file(at.File)
	if err != nil {
		return err
	}
	room := private.Get().(*[vault.ChunkSize + vault.Overhead]byte)
	defer private.Put(room)
	in := room[:from.Len()]
	if _, err := from.ReadAt(in, 0); err != nil {
		return err
	}
	out, err := work(f, at, in)
	if err != nil {
		return err
	}
	_, err = to.WriteAt(out, 0)
	return err
}

// SealCopy seals a chunk that was copied to the enclave's memory already.
func (s *service) SealCopy(_ context.Context, at vault.Chunk, plain []byte) ([]byte, error) {
	f, err := s.file(at.File)
	if err != nil {
		return nil, err
	}
	return f.seal(at, plain)
}

// UnsealCopy opens a chunk that was copied to the enclave's memory already.
func (s *service) UnsealCopy(_ context.Context, at vault.Chunk, sealed []byte) ([]byte, error) {
	f, err := s.file(at.File)
	if err != nil {
		return nil, err
	}
	return f.open(at, sealed)
}

// SealSwitched is SealCopy: how a call travels is the contract's matter.
func (s *service) SealSwitched(ctx context.Context, at vault.Chunk, plain []byte) ([]byte, error) {
	return s.SealCopy(ctx, at, plain)
}

// UnsealSwitched is UnsealCopy.
func (s *service) UnsealSwitched(ctx context.Context, at vault.Chunk, sealed []byte) ([]byte, error) {
	return s.UnsealCopy(ctx, at, sealed)
}

// Nothing does nothing.
func (*service) Nothing(context.Context) error { return nil }

// NothingSwitched does nothing.
func (*service) NothingSwitched(context.Context) error { return nil }
