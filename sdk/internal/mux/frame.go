package mux

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// ErrProtocol is matched by the error with which all streams end when the other
// side breaks a rule.
var ErrProtocol = errors.New("the other side broke the rules of the multiplexer")

// Sizes in bytes.
const (
	// Window is how much of a stream may be under way, or unread.
	Window = 128 << 10
	// MaxData is the payload of the largest frame.
	MaxData = 16 << 10

	headerSize = 8
	creditSize = 4
)

// kind is the kind of a frame.
type kind uint8

const (
	kindOpen   kind = 1
	kindData   kind = 2
	kindCredit kind = 3
	kindEnd    kind = 4
)

// header is that of a frame.
type header struct {
	kind   kind
	length int
	stream uint32
}

func (h header) append(b []byte) []byte {
	b = append(b, byte(h.kind), 0)
	b = binary.LittleEndian.AppendUint16(b, uint16(h.length))
	return binary.LittleEndian.AppendUint32(b, h.stream)
}

// parseHeader reads a header of which all but the stream's state is right.
func parseHeader(b *[headerSize]byte) (header, error) {
	h := header{kind(b[0]), int(binary.LittleEndian.Uint16(b[2:])), binary.LittleEndian.Uint32(b[4:])}
	ok := b[1] == 0
	switch h.kind {
	case kindData:
		ok = ok && h.length > 0 && h.length <= MaxData
	case kindCredit:
		ok = ok && h.length == creditSize
	case kindOpen, kindEnd:
		ok = ok && h.length == 0
	default:
		ok = false
	}
	if !ok {
		return h, fmt.Errorf("%w: frame of kind %d with %d bytes", ErrProtocol, h.kind, h.length)
	}
	return h, nil
}
