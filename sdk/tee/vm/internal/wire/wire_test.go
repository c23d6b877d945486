package wire

import (
	"bytes"
	"errors"
	"io"
	"reflect"
	"strings"
	"testing"

	"github.com/secgear/secgear/sdk/tee"
)

func TestMessages(t *testing.T) {
	var b []byte
	b = Append(b, KindLane, Lane{7, 3, 1 << 20}.Encode()...)
	b = Append(b, KindCollect)
	r, buf := bytes.NewReader(b), make([]byte, MaxMessage)
	kind, body, err := Read(r, buf)
	if err != nil || kind != KindLane {
		t.Fatal(kind, err)
	}
	if l, err := ParseLane(body); err != nil || l != (Lane{7, 3, 1 << 20}) {
		t.Errorf("%+v, %v", l, err)
	}
	if kind, body, err := Read(r, buf); err != nil || kind != KindCollect || len(body) != 0 {
		t.Errorf("%d %q, %v", kind, body, err)
	}
	if _, _, err := Read(r, buf); err != io.EOF {
		t.Errorf("at the end: %v", err)
	}
}

func TestReady(t *testing.T) {
	want := []tee.Protection{{Name: "a", Active: true}, {Name: "b", Reason: "why"}}
	b, err := Ready(want)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := ParseReady(b); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%+v, %v", got, err)
	}
	many, _ := Ready(make([]tee.Protection, maxProtections+1))
	for _, b := range [][]byte{nil, []byte("x"), many} {
		if _, err := ParseReady(b); !errors.Is(err, ErrFormat) {
			t.Errorf("%.20q: %v", b, err)
		}
	}
}

func TestReplies(t *testing.T) {
	for _, want := range []error{nil, errors.New("no"), errors.New(strings.Repeat("x", 5000))} {
		stream, got, err := ParseLaneReply(LaneReply(9, want))
		if err != nil || stream != 9 || (got == nil) != (want == nil) {
			t.Errorf("%d, %v, %v", stream, got, err)
		}
	}
	if n, err := ParseFreed(Freed(5)); err != nil || n != 5 {
		t.Errorf("%d, %v", n, err)
	}
}

func TestMalformed(t *testing.T) {
	for _, b := range [][]byte{nil, make([]byte, 15), make([]byte, 17)} {
		if _, err := ParseLane(b); !errors.Is(err, ErrFormat) {
			t.Errorf("lane of %d bytes: %v", len(b), err)
		}
	}
	for _, b := range [][]byte{nil, make([]byte, 3), make([]byte, 5+maxText)} {
		if _, _, err := ParseLaneReply(b); !errors.Is(err, ErrFormat) {
			t.Errorf("reply of %d bytes: %v", len(b), err)
		}
	}
	if _, err := ParseFreed(make([]byte, 5)); !errors.Is(err, ErrFormat) {
		t.Errorf("freed: %v", err)
	}
	for _, b := range []string{"\x00\x00\x00\x00", "\x01\x40\x00\x00x", "\xff\xff\xff\xff"} {
		if _, _, err := Read(strings.NewReader(b), make([]byte, MaxMessage)); !errors.Is(err, ErrFormat) {
			t.Errorf("%q: %v", b, err)
		}
	}
	if _, _, err := Read(strings.NewReader("\x05\x00\x00\x00ab"), make([]byte, MaxMessage)); err != io.ErrUnexpectedEOF {
		t.Errorf("cut: %v", err)
	}
}

// FuzzParse: whatever comes, no parser panics, and what is taken is small.
func FuzzParse(f *testing.F) {
	f.Add(Append(nil, KindLane, Lane{7, 3, 1 << 20}.Encode()...))
	f.Add(Append(nil, KindLaneReply, LaneReply(1, errors.New("why"))...))
	f.Add(Append(nil, KindReady, []byte(`[{"name":"a","active":true}]`)...))
	f.Add(Append(nil, KindFreed, Freed(1)...))
	f.Fuzz(func(t *testing.T, b []byte) {
		_, body, err := Read(bytes.NewReader(b), make([]byte, MaxMessage))
		if err != nil {
			return
		}
		if l, err := ParseLane(body); err == nil && !bytes.Equal(l.Encode(), body) {
			t.Errorf("%q is %+v", body, l)
		}
		if _, result, err := ParseLaneReply(body); err == nil && result != nil && len(result.Error()) > 5*maxText {
			t.Errorf("an error of %d bytes", len(result.Error()))
		}
		if p, err := ParseReady(body); err == nil && len(p) > maxProtections {
			t.Errorf("%d protections", len(p))
		}
		ParseFreed(body)
	})
}
