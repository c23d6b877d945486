package imagefile_test

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"strings"
	"testing"

	"github.com/secgear/secgear/sdk/image"
	"github.com/secgear/secgear/sdk/image/imagefile"
)

const chunk = 64 << 10

// imageKey returns a key that is the same for each seed.
func imageKey(t testing.TB, seed byte) image.Key {
	t.Helper()
	secret := make([]byte, image.KeySize)
	for i := range secret {
		secret[i] = seed + byte(i)
	}
	key, err := image.NewKey(secret)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// programOf returns an executable of size bytes.
func programOf(size int) []byte {
	p := append(program(nil), make([]byte, size-200)...)
	rand.NewChaCha8([32]byte{1}).Read(p[200:])
	return p
}

func encrypt(t testing.TB, m image.Manifest, program []byte, key image.Key) []byte {
	t.Helper()
	data, err := imagefile.Build(m, program)
	if err != nil {
		t.Fatal(err)
	}
	if data, err = imagefile.Encrypt(data, key); err != nil {
		t.Fatal(err)
	}
	return data
}

// verified signs an image and verifies it.
func verified(t testing.TB, data []byte) *image.Image {
	t.Helper()
	img, err := imagefile.Verify(sign(t, data, keys(t)[imagefile.Ed25519]))
	if err != nil {
		t.Fatal(err)
	}
	return img
}

func TestEncrypt(t *testing.T) {
	key := imageKey(t, 1)
	for _, size := range []int{200, chunk - 1, chunk, chunk + 1, 3*chunk - 1, 3 * chunk, 3*chunk + 200} {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			want := programOf(size)
			data := encrypt(t, fullManifest(), want, key)
			if bytes.Contains(data, want[200-16:200]) || bytes.Contains(data, []byte("\x7fELF")) {
				t.Error("something of the program is in the image")
			}
			img := verified(t, data)
			e := img.Encrypted
			if img.Program != nil || e == nil || e.Size != size || e.KeyID != imagefile.KeyIDOf(key) || img.Arch != "amd64" || img.Manifest.SecurityVersion != 7 {
				t.Fatalf("image %+v, encrypted %+v", img.Manifest, e)
			}
			if limit := size + 72 + 16*(size/chunk+1); len(e.Ciphertext) > limit {
				t.Errorf("%d bytes, want at most %d", len(e.Ciphertext), limit)
			}
			got := make([]byte, size)
			if err := imagefile.Decrypt(img, key, got); err != nil || !bytes.Equal(got, want) {
				t.Errorf("decrypted: equal %v, %v", bytes.Equal(got, want), err)
			}
		})
	}
}

// TestEncryptIsReproducible: the same gives the same, and everything else has
// nothing in common with it.
func TestEncryptIsReproducible(t *testing.T) {
	p := programOf(chunk + 500)
	other := bytes.Clone(p)
	other[len(other)-1]++
	m := fullManifest()
	newer := m
	newer.SecurityVersion++
	first := verified(t, encrypt(t, m, p, imageKey(t, 1)))
	if again := verified(t, encrypt(t, m, p, imageKey(t, 1))); again.Digest != first.Digest {
		t.Error("the same twice gives two digests")
	}
	for name, data := range map[string][]byte{
		"another key":      encrypt(t, m, p, imageKey(t, 2)),
		"another manifest": encrypt(t, newer, p, imageKey(t, 1)),
		"another program":  encrypt(t, m, other, imageKey(t, 1)),
	} {
		img := verified(t, data)
		a, b := first.Encrypted.Ciphertext[40:], img.Encrypted.Ciphertext[40:]
		same := 0
		for i := range a {
			if a[i] == b[i] {
				same++
			}
		}
		if same > len(a)/128 { // 1 in 256, by chance
			t.Errorf("%s: %d of %d bytes are the same", name, same, len(a))
		}
		if img.Digest == first.Digest {
			t.Errorf("%s: the same digest", name)
		}
	}
}

// forge is the format once more, after its description alone, for whatever a
// holder of the key could make.
type forge struct {
	manifest string
	machine  uint16
	secret   []byte
	program  []byte
}

func (f forge) body() []byte {
	le := binary.LittleEndian
	id := sha256.Sum256(append([]byte("secgear image key ID"), f.secret...))
	head := le.AppendUint16(nil, 1)
	head = le.AppendUint16(head, f.machine)
	head = append(head, 0, 0, 0, 0)
	head = append(head, id[:]...)
	head = append(head, make([]byte, 32)...)
	context := func() []byte {
		b := []byte("secgear encrypted image\x02\x00\x00\x00")
		b = le.AppendUint64(b, uint64(len(f.manifest)))
		b = append(append(b, f.manifest...), head...)
		sum := sha256.Sum256(b)
		return sum[:]
	}
	derive := func(salt []byte, info string) []byte {
		k, err := hkdf.Key(sha256.New, f.secret, salt, info, 32)
		if err != nil {
			panic(err)
		}
		return k
	}
	sum := sha256.Sum256(f.program)
	mac := hmac.New(sha256.New, derive(nil, "secgear image salt"))
	mac.Write(append(context(), sum[:]...))
	copy(head[40:], mac.Sum(nil))
	block, err := aes.NewCipher(derive(head[40:], "secgear image program"))
	if err != nil {
		panic(err)
	}
	gcm, err := cipher.NewGCM(block)
	if err != nil {
		panic(err)
	}
	out, rest := bytes.Clone(head), f.program
	for i := 0; len(rest) > 0; i++ {
		n := min(len(rest), chunk)
		nonce := make([]byte, 12)
		binary.BigEndian.PutUint32(nonce[7:], uint32(i))
		if n == len(rest) {
			nonce[11] = 1
		}
		out = gcm.Seal(out, nonce, rest[:n], context())
		rest = rest[n:]
	}
	return out
}

const demoManifest = `{"debug":false,"lane_memory":134217728,"lanes":16,"memory":268435456,"name":"demo","security_version":1,"workers":64}`

// TestEncryptedLayout holds the format fixed: a change to it needs a new
// version.
func TestEncryptedLayout(t *testing.T) {
	key := imageKey(t, 1)
	p := programOf(2*chunk + 300)
	want := sealedAs(2, demoManifest, forge{demoManifest, 62, key.Secret(), p}.body())
	got := encrypt(t, image.DefaultManifest("demo"), p, key)
	if !bytes.Equal(got, want) {
		t.Error("the image is not as described")
	}
	f, err := imagefile.Parse(got)
	if err != nil {
		t.Fatal(err)
	}
	const digest = "9286dc903484b355ae59d223bc18997294429a9f8d91480835d3a5684bddd619"
	if f.Digest.String() != digest {
		t.Errorf("digest %v, want %s", f.Digest, digest)
	}
	message, err := imagefile.SigningMessage(got)
	if want := "secgear image signature\x02\x00\x00\x00" + string(f.Digest[:]); err != nil || string(message) != want {
		t.Errorf("signing message %q, %v; want %q", message, err, want)
	}
}

// TestEncryptedAltered takes the place of a signer without the key, who can
// alter everything and sign it: what was encrypted decrypts as it was, or not
// at all.
func TestEncryptedAltered(t *testing.T) {
	le := binary.LittleEndian
	key := imageKey(t, 1)
	const stored = chunk + 16
	p := programOf(3*chunk + 300)
	m := image.DefaultManifest("demo")
	good := verified(t, encrypt(t, m, p, key)).Encrypted.Ciphertext
	m.SecurityVersion = 2
	sibling := verified(t, encrypt(t, m, p, key)).Encrypted.Ciphertext
	otherProgram := verified(t, encrypt(t, image.DefaultManifest("demo"), programOf(3*chunk + 301)[:3*chunk+300], imageKey(t, 2))).Encrypted.Ciphertext
	part := func(b []byte, i int) []byte { return b[72+i*stored : min(72+(i+1)*stored, len(b))] }
	otherID := imagefile.KeyIDOf(imageKey(t, 2))
	tests := []struct {
		name     string
		manifest string
		body     []byte
		err      error
		want     string // part of the error
	}{
		{"head only", "", good[:72], imagefile.ErrFormat, "whole chunk"},
		{"no head", "", good[:71], imagefile.ErrFormat, "no header"},
		{"cut after a chunk", "", good[:72+stored], imagefile.ErrDecrypt, "chunk 0"},
		{"cut after three chunks", "", good[:72+3*stored], imagefile.ErrDecrypt, "chunk 2"},
		{"cut in a chunk", "", good[:72+2*stored+100], imagefile.ErrDecrypt, "chunk 2"},
		{"cut in a tag", "", good[:len(good)-1], imagefile.ErrDecrypt, "chunk 3"},
		{"cut to a tag", "", good[:72+stored+16], imagefile.ErrFormat, "whole chunk"},
		{"first chunk left out", "", append(good[:72:72], good[72+stored:]...), imagefile.ErrDecrypt, "chunk 0"},
		{"swapped", "", concat(good[:72], part(good, 1), part(good, 0), part(good, 2), part(good, 3)), imagefile.ErrDecrypt, "chunk 0"},
		{"swapped later", "", concat(good[:72], part(good, 0), part(good, 2), part(good, 1), part(good, 3)), imagefile.ErrDecrypt, "chunk 1"},
		{"repeated", "", concat(good[:72+stored], part(good, 0), part(good, 2), part(good, 3)), imagefile.ErrDecrypt, "chunk 1"},
		{"extended by a byte", "", append(bytes.Clone(good), 0), imagefile.ErrDecrypt, "chunk 3"},
		{"last chunk twice", "", append(bytes.Clone(good), part(good, 3)...), imagefile.ErrDecrypt, "chunk 3"},
		{"extended by a chunk", "", append(bytes.Clone(good), make([]byte, stored)...), imagefile.ErrDecrypt, "chunk 3"},
		{"chunk of another version", "", concat(good[:72+stored], part(sibling, 1), good[72+2*stored:]), imagefile.ErrDecrypt, "chunk 1"},
		{"chunks of another version", "", concat(good[:72], sibling[72:]), imagefile.ErrDecrypt, "chunk 0"},
		{"all of another version", "", sibling, imagefile.ErrDecrypt, "chunk 0"},
		{"another manifest", strings.Replace(demoManifest, "false", "true", 1), good, imagefile.ErrDecrypt, "chunk 0"},
		{"another key's image", "", otherProgram, imagefile.ErrKey, otherID.String()},
		{"another key's ID", "", concat(good[:8], otherID[:], good[40:]), imagefile.ErrKey, otherID.String()},
		{"another key's image, with this key's ID", "", concat(otherProgram[:8], good[8:40], otherProgram[40:]), imagefile.ErrDecrypt, "chunk 0"},
		{"another salt", "", concat(good[:40], sibling[40:72], good[72:]), imagefile.ErrDecrypt, "chunk 0"},
		{"another machine", "", concat(good[:2], le.AppendUint16(nil, 183), good[4:]), imagefile.ErrDecrypt, "chunk 0"},
		{"unknown machine", "", concat(good[:2], le.AppendUint16(nil, 8), good[4:]), imagefile.ErrFormat, "machine 8"},
		{"unknown cipher", "", concat([]byte{2}, good[1:]), imagefile.ErrFormat, "cipher 2"},
		{"reserved", "", concat(good[:7], []byte{1}, good[8:]), imagefile.ErrFormat, "reserved"},
		{"in clear", "", p, imagefile.ErrFormat, "cipher"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if tt.manifest == "" {
				tt.manifest = demoManifest
			}
			data := sealedAs(2, tt.manifest, tt.body)
			if tt.err == imagefile.ErrFormat {
				if _, err := imagefile.Parse(data); !errors.Is(err, tt.err) || !strings.Contains(err.Error(), tt.want) {
					t.Errorf("Parse: %v, want %v with %q", err, tt.err, tt.want)
				}
				return
			}
			refused(t, verified(t, data), key, tt.err, tt.want)
		})
	}
	t.Run("every byte", func(t *testing.T) {
		at := []int{72, 72 + chunk - 1, 72 + chunk, 72 + stored - 1, 72 + stored, len(good) - 17, len(good) - 16, len(good) - 1}
		for i := range 72 {
			at = append(at, i)
		}
		img := verified(t, sealedAs(2, demoManifest, good))
		for _, i := range at {
			body := bytes.Clone(good)
			body[i] ^= 0x40
			img.Encrypted.Ciphertext = body
			err := imagefile.Decrypt(img, key, make([]byte, len(p)))
			if !errors.Is(err, imagefile.ErrFormat) && !errors.Is(err, imagefile.ErrDecrypt) && !errors.Is(err, imagefile.ErrKey) {
				t.Errorf("byte %d: %v", i, err)
			}
		}
	})
}

// refused decrypts img, which must fail and leave nothing.
func refused(t *testing.T, img *image.Image, key image.Key, want error, text string) {
	t.Helper()
	dst := bytes.Repeat([]byte{1}, img.Encrypted.Size)
	err := imagefile.Decrypt(img, key, dst)
	if !errors.Is(err, want) || !strings.Contains(err.Error(), text) {
		t.Errorf("error %v, want %v with %q", err, want, text)
	}
	if shown := hex.EncodeToString(key.Secret()); shown != "" && strings.Contains(fmt.Sprintf("%v %#v", err, err), shown[:8]) {
		t.Errorf("the error shows the key: %v", err)
	}
	if !bytes.Equal(dst, make([]byte, len(dst))) {
		t.Error("something was left in the buffer")
	}
}

func concat(parts ...[]byte) []byte { return bytes.Join(parts, nil) }

func TestDecryptRefuses(t *testing.T) {
	key := imageKey(t, 1)
	p := programOf(500)
	img := verified(t, encrypt(t, image.DefaultManifest("demo"), p, key))
	for name, wrong := range map[string]image.Key{"wrong key": imageKey(t, 2), "no key": {}} {
		t.Run(name, func(t *testing.T) {
			refused(t, img, wrong, imagefile.ErrKey, "decrypting image demo: wrong image key: it takes key "+img.Encrypted.KeyID.String())
		})
	}
	t.Run("wiped key", func(t *testing.T) {
		k := key.Clone()
		k.Wipe()
		refused(t, img, k, imagefile.ErrKey, "")
	})
	t.Run("not encrypted", func(t *testing.T) {
		clear := verified(t, build(t, fullManifest()))
		if err := imagefile.Decrypt(clear, key, nil); err == nil || !strings.Contains(err.Error(), "not encrypted") {
			t.Errorf("error %v", err)
		}
	})
	for _, n := range []int{0, len(p) - 1, len(p) + 1} {
		if err := imagefile.Decrypt(img, key, make([]byte, n)); err == nil || !strings.Contains(err.Error(), "room for") {
			t.Errorf("a buffer of %d bytes: %v", n, err)
		}
	}
	// What the holder of the key encrypted is held to the same as any program.
	for name, f := range map[string]forge{
		"no program":      {demoManifest, 62, key.Secret(), []byte("#!/bin/sh\n")},
		"interpreter":     {demoManifest, 62, key.Secret(), program(func(b []byte) { binary.LittleEndian.PutUint32(b[64+56:], 3) })},
		"another machine": {demoManifest, 183, key.Secret(), p},
	} {
		t.Run(name, func(t *testing.T) {
			refused(t, verified(t, sealedAs(2, f.manifest, f.body())), key, imagefile.ErrFormat, "program: ")
		})
	}
}

func TestEncryptRefuses(t *testing.T) {
	key := imageKey(t, 1)
	unsigned := build(t, fullManifest())
	for name, tt := range map[string]struct {
		data []byte
		key  image.Key
		want string
	}{
		"signed":    {sign(t, unsigned, keys(t)[imagefile.Ed25519]), key, "signed"},
		"encrypted": {encrypt(t, fullManifest(), program(nil), key), key, "already"},
		"no key":    {unsigned, image.Key{}, "no key"},
		"no image":  {[]byte("x"), key, imagefile.ErrFormat.Error()},
	} {
		t.Run(name, func(t *testing.T) {
			data, err := imagefile.Encrypt(tt.data, tt.key)
			if err == nil || !strings.Contains(err.Error(), tt.want) || data != nil {
				t.Errorf("%d bytes, error %v, want %q", len(data), err, tt.want)
			}
		})
	}
}

// TestEncryptedEveryByteCounts: without a signer's help, nothing of an encrypted
// image can be changed, and that shows without its key.
func TestEncryptedEveryByteCounts(t *testing.T) {
	unsigned := encrypt(t, fullManifest(), program(nil), imageKey(t, 1))
	data := sign(t, unsigned, keys(t)[imagefile.Ed25519])
	for i := range data {
		data[i] ^= 1
		_, err := imagefile.Verify(data)
		if !errors.Is(err, imagefile.ErrFormat) && !errors.Is(err, imagefile.ErrAltered) && !errors.Is(err, imagefile.ErrSignature) {
			t.Errorf("byte %d: error %v", i, err)
		}
		if inBody := i >= 32 && i < len(unsigned); inBody && !errors.Is(err, imagefile.ErrAltered) {
			t.Errorf("byte %d: error %v, want %v", i, err, imagefile.ErrAltered)
		}
		data[i] ^= 1
	}
	data[8] = 1 // as if the program were in clear
	if _, err := imagefile.Verify(data); !errors.Is(err, imagefile.ErrAltered) {
		t.Errorf("as version 1: %v", err)
	}
}

// TestDecryptAllocatesLittle: a large program is decrypted in place.
func TestDecryptAllocatesLittle(t *testing.T) {
	key := imageKey(t, 1)
	p := programOf(16 << 20)
	img := verified(t, encrypt(t, image.DefaultManifest("demo"), p, key))
	dst := make([]byte, len(p))
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	err := imagefile.Decrypt(img, key, dst)
	runtime.ReadMemStats(&after)
	if err != nil || !bytes.Equal(dst, p) {
		t.Errorf("error %v", err)
	}
	if n := after.TotalAlloc - before.TotalAlloc; n > 1<<20 {
		t.Errorf("%d bytes were allocated for a program of %d", n, len(p))
	}
}
