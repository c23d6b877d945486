package rendezvous

import (
	"bytes"
	"testing"
)

func FuzzAttach(f *testing.F) {
	f.Add(AttachRequest{}.Encode())
	f.Add(AttachRequest{Memory: 1 << 20}.Encode())
	f.Add(Attached{Workers: 4, Memory: 1 << 20, Digest: [32]byte{1}, About: []byte("{}")}.Encode())
	f.Add([]byte{2})
	f.Add((&Refused{Code: CodeFull, Text: "full\x1b"}).Encode())
	f.Fuzz(func(t *testing.T, b []byte) {
		if r, err := ParseAttachRequest(b); err == nil && !bytes.Equal(r.Encode(), b) {
			t.Errorf("%x was read as %+v", b, r)
		}
		if a, err := ParseAttached(b); err == nil && !bytes.Equal(a.Encode(), b) {
			t.Errorf("%x was read as %+v", b, a)
		}
		if r, err := ParseRefused(b); err == nil && bytes.ContainsRune([]byte(r.Text), 0x1b) {
			t.Errorf("a terminal is driven: %q", r.Text)
		}
	})
}
