package main

import (
	"crypto/aes"
	"crypto/cipher"
	"encoding/binary"
	"fmt"
	"sync"

	"github.com/secgear/secgear/examples/vault"
)

// file is a file being sealed or opened. Its methods are safe for concurrent
// use.
//
// Each chunk is encrypted with AES-256-GCM, after the STREAM construction
// (Hoang, Reyhanitabar, Rogaway, Vizár, CRYPTO 2015):
//
//	key              the file's own, so that chunks of two files can't be mixed
//	nonce            8 bytes index, big-endian, 3 bytes zero, 1 byte last (0, 1):
//	                 chunks can't be moved, and if the end is cut off, what is
//	                 the last chunk now does not open as the last
//	associated data  the header, so that it can't be changed either
//
// A nonce must never serve twice under one key, or GCM is broken: each index is
// accepted once, and a file that is being opened can't be sealed to.
type file struct {
	purpose purpose
	aead    cipher.AEAD
	header  vault.Header

	mu    sync.Mutex
	turns turns  // chunks that were begun
	done  uint64 // number of chunks that went well
}

type purpose bool

const (
	sealing purpose = false
	opening purpose = true
)

const keySize = 32

func newFile(p purpose, key []byte, header vault.Header) (*file, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		return nil, err
	}
	return &file{purpose: p, aead: aead, header: header}, nil
}

// seal encrypts a chunk. Its content, which must be private memory, is
// overwritten; if there is room behind it, the result is there too.
func (f *file) seal(at vault.Chunk, plain []byte) ([]byte, error) {
	if err := f.begin(sealing, at, len(plain)); err != nil {
		return nil, err
	}
	sealed := f.aead.Seal(plain[:0], nonce(at), plain, f.header[:])
	f.succeed()
	return sealed, nil
}

// open decrypts a chunk where it is, which must be private memory.
func (f *file) open(at vault.Chunk, sealed []byte) ([]byte, error) {
	if err := f.begin(opening, at, len(sealed)-vault.Overhead); err != nil {
		return nil, err
	}
	plain, err := f.aead.Open(sealed[:0], nonce(at), sealed, f.header[:])
	if err != nil {
		return nil, fmt.Errorf("chunk %d: %w", at.Index, vault.ErrTampered)
	}
	f.succeed()
	return plain, nil
}

// begin accepts a chunk with size bytes of content, or not. There is no second
// try.
func (f *file) begin(p purpose, at vault.Chunk, size int) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case f.purpose != p:
		return vault.ErrFile
	case !rightSize(at, size):
		return fmt.Errorf("chunk %d: %w: %d bytes", at.Index, vault.ErrSize, size)
	case !f.turns.take(at.Index, at.Last):
		return fmt.Errorf("chunk %d: %w", at.Index, vault.ErrIndex)
	}
	return nil
}

// rightSize tells whether a chunk may have size bytes of content: there is one
// way only to cut a file into chunks.
func rightSize(at vault.Chunk, size int) bool {
	if !at.Last {
		return size == vault.ChunkSize
	}
	return size >= 0 && size <= vault.ChunkSize && (size > 0 || at.Index == 0)
}

func (f *file) succeed() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.done++
}

func (f *file) finish() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if total, known := f.turns.total(); !known || f.done != total {
		return fmt.Errorf("%w: %d chunks went well", vault.ErrIncomplete, f.done)
	}
	return nil
}

func nonce(at vault.Chunk) []byte {
	n := make([]byte, 12)
	binary.BigEndian.PutUint64(n, at.Index)
	if at.Last {
		n[11] = 1
	}
	return n
}
