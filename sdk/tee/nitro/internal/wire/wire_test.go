package wire

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
)

// TestAnswer: an answer is read as it was written, and what follows is left.
func TestAnswer(t *testing.T) {
	for name, tt := range map[string]struct{ err, want error }{
		"taken":   {nil, nil},
		"refused": {errors.New("no room"), Refusal("no room")},
		"long":    {errors.New(strings.Repeat("x", 5000)), Refusal(strings.Repeat("x", MaxReason))},
	} {
		r := bytes.NewReader(append(Answer(tt.err), "rest"...))
		if got := ReadAnswer(r); got != tt.want {
			t.Errorf("%s: %v", name, got)
		}
		if rest, _ := io.ReadAll(r); string(rest) != "rest" {
			t.Errorf("%s: %q is left", name, rest)
		}
	}
	for name, b := range map[string][]byte{
		"nothing": {}, "other": {2}, "cut": {1, 2}, "reason cut": {1, 2, 0, 'x'}, "long reason": {1, 0, 0xff},
	} {
		refusal := Refusal("")
		if err := ReadAnswer(bytes.NewReader(b)); err == nil || errors.As(err, &refusal) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// FuzzPreface: what is taken is written again as it was.
func FuzzPreface(f *testing.F) {
	f.Add(Preface(Control, Token{1, 2, 3}))
	f.Add(Preface(Lane, Token{}))
	f.Add(Preface(3, Token{}))
	f.Fuzz(func(t *testing.T, b []byte) {
		kind, token, err := ParsePreface(b)
		if err == nil && !bytes.Equal(Preface(kind, token), b) {
			t.Errorf("%x is written again as %x", b, Preface(kind, token))
		}
		ReadAnswer(bytes.NewReader(b))
	})
}
