package image

import (
	"encoding/hex"
	"errors"
	"fmt"
	"io"
)

// KeySize is the number of bytes of a [Key].
const KeySize = 32

// Key is what an image's program was encrypted with. It shows itself nowhere:
// not when printed or logged, nor in JSON. Copies share their bytes, so that
// Wipe wipes all of them. The zero Key is none.
type Key struct{ secret *[KeySize]byte }

// NewKey returns a key of its own with the bytes of secret, which must be random:
// [KeyID] gives whoever guesses them the means to see that the guess is right.
func NewKey(secret []byte) (Key, error) {
	if len(secret) != KeySize {
		return Key{}, fmt.Errorf("an image key has %d bytes, not %d", KeySize, len(secret))
	}
	return Key{(*[KeySize]byte)(append([]byte(nil), secret...))}, nil
}

// IsZero tells whether k is no key.
func (k Key) IsZero() bool { return k.secret == nil }

// Secret returns the key's bytes themselves, until Wipe; nil if there are none.
func (k Key) Secret() []byte {
	if k.secret == nil {
		return nil
	}
	return k.secret[:]
}

// Clone returns a copy that outlives k.Wipe.
func (k Key) Clone() Key {
	if k.secret == nil {
		return Key{}
	}
	secret := *k.secret
	return Key{&secret}
}

// Wipe overwrites the key, and with it every copy that is not a Clone.
func (k Key) Wipe() { clear(k.Secret()) }

// hidden is what is to be seen of a key.
const hidden = "image key (not shown)"

// Format implements [fmt.Formatter], for every verb.
func (k Key) Format(f fmt.State, _ rune) { io.WriteString(f, hidden) }

// String implements [fmt.Stringer].
func (k Key) String() string { return hidden }

// MarshalText fails: keys are not for texts, JSON and the like.
func (k Key) MarshalText() ([]byte, error) {
	return nil, errors.New("an image key is not to be written out")
}

// KeyID names a [Key] without giving it away. It is computed from the key, by
// KeyIDOf of package imagefile.
type KeyID [32]byte

// ParseKeyID reads 64 hexadecimal digits.
func ParseKeyID(s string) (KeyID, error) {
	var id KeyID
	return id, id.UnmarshalText([]byte(s))
}

// String returns the ID in lower-case hexadecimal.
func (id KeyID) String() string { return hex.EncodeToString(id[:]) }

// IsZero tells whether id is the zero KeyID, which no key has.
func (id KeyID) IsZero() bool { return id == KeyID{} }

// MarshalText returns the ID in lower-case hexadecimal.
func (id KeyID) MarshalText() ([]byte, error) { return []byte(id.String()), nil }

// UnmarshalText reads 64 hexadecimal digits.
func (id *KeyID) UnmarshalText(text []byte) error {
	return unhex("image key ID", (*[32]byte)(id), text)
}
