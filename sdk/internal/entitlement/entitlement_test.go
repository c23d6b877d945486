package entitlement

import (
	"encoding/hex"
	"errors"
	"strings"
	"testing"

	"github.com/secgear/secgear/sdk/image"
	"github.com/secgear/secgear/sdk/tee"
)

// TestSealingKeyPinned: what was sealed once is unsealed by every later release.
func TestSealingKeyPinned(t *testing.T) {
	m := image.DefaultManifest("test")
	m.SecurityVersion = 5
	id := tee.Identity{Digest: image.Digest{1}, Signer: image.SignerID{2}, Manifest: m}
	for policy, want := range map[tee.Policy]string{
		tee.PolicyImage: "f5ae3cc4b898c9b00e32e618c3fd8fa96c188381aec7d6221e8edcd76ab4428e", tee.PolicySigner: "704c51e94062682a7c41ca64984cebe75b154827269a00a7f397ffbc124459a9",
	} {
		key, err := SealingKey([]byte("secret"), id, policy, 4, [32]byte{3})
		if got := hex.EncodeToString(key[:]); err != nil || got != want {
			t.Errorf("policy %d: %s, %v; want %s", policy, got, err, want)
		}
	}
}

func TestRefused(t *testing.T) {
	id := tee.Identity{Manifest: image.DefaultManifest("test")}
	for _, tt := range []struct {
		policy  tee.Policy
		version uint32
	}{{0, 1}, {3, 1}, {tee.PolicySigner, 2}} {
		if _, err := SealingKey([]byte("secret"), id, tt.policy, tt.version, [32]byte{}); !errors.Is(err, ErrRefused) {
			t.Errorf("policy %d, version %d: %v", tt.policy, tt.version, err)
		}
	}
	for _, counter := range []string{"", strings.Repeat("x", MaxCounterID+1), "new\nline", "é"} {
		if err := CheckCounterID(counter); !errors.Is(err, ErrRefused) {
			t.Errorf("counter %q: %v", counter, err)
		}
	}
	if err := CheckCounterID(strings.Repeat("~", MaxCounterID)); err != nil {
		t.Error(err)
	}
}
