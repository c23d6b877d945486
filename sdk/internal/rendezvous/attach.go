package rendezvous

import (
	"encoding/binary"
	"fmt"
)

// Version is that of the attach protocol.
const Version = 1

// AttachRequest is the payload of a KindAttach frame:
//
//	0 version uint32
//	4 –       4 bytes zero
//	8 memory  uint64  size of the lane in bytes, 0: as the owner likes
type AttachRequest struct {
	Memory uint64
}

const attachRequestSize = 16

// Encode returns the payload.
func (a AttachRequest) Encode() []byte {
	b := binary.LittleEndian.AppendUint64(nil, Version)
	return binary.LittleEndian.AppendUint64(b, a.Memory)
}

// ParseAttachRequest reads the payload of a KindAttach frame.
func ParseAttachRequest(b []byte) (AttachRequest, error) {
	if len(b) != attachRequestSize {
		return AttachRequest{}, fmt.Errorf("%w: a request to attach of %d bytes", ErrProtocol, len(b))
	}
	if v := binary.LittleEndian.Uint64(b); v != Version {
		return AttachRequest{}, fmt.Errorf("%w: version %d of the attach protocol, where version %d is spoken", ErrProtocol, v, Version)
	}
	return AttachRequest{Memory: binary.LittleEndian.Uint64(b[8:])}, nil
}

// Attached is the answer to a request to attach. Its first byte comes with two
// descriptors: the lane's memory and its bell. The connection stays: it ends
// when either process has done with the lane.
//
//	 0 version  uint32
//	 4 workers  uint32  calls that the enclave handles at a time for this lane
//	 8 memory   uint64  size of the lane in bytes
//	16 digest   [32]byte
//	48 signer   [32]byte
//	80 about    JSON: whatever else the owner tells
//
// All of it is the owner's word.
type Attached struct {
	Workers uint32
	Memory  uint64
	Digest  [32]byte
	Signer  [32]byte
	About   []byte
}

const attachedSize = 80

// Encode returns the payload.
func (a Attached) Encode() []byte {
	b := binary.LittleEndian.AppendUint32(nil, Version)
	b = binary.LittleEndian.AppendUint32(b, a.Workers)
	b = binary.LittleEndian.AppendUint64(b, a.Memory)
	b = append(b, a.Digest[:]...)
	b = append(b, a.Signer[:]...)
	return append(b, a.About...)
}

// ParseAttached reads the payload of an answer. About is part of b.
func ParseAttached(b []byte) (Attached, error) {
	if len(b) < attachedSize {
		return Attached{}, fmt.Errorf("%w: %d bytes of answer to a request to attach", ErrProtocol, len(b))
	}
	if v := binary.LittleEndian.Uint32(b); v != Version {
		return Attached{}, fmt.Errorf("%w: version %d of the attach protocol, where version %d is spoken", ErrProtocol, v, Version)
	}
	return Attached{
		Workers: binary.LittleEndian.Uint32(b[4:]),
		Memory:  binary.LittleEndian.Uint64(b[8:]),
		Digest:  [32]byte(b[16:]),
		Signer:  [32]byte(b[48:]),
		About:   b[attachedSize:],
	}, nil
}
