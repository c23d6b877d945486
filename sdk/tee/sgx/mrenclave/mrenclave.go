// Package mrenclave computes the measurement of an SGX enclave without a
// processor: what ECREATE, EADD, EEXTEND and EINIT would make of a list of pages
// (Intel SDM volume 3D, "MRENCLAVE", and the operations of those leaves).
package mrenclave

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
)

// PageSize is the size of an enclave's page, chunk the part of one that a single
// EEXTEND measures.
const (
	PageSize = 4096
	chunk    = 256
)

// Flags of a page: the first eight bytes of its SECINFO.
type Flags uint64

// What Flags is made of: permissions, and the page's type.
const (
	Read    Flags = 1 << 0
	Write   Flags = 1 << 1
	Execute Flags = 1 << 2
	TCS     Flags = 1 << 8 // a thread's control structure, without permissions
	Regular Flags = 2 << 8
)

// maxSize bounds an enclave: no processor has more linear addresses.
const maxSize = 1 << 56

// Builder measures one enclave, in the order in which it is built. Its methods
// return the first error again once there was one.
type Builder struct {
	hash  hash.Hash
	size  uint64
	added map[uint64]bool // offsets of pages
	err   error
}

// New is ECREATE: an enclave of size bytes, a power of two, with SSA frames of so
// many pages.
func New(size uint64, ssaPages uint32) (*Builder, error) {
	if size < 2*PageSize || size > maxSize || size&(size-1) != 0 {
		return nil, fmt.Errorf("an enclave of %d bytes: the size must be a power of two from %d on", size, 2*PageSize)
	}
	if ssaPages == 0 {
		return nil, errors.New("an enclave whose SSA frames have no pages")
	}
	b := &Builder{hash: sha256.New(), size: size, added: make(map[uint64]bool)}
	b.record("ECREATE\x00", binary.LittleEndian.AppendUint64(binary.LittleEndian.AppendUint32(nil, ssaPages), size))
	return b, nil
}

// record measures an operation: its name, its operands, and zeros up to 64 bytes.
func (b *Builder) record(name string, operands []byte) {
	var block [64]byte
	copy(block[:], name)
	copy(block[8:], operands)
	b.hash.Write(block[:])
}

// Add is EADD of a page at offset, and with measured EEXTEND of all of it; page is
// one page long. What is not measured may have any content when the enclave
// starts.
func (b *Builder) Add(offset uint64, flags Flags, page []byte, measured bool) error {
	if b.err == nil {
		b.err = b.check(offset, flags, page)
	}
	if b.err != nil {
		return b.err
	}
	b.added[offset] = true
	le := binary.LittleEndian
	b.record("EADD\x00\x00\x00\x00", le.AppendUint64(le.AppendUint64(nil, offset), uint64(flags)))
	if !measured {
		return nil
	}
	for at := uint64(0); at < PageSize; at += chunk {
		b.record("EEXTEND\x00", le.AppendUint64(nil, offset+at))
		b.hash.Write(page[at : at+chunk])
	}
	return nil
}

// check refuses what the processor would.
func (b *Builder) check(offset uint64, flags Flags, page []byte) error {
	const all = Read | Write | Execute | TCS | Regular
	kind := flags & (TCS | Regular)
	switch {
	case len(page) != PageSize:
		return fmt.Errorf("a page of %d bytes at offset %#x", len(page), offset)
	case offset%PageSize != 0 || offset >= b.size:
		return fmt.Errorf("a page at offset %#x of an enclave of %#x bytes", offset, b.size)
	case b.added[offset]:
		return fmt.Errorf("a second page at offset %#x", offset)
	case flags&^all != 0 || kind != TCS && kind != Regular || kind == TCS && flags != TCS || flags&(Write|Read) == Write:
		return fmt.Errorf("a page at offset %#x with flags %#x", offset, uint64(flags))
	}
	return nil
}

// Sum is EINIT: the enclave's MRENCLAVE, or the error that Add returned. More may
// be added afterwards.
func (b *Builder) Sum() (sum [sha256.Size]byte, err error) {
	if b.err != nil {
		return sum, b.err
	}
	return [sha256.Size]byte(b.hash.Sum(nil)), nil
}
