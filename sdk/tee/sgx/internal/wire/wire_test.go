package wire

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
)

func read(b []byte) (Kind, []byte, error) { return Read(bytes.NewReader(b), make([]byte, MaxMessage)) }

func TestMessages(t *testing.T) {
	want := Lane{7, 1 << 40}
	kind, body, err := read(Append(nil, KindLane, want.Encode()...))
	if err != nil || kind != KindLane {
		t.Fatalf("%d, %v", kind, err)
	}
	if got, err := ParseLane(body); err != nil || got != want {
		t.Errorf("%+v, %v", got, err)
	}
	stream, result, err := ParseLaneReply(LaneReply(9, nil))
	if stream != 9 || result != nil || err != nil {
		t.Errorf("%d, %v, %v", stream, result, err)
	}
	stream, result, err = ParseLaneReply(LaneReply(9, errors.New("no\n"+strings.Repeat("x", 2*maxText))))
	if stream != 9 || result == nil || strings.Contains(result.Error(), "\n") || err != nil {
		t.Errorf("%d, %v, %v", stream, result, err)
	}
}

func TestMalformed(t *testing.T) {
	for name, b := range map[string][]byte{
		"no message": {0, 0, 0, 0}, "too long": {1, 0x10, 0, 0}, "far too long": {0xff, 0xff, 0xff, 0xff},
	} {
		if _, _, err := read(b); !errors.Is(err, ErrFormat) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, _, err := read([]byte{5, 0, 0, 0, 1}); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("cut: %v", err)
	}
	if _, err := ParseLane(make([]byte, 11)); !errors.Is(err, ErrFormat) {
		t.Errorf("lane: %v", err)
	}
	if _, _, err := ParseLaneReply(make([]byte, 5+maxText)); !errors.Is(err, ErrFormat) {
		t.Errorf("reply: %v", err)
	}
}

func FuzzMessages(f *testing.F) {
	f.Add(Append(nil, KindReady))
	f.Add(Append(nil, KindLane, Lane{1, 4096}.Encode()...))
	f.Add(Append(nil, KindLaneReply, LaneReply(1, io.EOF)...))
	f.Fuzz(func(t *testing.T, b []byte) {
		kind, body, err := read(b)
		if err != nil {
			return
		}
		switch kind {
		case KindLane:
			if l, err := ParseLane(body); err == nil && !bytes.Equal(l.Encode(), body) {
				t.Errorf("%x became %+v", body, l)
			}
		case KindLaneReply:
			ParseLaneReply(body)
		}
	})
}
