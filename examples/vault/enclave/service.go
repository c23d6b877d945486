package main

import (
	"context"
	"crypto/rand"
	"fmt"
	"sync"

	"github.com/secgear/secgear/examples/vault"
	"github.com/secgear/secgear/sdk/enclave"
)

// service implements vault.Vault and vault.Detours. Its methods run
// concurrently, with arguments that an attacker may have chosen.
type service struct {
	enclave   *enclave.Enclave
	temporary temporary // where the TEE does not seal

	mu    sync.Mutex
	files map[vault.File]*file
	last  vault.File // the number given last
}

// maxFiles bounds the files that are being sealed or opened at a time, so that
// the host can't use up the enclave's memory.
const maxFiles = 1000

// A header is the magic and the sealed key, or this does not compile.
var _ [vault.HeaderSize]struct{} = [len(vault.Magic) + keySize + enclave.SealOverhead]struct{}{}

// Create draws a key for the file and seals it.
func (s *service) Create(context.Context) (vault.File, vault.Header, error) {
	var key [keySize]byte
	defer clear(key[:])
	rand.Read(key[:]) // never fails, as documented
	header, err := s.sealKey(key[:])
	if err != nil {
		return 0, header, err
	}
	f, err := newFile(sealing, key[:], header)
	if err != nil {
		return 0, header, err
	}
	number, err := s.add(f)
	return number, header, err
}

// Open unseals the key in the header.
func (s *service) Open(_ context.Context, header vault.Header) (vault.File, error) {
	key, err := s.openKey(header)
	if err != nil {
		return 0, err
	}
	defer clear(key)
	f, err := newFile(opening, key, header)
	if err != nil {
		return 0, err
	}
	return s.add(f)
}

// Finish forgets the file's key and tells whether all chunks were there.
func (s *service) Finish(_ context.Context, number vault.File) error {
	f, err := s.file(number)
	if err != nil {
		return err
	}
	s.mu.Lock()
	delete(s.files, number)
	s.mu.Unlock()
	return f.finish()
}

// add gives f a number that no other file ever had.
func (s *service) add(f *file) (vault.File, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.files) >= maxFiles {
		return 0, fmt.Errorf("%d files are being sealed or opened already", maxFiles)
	}
	s.last++
	s.files[s.last] = f
	return s.last, nil
}

func (s *service) file(number vault.File) (*file, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f := s.files[number]
	if f == nil {
		return nil, vault.ErrFile
	}
	return f, nil
}
