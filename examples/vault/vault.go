// Package vault is the contract of an enclave that seals files: what it makes
// of a file can be kept anywhere, and only this enclave, on this machine, opens
// it again and notices every change.
//
// A sealed file is a header and the file's content in chunks:
//
//	header    HeaderSize bytes: the file's own key, sealed by the enclave
//	chunk 0   ChunkSize + Overhead bytes
//	chunk 1   …
//	last      up to ChunkSize + Overhead bytes; empty only in an empty file
//
// The host keeps the bytes and the enclave has the key. To seal a file the host
// calls Create, Seal for each chunk, and Finish; to open it, Open, Unseal for
// each chunk, and Finish. Several chunks may be under way at once.
//
// This file is all that one writes by hand to cross the boundary: the client
// and the registration beside it are generated from the interfaces. After a
// change, run go generate.
package vault

import (
	"context"
	"errors"

	"github.com/secgear/secgear/sdk/shm"
)

//go:generate go run github.com/secgear/secgear/cmd/secgear generate

// Sizes in bytes.
const (
	ChunkSize  = 256 << 10 // of every chunk's content but the last one's
	Overhead   = 16        // that a sealed chunk is longer than its content
	HeaderSize = 104
)

// What a header begins with. TemporaryMagic is for files whose key is lost with the
// enclave, as the TEE has no sealing keys.
const (
	Magic          = "sgvault\x01"
	TemporaryMagic = "sgvault\x02"
)

// Header begins a sealed file. It is no secret.
type Header [HeaderSize]byte

// File is a file being sealed or opened. It means something only to the
// enclave that returned it, until Finish.
type File uint64

// Chunk says which part of which file the bytes of a call are.
type Chunk struct {
	File  File
	Index uint64 // 0, 1, 2, …, each once
	Last  bool   // there are none after it
}

// What can be wrong with a sealed file or with how the enclave is called. These
// keep their identity across the boundary: errors.Is finds them in what a call
// returns.
//
//secgear:error
var (
	// ErrHeader: the header was not made by this enclave on this machine, or was
	// changed.
	ErrHeader = errors.New("not a header of a file sealed here")
	// ErrTampered: the chunk is not the one that was sealed for this place in
	// this file.
	ErrTampered = errors.New("sealed chunk was changed, moved or belongs to another file")
	// ErrIncomplete: chunks are missing.
	ErrIncomplete = errors.New("file is not complete")
	// ErrIndex: the chunk was there before, comes after the last one, or is too
	// far ahead of those that are missing.
	ErrIndex = errors.New("chunk is out of turn")
	// ErrSize: the number of bytes is not that of such a chunk.
	ErrSize = errors.New("wrong size of chunk")
	// ErrFile: there is no such file being sealed, or opened.
	ErrFile = errors.New("no such file")
)

// Vault is what the enclave does for the host.
//
//secgear:ecall
type Vault interface {
	// Create begins to seal a file and returns the header it must begin with.
	Create(ctx context.Context) (File, Header, error)

	// Open begins to open the sealed file with this header. Its error matches
	// ErrHeader if that was not made here.
	Open(ctx context.Context, header Header) (File, error)

	// Seal seals the chunk in plain to sealed, which is Overhead bytes longer.
	// Both are memory that host and enclave share, and may overlap.
	Seal(ctx context.Context, at Chunk, plain, sealed shm.Buffer) error

	// Unseal opens the chunk in sealed to plain, which is Overhead bytes
	// shorter; they may overlap. If the error matches ErrTampered, plain is as
	// it was before.
	Unseal(ctx context.Context, at Chunk, sealed, plain shm.Buffer) error

	// Finish ends the sealing or opening of a file. Unless each of its chunks
	// went well, up to the last, the error matches ErrIncomplete: a file that is
	// being opened may have been cut short.
	Finish(ctx context.Context, f File) error
}

// Detours are other ways to do the same, which the example compares: the bytes
// as ordinary arguments, which are copied; and calls that go through a socket
// and the kernel instead of shared memory.
//
//secgear:ecall
type Detours interface {
	// SealCopy is Seal with copied bytes.
	SealCopy(ctx context.Context, at Chunk, plain []byte) ([]byte, error)

	// UnsealCopy is Unseal with copied bytes.
	UnsealCopy(ctx context.Context, at Chunk, sealed []byte) ([]byte, error)

	// SealSwitched is SealCopy by a switched call.
	//
	//secgear:switched
	SealSwitched(ctx context.Context, at Chunk, plain []byte) ([]byte, error)

	// UnsealSwitched is UnsealCopy by a switched call.
	//
	//secgear:switched
	UnsealSwitched(ctx context.Context, at Chunk, sealed []byte) ([]byte, error)

	// Nothing does nothing: what it takes is what a call takes.
	Nothing(ctx context.Context) error

	// NothingSwitched does nothing by a switched call.
	//
	//secgear:switched
	NothingSwitched(ctx context.Context) error
}
