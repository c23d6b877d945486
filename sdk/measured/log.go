package measured

import (
	"bytes"
	"encoding/binary"
	"fmt"
)

// Log is what was measured into the machine's registers since it started, in
// order. An image that is started again is not measured again.
type Log struct {
	// Bases are the registers' values when the log began. A verifier accepts no
	// base that it does not know: of an unused register, all zero.
	Bases []Base
	// Events are encoded events, all measured into each register.
	Events [][]byte
}

// Base is a register's value before the log's first event.
type Base struct {
	Register Register
	Alg      Alg
	Value    []byte
}

// Register is the kind of a register.
type Register uint8

// The registers that images are measured into.
const (
	RegisterTPM Register = 1 // PCR number [PCR] of a TPM
	RegisterTDX Register = 2 // RTMR number [RTMR] of TDX
)

// String is the register's name.
func (r Register) String() string {
	switch r {
	case RegisterTPM:
		return fmt.Sprintf("PCR %d", PCR)
	case RegisterTDX:
		return fmt.Sprintf("RTMR %d", RTMR)
	}
	return fmt.Sprintf("register %d", uint8(r))
}

// Bounds of a log.
const (
	MaxEvents = 200
	MaxLog    = 72 << 10 // bytes
	maxBases  = 4
)

// The log's encoding is that of the TCG's PC Client Platform Firmware Profile
// for crypto-agile logs, little-endian: records
//
//	register index (4), event type (4), number of digests (4),
//	digests: algorithm (2), digest, …
//	size of event (4), event
//
// after one in the older form that says which algorithms there are (its "Spec ID
// Event03"). The bases follow as records of type EV_NO_ACTION, which extend
// nothing, with this as the event:
//
//	"secgear base" (12), kind of register (1), algorithm (2), value
const (
	evNoAction = 0x00000003
	evEventTag = 0x00000006
	specID     = "Spec ID Event03\x00"
	baseMagic  = "secgear base"
)

// algs are those whose digests are in records.
var algs = []Alg{SHA256, SHA384}

// header is the first record.
func header() []byte {
	le := binary.LittleEndian
	event := []byte(specID)
	event = le.AppendUint32(event, 0)                 // platform class: client
	event = append(event, 0, 2, 0, 2)                 // version 2.0, errata 0, size of uintn: 8 bytes
	event = le.AppendUint32(event, uint32(len(algs))) //
	for _, a := range algs {                          //
		event = le.AppendUint16(event, uint16(a))        //
		event = le.AppendUint16(event, uint16(a.Size())) //
	}
	event = append(event, 0) // vendor information: none
	b := le.AppendUint32(nil, 0)
	b = le.AppendUint32(b, evNoAction)
	b = append(b, make([]byte, 20)...) // where SHA-1 was
	b = le.AppendUint32(b, uint32(len(event)))
	return append(b, event...)
}

// Encode returns the log's bytes.
func (l *Log) Encode() []byte {
	b := header()
	for _, base := range l.Bases {
		event := append([]byte(baseMagic), byte(base.Register))
		event = binary.LittleEndian.AppendUint16(event, uint16(base.Alg))
		b = appendRecord(b, evNoAction, append(event, base.Value...), func(a Alg) []byte { return make([]byte, a.Size()) })
	}
	for _, e := range l.Events {
		b = appendRecord(b, evEventTag, e, func(a Alg) []byte { return a.Sum(e) })
	}
	return b
}

func appendRecord(b []byte, kind uint32, event []byte, digest func(Alg) []byte) []byte {
	le := binary.LittleEndian
	b = le.AppendUint32(b, PCR)
	b = le.AppendUint32(b, kind)
	b = le.AppendUint32(b, uint32(len(algs)))
	for _, a := range algs {
		b = le.AppendUint16(b, uint16(a))
		b = append(b, digest(a)...)
	}
	b = le.AppendUint32(b, uint32(len(event)))
	return append(b, event...)
}

// ParseLog reads a log. Digests that are not those of their events are refused:
// a log lies or it does not. Errors match [ErrFormat].
func ParseLog(b []byte) (*Log, error) {
	if len(b) > MaxLog {
		return nil, fmt.Errorf("%w: log of %d bytes", ErrFormat, len(b))
	}
	rest, ok := bytes.CutPrefix(b, header())
	if !ok {
		return nil, fmt.Errorf("%w: not a log of images", ErrFormat)
	}
	r := &reader{rest: rest, order: binary.LittleEndian}
	l := &Log{}
	for len(r.rest) > 0 && r.err == nil {
		l.parseRecord(r)
	}
	if err := r.end(); err != nil {
		return nil, err
	}
	return l, nil
}

// parseRecord adds the next record.
func (l *Log) parseRecord(r *reader) {
	r.want("register", r.u32("register"), PCR)
	kind := r.u32("event type")
	digests := parseDigests(r)
	event := r.blob("event", maxEvent)
	switch {
	case r.err != nil:
	case kind == evNoAction && len(l.Events) == 0 && len(l.Bases) < maxBases:
		l.parseBase(r, event, digests)
	case kind == evEventTag && len(l.Bases) > 0 && len(l.Events) < MaxEvents:
		if _, err := ParseEvent(event); err != nil {
			r.fail("event %d: %v", len(l.Events)+1, err)
		}
		for i, a := range algs {
			if !bytes.Equal(digests[i], a.Sum(event)) {
				r.fail("event %d: its digest is another", len(l.Events)+1)
			}
		}
		l.Events = append(l.Events, bytes.Clone(event))
	default:
		r.fail("a record of type %#x after %d bases and %d events", kind, len(l.Bases), len(l.Events))
	}
}

// parseDigests takes a record's digests, in the order of algs.
func parseDigests(r *reader) (digests [][]byte) {
	r.want("number of digests", r.u32("number of digests"), uint32(len(algs)))
	for _, a := range algs {
		r.want("digest's algorithm", uint32(r.u16("algorithm")), uint32(a))
		digests = append(digests, r.bytes("digest", a.Size()))
	}
	return digests
}

// parseBase adds a base, whose record has empty digests.
func (l *Log) parseBase(outer *reader, event []byte, digests [][]byte) {
	r := &reader{rest: event, order: binary.LittleEndian}
	if !bytes.Equal(r.bytes("base", len(baseMagic)), []byte(baseMagic)) {
		r.fail("not a base")
	}
	base := Base{Register: Register(r.u8("register")), Alg: Alg(r.u16("algorithm"))}
	switch {
	case base.Register != RegisterTPM && base.Register != RegisterTDX, base.Alg.Size() == 0:
		r.fail("base of register %d, algorithm %#x", base.Register, uint16(base.Alg))
	case l.base(base.Register, base.Alg) != nil:
		r.fail("two bases of one register")
	}
	base.Value = bytes.Clone(r.bytes("value", base.Alg.Size()))
	for _, d := range digests {
		if len(bytes.Trim(d, "\x00")) > 0 {
			r.fail("a base with a digest")
		}
	}
	if err := r.end(); err != nil {
		outer.fail("base %d: %v", len(l.Bases)+1, err)
		return
	}
	l.Bases = append(l.Bases, base)
}

// base is the base of a register, or nil.
func (l *Log) base(reg Register, a Alg) *Base {
	for i := range l.Bases {
		if l.Bases[i].Register == reg && l.Bases[i].Alg == a {
			return &l.Bases[i]
		}
	}
	return nil
}

// Has tells whether an encoded event is in the log.
func (l *Log) Has(event []byte) bool {
	for _, e := range l.Events {
		if bytes.Equal(e, event) {
			return true
		}
	}
	return false
}

// Replay is the value that the log leads to in a register.
func (l *Log) Replay(reg Register, a Alg) ([]byte, error) {
	return l.replay(reg, a, len(l.Events))
}

// ReplayBut is [Log.Replay] without the last n events.
func (l *Log) ReplayBut(n int, reg Register, a Alg) ([]byte, error) {
	return l.replay(reg, a, max(len(l.Events)-n, 0))
}

func (l *Log) replay(reg Register, a Alg, n int) ([]byte, error) {
	base := l.base(reg, a)
	if base == nil {
		return nil, fmt.Errorf("%w: the log says nothing about %v with algorithm %#x", ErrMismatch, reg, uint16(a))
	}
	value := bytes.Clone(base.Value)
	for _, e := range l.Events[:n] {
		value = a.Extend(value, a.Sum(e))
	}
	return value, nil
}
