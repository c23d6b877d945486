package control

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// ErrProtocol: the other side sent what the protocol does not allow.
var ErrProtocol = errors.New("control protocol violated")

// headerSize is the number of bytes of a frame before its payload.
const headerSize = 5

// Append appends m as one frame to b. What exceeds a bound is cut off.
func Append(b []byte, m Message) []byte {
	start := len(b)
	w := writer{append(b, 0, 0, 0, 0, m.kind())}
	m.write(&w)
	binary.LittleEndian.PutUint32(w.b[start:], uint32(len(w.b)-start-headerSize))
	return w.b
}

// Write sends m as one frame, in one call of w.Write.
func Write(w io.Writer, m Message) error {
	_, err := w.Write(Append(nil, m))
	return err
}

// Read receives the next message. [io.EOF] is the end of the stream between
// two messages; an error that matches [ErrProtocol] is the peer's fault. No
// more than MaxPayload is allocated, whatever the peer sends.
func Read(r io.Reader) (Message, error) {
	var head [headerSize]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return nil, err
	}
	size, m := binary.LittleEndian.Uint32(head[:]), newMessage(head[4])
	if m == nil {
		return nil, fmt.Errorf("%w: message of unknown type %d", ErrProtocol, head[4])
	}
	if size > MaxPayload {
		return nil, fmt.Errorf("%w: message of %d bytes", ErrProtocol, size)
	}
	payload := make([]byte, size)
	if _, err := io.ReadFull(r, payload); err != nil {
		if err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		return nil, err
	}
	in := reader{rest: payload}
	if m.read(&in); in.bad || len(in.rest) != 0 {
		return nil, fmt.Errorf("%w: malformed message of type %d", ErrProtocol, head[4])
	}
	return m, nil
}

// writer builds a payload.
type writer struct{ b []byte }

func (w *writer) u8(v uint8)   { w.b = append(w.b, v) }
func (w *writer) u16(v uint16) { w.b = binary.LittleEndian.AppendUint16(w.b, v) }
func (w *writer) u32(v uint32) { w.b = binary.LittleEndian.AppendUint32(w.b, v) }
func (w *writer) u64(v uint64) { w.b = binary.LittleEndian.AppendUint64(w.b, v) }

// text writes the first bytes of s, at most most.
func (w *writer) text(s string, most int) {
	s = s[:min(len(s), most)]
	w.u16(uint16(len(s)))
	w.b = append(w.b, s...)
}

// reader takes a payload apart. After a fault it yields zeros.
type reader struct {
	rest []byte
	bad  bool
}

// take returns the next n bytes, or nil.
func (r *reader) take(n int) []byte {
	if n > len(r.rest) {
		r.bad, r.rest = true, nil
		return nil
	}
	b := r.rest[:n]
	r.rest = r.rest[n:]
	return b
}

func (r *reader) u8() uint8 {
	if b := r.take(1); b != nil {
		return b[0]
	}
	return 0
}

func (r *reader) u16() uint16 {
	if b := r.take(2); b != nil {
		return binary.LittleEndian.Uint16(b)
	}
	return 0
}

func (r *reader) u32() uint32 {
	if b := r.take(4); b != nil {
		return binary.LittleEndian.Uint32(b)
	}
	return 0
}

func (r *reader) u64() uint64 {
	if b := r.take(8); b != nil {
		return binary.LittleEndian.Uint64(b)
	}
	return 0
}

// text reads a text of at most most bytes.
func (r *reader) text(most int) string {
	n := int(r.u16())
	if n > most {
		r.bad, r.rest = true, nil
		return ""
	}
	return string(r.take(n))
}

// count reads a number of elements, each of at least size bytes.
func (r *reader) count(most, size int) int {
	n := int(r.u16())
	if n > most || n*size > len(r.rest) {
		r.bad, r.rest = true, nil
		return 0
	}
	return n
}
