package tpm

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/google/go-tpm/tpm2"
	"github.com/google/go-tpm/tpm2/transport"
)

// nvIndex is a place in the TPM's memory.
type nvIndex struct {
	name   tpm2.TPM2BName
	public tpm2.TPMSNVPublic
}

// lookNV returns what is at a place, or nil.
func lookNV(c transport.TPM, at tpm2.TPMHandle) (*nvIndex, error) {
	got, err := tpm2.NVReadPublic{NVIndex: at}.Execute(c)
	if errors.Is(err, tpm2.TPMRCHandle) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("looking at NV index %#x: %w", at, err)
	}
	public, err := got.NVPublic.Contents()
	var name *tpm2.TPM2BName
	if err == nil {
		name, err = tpm2.NVName(public)
	}
	if err == nil && (public.NVIndex != at || !bytes.Equal(name.Buffer, got.NVName.Buffer)) {
		err = errAltered
	}
	if err != nil {
		return nil, fmt.Errorf("looking at NV index %#x: %w", at, err)
	}
	return &nvIndex{got.NVName, *public}, nil
}

// named is the place as a command's operand.
func (n *nvIndex) named() tpm2.NamedHandle {
	return tpm2.NamedHandle{Handle: n.public.NVIndex, Name: n.name}
}

// with is the place with an authorization.
func (n *nvIndex) with(auth tpm2.Session) tpm2.AuthHandle {
	return tpm2.AuthHandle{Handle: n.public.NVIndex, Name: n.name, Auth: auth}
}

// maxNV bounds what is read of a place, in bytes; pieceNV is what every TPM
// yields at once.
const (
	maxNV   = 8 << 10
	pieceNV = 512
)

// readFirst reads the first of the places that is there and can be read by
// anyone, or nothing.
func readFirst(c transport.TPM, places ...tpm2.TPMHandle) ([]byte, error) {
	for _, at := range places {
		n, err := lookNV(c, at)
		if err != nil {
			return nil, err
		}
		if n == nil || !n.public.Attributes.Written {
			continue
		}
		if n.public.DataSize > maxNV {
			return nil, fmt.Errorf("NV index %#x has %d bytes", at, n.public.DataSize)
		}
		return n.read(c)
	}
	return nil, nil
}

// read reads the whole place, which needs no authorization.
func (n *nvIndex) read(c transport.TPM) (b []byte, err error) {
	auth := n.with(tpm2.PasswordAuth(nil))
	if !n.public.Attributes.AuthRead {
		auth = tpm2.AuthHandle{Handle: tpm2.TPMRHOwner, Auth: tpm2.PasswordAuth(nil)}
	}
	for size := int(n.public.DataSize); len(b) < size; {
		got, err := tpm2.NVRead{
			AuthHandle: auth, NVIndex: n.named(),
			Size: uint16(min(size-len(b), pieceNV)), Offset: uint16(len(b)),
		}.Execute(c)
		if err != nil {
			return nil, fmt.Errorf("reading NV index %#x: %w", n.public.NVIndex, err)
		}
		if len(got.Data.Buffer) == 0 {
			return nil, fmt.Errorf("reading NV index %#x: it yields nothing", n.public.NVIndex)
		}
		b = append(b, got.Data.Buffer...)
	}
	return b, nil
}
