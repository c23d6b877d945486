package wire

import (
	"bytes"
	"errors"
	"io"
	"reflect"
	"strings"
	"testing"

	"github.com/secgear/secgear/sdk/image"
	"github.com/secgear/secgear/sdk/tee"
)

var identity = tee.Identity{
	Digest: image.Digest{1, 31: 2}, Signer: image.SignerID{3, 31: 4},
	Manifest: image.Manifest{Name: "vault", SecurityVersion: 7, Debug: true, Memory: 1 << 20, Lanes: 3, Attach: []string{"owner"}},
}

// body checks the kind of a message and cuts it off.
func body(t *testing.T, m []byte, k Kind) []byte {
	t.Helper()
	if len(m) == 0 || Kind(m[0]) != k {
		t.Fatalf("message %x is not of kind %d", m, k)
	}
	return m[1:]
}

func TestHello(t *testing.T) {
	m, err := Hello(identity)
	if err != nil {
		t.Fatal(err)
	}
	got, err := ParseHello(body(t, m, KindHello))
	if err != nil || !reflect.DeepEqual(got, identity) {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestReady(t *testing.T) {
	want := []tee.Protection{{Name: "a", Active: true}, {Name: "b", Reason: "c"}}
	m, err := Ready(want)
	if err != nil {
		t.Fatal(err)
	}
	got, err := ParseReady(body(t, m, KindReady))
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%+v, %v", got, err)
	}
	if m, err = Ready(make([]tee.Protection, 33)); err != nil {
		t.Fatal(err)
	}
	if _, err := ParseReady(m[1:]); !errors.Is(err, ErrFormat) {
		t.Errorf("too many: %v", err)
	}
}

func TestLanes(t *testing.T) {
	id, size, err := ParseLane(body(t, Lane(5, 1<<40), KindLane))
	if id != 5 || size != 1<<40 || err != nil {
		t.Errorf("%d, %d, %v", id, size, err)
	}
	id, result, err := ParseLaneReply(body(t, LaneReply(5, nil), KindLaneReply))
	if id != 5 || result != nil || err != nil {
		t.Errorf("%d, %v, %v", id, result, err)
	}
	_, result, err = ParseLaneReply(body(t, LaneReply(5, errors.New("no\nmemory")), KindLaneReply))
	if result == nil || result.Error() != `"no\nmemory"` || err != nil {
		t.Errorf("%v, %v", result, err)
	}
}

func TestRequests(t *testing.T) {
	for _, r := range []Request{
		{Op: OpSealingKey, Policy: tee.PolicySigner, Version: 1 << 30, Salt: [32]byte{1, 31: 2}},
		{Op: OpEvidence, Data: [64]byte{1, 63: 2}},
		{Op: OpCounter, ID: ""},
		{Op: OpIncrement, ID: strings.Repeat("x", MaxID)},
	} {
		got, err := ParseRequest(body(t, r.Encode(), KindRequest))
		if err != nil || got != r {
			t.Errorf("%+v, %v; want %+v", got, err, r)
		}
	}
}

func TestReplies(t *testing.T) {
	b, result, err := ParseReply(body(t, Reply([]byte("key"), nil), KindReply))
	if string(b) != "key" || result != nil || err != nil {
		t.Errorf("%q, %v, %v", b, result, err)
	}
	b, result, err = ParseReply(body(t, Reply([]byte("key"), io.EOF), KindReply))
	if b != nil || result == nil || errors.Is(result, errors.ErrUnsupported) || err != nil {
		t.Errorf("%q, %v, %v", b, result, err)
	}
	_, result, err = ParseReply(body(t, Reply(nil, errors.ErrUnsupported), KindReply))
	if !errors.Is(result, errors.ErrUnsupported) || err != nil {
		t.Errorf("%v, %v", result, err)
	}
	_, result, err = ParseReply(body(t, Reply(nil, errors.New(strings.Repeat("x", 1<<20))), KindReply))
	if result == nil || len(result.Error()) > 2*maxText || err != nil {
		t.Errorf("a long error: %v", err)
	}
	if v, err := ParseValue(Value(1 << 60)); v != 1<<60 || err != nil {
		t.Errorf("%d, %v", v, err)
	}
}

func TestMalformed(t *testing.T) {
	for name, parse := range map[string]func() error{
		"hello, empty":       func() error { _, err := ParseHello(nil); return err },
		"hello, cut":         func() error { _, err := ParseHello(make([]byte, 63)); return err },
		"hello, no manifest": func() error { _, err := ParseHello(make([]byte, 64)); return err },
		"ready, empty":       func() error { _, err := ParseReady(nil); return err },
		"ready, no list":     func() error { _, err := ParseReady([]byte("{}")); return err },
		"lane, cut":          func() error { _, _, err := ParseLane(make([]byte, 11)); return err },
		"lane, long":         func() error { _, _, err := ParseLane(make([]byte, 13)); return err },
		"lane reply, cut":    func() error { _, _, err := ParseLaneReply(make([]byte, 3)); return err },
		"lane reply, empty":  func() error { _, _, err := ParseLaneReply(make([]byte, 4)); return err },
		"request, empty":     func() error { _, err := ParseRequest(nil); return err },
		"request, unknown":   func() error { _, err := ParseRequest([]byte{9}); return err },
		"request, cut key":   func() error { _, err := ParseRequest(append([]byte{1}, make([]byte, 36)...)); return err },
		"request, long id":   func() error { _, err := ParseRequest(append([]byte{3}, make([]byte, MaxID+1)...)); return err },
		"reply, empty":       func() error { _, _, err := ParseReply(nil); return err },
		"reply, unknown":     func() error { _, _, err := ParseReply([]byte{3}); return err },
		"reply, long error":  func() error { _, _, err := ParseReply(append([]byte{1}, make([]byte, maxText+1)...)); return err },
		"value, cut":         func() error { _, err := ParseValue(make([]byte, 7)); return err },
	} {
		if err := parse(); !errors.Is(err, ErrFormat) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// FuzzMessages feeds every parser; what one takes, it writes again as it was
// where there is one way to write it.
func FuzzMessages(f *testing.F) {
	hello, err := Hello(identity)
	if err != nil {
		f.Fatal(err)
	}
	ready, err := Ready([]tee.Protection{{Name: "a"}})
	if err != nil {
		f.Fatal(err)
	}
	for _, m := range [][]byte{
		hello, ready, Lane(1, 4096), LaneReply(1, nil), LaneReply(1, io.EOF),
		Request{Op: OpSealingKey}.Encode(), Request{Op: OpEvidence}.Encode(), Request{Op: OpCounter, ID: "a"}.Encode(),
		Reply(Value(1), nil), Reply(nil, errors.ErrUnsupported),
	} {
		f.Add(m)
	}
	f.Fuzz(func(t *testing.T, m []byte) {
		if len(m) == 0 || len(m) > MaxMessage {
			return
		}
		var again []byte
		b := m[1:]
		switch Kind(m[0]) {
		case KindHello:
			if id, err := ParseHello(b); err == nil {
				if _, err := Hello(id); err != nil {
					t.Error(err)
				}
			}
		case KindReady:
			ParseReady(b)
		case KindLane:
			if id, size, err := ParseLane(b); err == nil {
				again = Lane(id, size)
			}
		case KindLaneReply:
			if id, result, err := ParseLaneReply(b); err == nil && result == nil && len(b) == 5 {
				again = LaneReply(id, nil)
			}
		case KindRequest:
			if r, err := ParseRequest(b); err == nil {
				again = r.Encode()
			}
		case KindReply:
			if body, result, err := ParseReply(b); err == nil && result == nil {
				again = Reply(body, nil)
			}
		}
		if again != nil && !bytes.Equal(again, m) {
			t.Errorf("%x became %x", m, again)
		}
	})
}
