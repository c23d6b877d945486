package hostile

import (
	"bufio"
	"encoding/binary"
	"io"
)

// Kinds of frames.
const (
	FrameCall   = 1
	FrameAnswer = 2
	FrameCancel = 3
	FrameWake   = 4
)

// FrameHeader is the size of a frame without its payload.
const FrameHeader = 32

// Frame is the header of a frame of the stream beside a lane.
type Frame struct {
	Kind, Slot, Parent, Level uint8
	Method                    uint16
	Gen, ParentGen            uint32
	Contract                  uint32 // of a call; the status of an answer
	Timeout                   uint32
	Len                       uint32
}

// Append appends the encoded header to b.
func (f Frame) Append(b []byte) []byte {
	b = append(b, f.Kind, f.Slot)
	b = binary.LittleEndian.AppendUint16(b, f.Method)
	b = binary.LittleEndian.AppendUint32(b, f.Gen)
	b = binary.LittleEndian.AppendUint32(b, f.Contract)
	b = binary.LittleEndian.AppendUint32(b, f.Len)
	b = binary.LittleEndian.AppendUint32(b, f.ParentGen)
	b = append(b, f.Parent, f.Level, 0, 0)
	b = binary.LittleEndian.AppendUint32(b, f.Timeout)
	return append(b, 0, 0, 0, 0)
}

// Send writes a frame whose length is that of payload. The error is that of the
// stream, which the victim closes when it has had enough.
func (p *Peer) Send(f Frame, payload []byte) error {
	f.Len = uint32(len(payload))
	_, err := p.Bell.Write(append(f.Append(nil), payload...))
	return err
}

// Frames reads the victim's frames until the stream ends, and hands each to
// each.
func (p *Peer) Frames(each func(Frame, []byte)) {
	r := bufio.NewReader(p.Bell)
	for {
		var h [FrameHeader]byte
		if _, err := io.ReadFull(r, h[:]); err != nil {
			return
		}
		f := Frame{
			Kind: h[0], Slot: h[1], Parent: h[20], Level: h[21],
			Method:   binary.LittleEndian.Uint16(h[2:]),
			Gen:      binary.LittleEndian.Uint32(h[4:]),
			Contract: binary.LittleEndian.Uint32(h[8:]), Len: binary.LittleEndian.Uint32(h[12:]),
			ParentGen: binary.LittleEndian.Uint32(h[16:]), Timeout: binary.LittleEndian.Uint32(h[24:]),
		}
		payload := make([]byte, f.Len)
		if _, err := io.ReadFull(r, payload); err != nil {
			return
		}
		each(f, payload)
	}
}
