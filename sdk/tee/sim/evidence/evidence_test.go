package evidence_test

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"strings"
	"testing"

	"github.com/secgear/secgear/sdk/image"
	"github.com/secgear/secgear/sdk/tee/sim/evidence"
)

var key = ed25519.NewKeyFromSeed(bytes.Repeat([]byte{7}, ed25519.SeedSize))

func sample() evidence.Evidence {
	e := evidence.Evidence{
		Digest: image.Digest{1, 2}, Signer: image.SignerID{3, 4},
		SecurityVersion: 0x01020304, Debug: true, Name: "vault",
		Data: [64]byte{5, 63: 6},
	}
	copy(e.Machine[:], key.Public().(ed25519.PublicKey))
	return e
}

func TestRoundTrip(t *testing.T) {
	for _, name := range []string{"v", "vault", strings.Repeat("n", 64)} {
		e := sample()
		e.Name = name
		b, err := evidence.Sign(e, key)
		if err != nil {
			t.Fatal(err)
		}
		if len(b) != evidence.Size || !strings.HasPrefix(string(b), "SECGEAR-SIMULATION") {
			t.Errorf("%d bytes, beginning with %q", len(b), b[:20])
		}
		got, err := evidence.Verify(b)
		if err != nil {
			t.Fatal(err)
		}
		if *got != e {
			t.Errorf("got %+v, want %+v", *got, e)
		}
	}
}

func TestSignRefusesNames(t *testing.T) {
	for _, name := range []string{"", strings.Repeat("n", 65)} {
		e := sample()
		e.Name = name
		if _, err := evidence.Sign(e, key); err == nil {
			t.Errorf("a name of %d bytes was accepted", len(name))
		}
	}
}

// TestEveryBitCounts: no byte of evidence can be changed unnoticed.
func TestEveryBitCounts(t *testing.T) {
	good, err := evidence.Sign(sample(), key)
	if err != nil {
		t.Fatal(err)
	}
	for i := range good {
		bad := bytes.Clone(good)
		bad[i] ^= 1
		if _, err := evidence.Verify(bad); !errors.Is(err, evidence.ErrFormat) && !errors.Is(err, evidence.ErrSignature) {
			t.Errorf("byte %d changed: %v", i, err)
		}
	}
}

func TestParseRefuses(t *testing.T) {
	good, err := evidence.Sign(sample(), key)
	if err != nil {
		t.Fatal(err)
	}
	change := func(at int, v byte) []byte {
		b := bytes.Clone(good)
		b[at] = v
		return b
	}
	for name, b := range map[string][]byte{
		"nothing":       nil,
		"the magic":     good[:18],
		"too short":     good[:len(good)-1],
		"too long":      append(bytes.Clone(good), 0),
		"other magic":   change(0, 's'),
		"other version": change(19, 2),
		"debug 2":       change(88, 2),
		"no name":       change(89, 0),
		"long name":     change(89, 65),
		"short name":    change(89, 4),
		"zero in name":  change(91, 0),
		"padding":       change(153, 1),
	} {
		if _, err := evidence.Parse(b); !errors.Is(err, evidence.ErrFormat) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func FuzzParse(f *testing.F) {
	good, err := evidence.Sign(sample(), key)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add([]byte(evidence.Magic))
	f.Fuzz(func(t *testing.T, b []byte) {
		e, err := evidence.Parse(b)
		if err != nil {
			return
		}
		again, err := evidence.Sign(*e, key)
		if err != nil {
			t.Fatal(err)
		}
		// All but key and signature is what it was.
		if n := evidence.Size - ed25519.SignatureSize - ed25519.PublicKeySize; !bytes.Equal(again[:n], b[:n]) {
			t.Errorf("encoded again:\n%x\ninstead of\n%x", again[:n], b[:n])
		}
	})
}
