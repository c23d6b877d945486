package nsm

import (
	"bytes"
	"errors"
	"io"
	"testing"

	"github.com/secgear/secgear/sdk/tee/nitro/internal/cbor"
)

// fake is a module with registers, as QEMU's. It keeps the last request.
type fake struct {
	request  []byte
	response []byte
	err      error
}

func (f *fake) Exchange(request, response []byte) (int, error) {
	f.request = bytes.Clone(request)
	if f.err != nil {
		return 0, f.err
	}
	return copy(response, f.response), nil
}

// object is {name: {fields…}}, each field already encoded.
func object(name string, fields ...[]byte) []byte {
	b := cbor.AppendText(cbor.AppendMap(nil, 1), name)
	b = cbor.AppendMap(b, len(fields))
	return append(b, bytes.Join(fields, nil)...)
}

func bytesField(name string, value []byte) []byte {
	return cbor.AppendBytes(cbor.AppendText(nil, name), value)
}

func refusal(text string) []byte {
	return cbor.AppendText(cbor.AppendText(cbor.AppendMap(nil, 1), "Error"), text)
}

// requests are all that can be asked for.
var requests = map[string]func(*Session) error{
	"attest":   func(s *Session) error { _, err := s.Attest(nil, []byte("data"), nil); return err },
	"random":   func(s *Session) error { _, err := s.Random(); return err },
	"describe": func(s *Session) error { _, err := s.Describe(3); return err },
	"extend":   func(s *Session) error { _, err := s.Extend(16, []byte("data")); return err },
	"lock":     func(s *Session) error { return s.Lock(16) },
	"lock all": func(s *Session) error { return s.LockBelow(32) },
}

// TestRequests holds requests against what AWS's library sends, by hand, and
// reads the answers.
func TestRequests(t *testing.T) {
	value := bytes.Repeat([]byte{7}, 48)
	locked := append(cbor.AppendText(nil, "lock"), 0xf5)
	for name, tt := range map[string]struct{ request, response []byte }{
		"attest": {
			[]byte("\xa1\x6bAttestation\xa3\x69user_data\x44data\x65nonce\xf6\x6apublic_key\xf6"),
			object("Attestation", bytesField("document", []byte("document"))),
		},
		"random":   {[]byte("\x69GetRandom"), object("GetRandom", bytesField("random", make([]byte, 256)))},
		"describe": {[]byte("\xa1\x6bDescribePCR\xa1\x65index\x03"), object("DescribePCR", locked, bytesField("data", value))},
		"extend":   {[]byte("\xa1\x69ExtendPCR\xa2\x65index\x10\x64data\x44data"), object("ExtendPCR", bytesField("data", value))},
		"lock":     {[]byte("\xa1\x67LockPCR\xa1\x65index\x10"), cbor.AppendText(nil, "LockPCR")},
		"lock all": {[]byte("\xa1\x68LockPCRs\xa1\x65range\x18\x20"), cbor.AppendText(nil, "LockPCRs")},
	} {
		f := &fake{response: tt.response}
		if err := requests[name](NewSession(f)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if !bytes.Equal(f.request, tt.request) {
			t.Errorf("%s: asks %q, want %q", name, f.request, tt.request)
		}
	}
	s := NewSession(&fake{response: object("DescribePCR", locked, bytesField("data", value))})
	if p, err := s.Describe(0); err != nil || !p.Locked || !bytes.Equal(p.Value[:], value) {
		t.Errorf("register: %+v, %v", p, err)
	}
	s = NewSession(&fake{response: object("Attestation", bytesField("document", []byte("document")))})
	if d, err := s.Attest([]byte("key"), nil, []byte("nonce")); err != nil || string(d) != "document" {
		t.Errorf("document: %q, %v", d, err)
	}
}

// TestAnswers: a refusal says so, and anything else that is not an answer to the
// question is an error, whatever was asked.
func TestAnswers(t *testing.T) {
	for what, ask := range requests {
		err := ask(NewSession(&fake{response: refusal("ReadOnlyIndex")}))
		if refused := Error(""); !errors.As(err, &refused) || refused != "ReadOnlyIndex" {
			t.Errorf("%s, refused: %v", what, err)
		}
		if err := ask(NewSession(&fake{err: io.ErrUnexpectedEOF})); !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("%s, device broken: %v", what, err)
		}
		for name, response := range map[string][]byte{
			"nothing":           nil,
			"another answer":    object("Other", bytesField("data", make([]byte, 48))),
			"another name":      cbor.AppendText(nil, "Other"),
			"two answers":       {0xa2, 0x61, 'a', 0xf6, 0x61, 'b', 0xf6},
			"no fields":         object("Attestation"),
			"short register":    object("DescribePCR", bytesField("data", make([]byte, 47))),
			"long register":     object("ExtendPCR", bytesField("data", make([]byte, 49))),
			"no random numbers": object("GetRandom", bytesField("random", nil)),
			"many of them":      object("GetRandom", bytesField("random", make([]byte, 257))),
			"no document":       object("Attestation", bytesField("document", nil)),
			"something after":   append(refusal("InternalError"), 0),
			"cut":               refusal("InternalError")[:10],
		} {
			if err := ask(NewSession(&fake{response: response})); !errors.Is(err, ErrResponse) {
				t.Errorf("%s, %s: %v", what, name, err)
			}
		}
	}
	err := requests["lock"](NewSession(&fake{response: refusal("\x1b[31mred")}))
	if err == nil || bytes.ContainsRune([]byte(err.Error()), 0x1b) {
		t.Errorf("a refusal with control characters: %q", err)
	}
}

// TestTooMuch: what the device could not take is not sent.
func TestTooMuch(t *testing.T) {
	f := &fake{}
	s := NewSession(f)
	if _, err := s.Attest(make([]byte, 1025), nil, nil); err == nil {
		t.Error("a long key")
	}
	if _, err := s.Attest(nil, make([]byte, 513), nil); err == nil {
		t.Error("long user data")
	}
	if _, err := s.Extend(16, make([]byte, 4096)); err == nil {
		t.Error("much to extend with")
	}
	if f.request != nil {
		t.Error("it was sent")
	}
}

// FuzzResponse: any answer to any request is refused or has a sound value.
func FuzzResponse(f *testing.F) {
	f.Add(object("Attestation", bytesField("document", []byte("document"))))
	f.Add(object("DescribePCR", bytesField("data", make([]byte, 48))))
	f.Add(refusal("InvalidIndex"))
	f.Add(cbor.AppendText(nil, "LockPCR"))
	f.Fuzz(func(t *testing.T, response []byte) {
		if len(response) > maxResponse {
			return
		}
		for what, ask := range requests {
			err := ask(NewSession(&fake{response: response}))
			if refused := Error(""); err != nil && !errors.Is(err, ErrResponse) && !errors.As(err, &refused) {
				t.Errorf("%s: %v", what, err)
			}
		}
	})
}
