package imagefile_test

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/binary"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/secgear/secgear/sdk/image"
	"github.com/secgear/secgear/sdk/image/imagefile"
)

// program returns the smallest executable that images take.
func program(change func(elf []byte)) []byte {
	le := binary.LittleEndian
	b := make([]byte, 64+2*56, 200)
	copy(b, "\x7fELF\x02\x01\x01")
	le.PutUint16(b[16:], 2)  // executable
	le.PutUint16(b[18:], 62) // amd64
	le.PutUint64(b[24:], 0x400000+64+2*56)
	le.PutUint64(b[32:], 64)
	le.PutUint16(b[54:], 56)
	le.PutUint16(b[56:], 2)
	load := b[64:]
	le.PutUint32(load, 1)
	le.PutUint32(load[4:], 5) // read, execute
	le.PutUint64(load[16:], 0x400000)
	le.PutUint64(load[32:], 200)
	le.PutUint64(load[40:], 200)
	stack := b[64+56:]
	le.PutUint32(stack, 0x6474e551)
	le.PutUint32(stack[4:], 6) // read, write
	b = b[:200]
	if change != nil {
		change(b)
	}
	return b
}

func build(t testing.TB, m image.Manifest) []byte {
	t.Helper()
	data, err := imagefile.Build(m, program(nil))
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// keys returns one private key per algorithm.
func keys(t testing.TB) map[imagefile.Algorithm]crypto.Signer {
	t.Helper()
	_, ed, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	all := map[imagefile.Algorithm]crypto.Signer{imagefile.Ed25519: ed}
	for a, curve := range map[imagefile.Algorithm]elliptic.Curve{imagefile.ECDSAP256: elliptic.P256(), imagefile.ECDSAP384: elliptic.P384()} {
		key, err := ecdsa.GenerateKey(curve, rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		all[a] = key
	}
	return all
}

func sign(t testing.TB, data []byte, key crypto.Signer) []byte {
	t.Helper()
	signed, err := imagefile.Sign(data, key)
	if err != nil {
		t.Fatal(err)
	}
	return signed
}

func fullManifest() image.Manifest {
	return image.Manifest{
		Name: "demo", SecurityVersion: 7, Debug: true, Memory: 1 << 30, LaneMemory: 1 << 26, Lanes: 3, Workers: 5,
		Attach: []string{"owner", "uid:0", "gid:27"}, Services: []string{"example.com/demo.Clock", "demo.Notifier"},
	}
}

func TestBuildIsReproducible(t *testing.T) {
	m := fullManifest()
	first := build(t, m)
	m.Attach = []string{"gid:27", "uid:0", "owner"}
	m.Services = []string{"demo.Notifier", "example.com/demo.Clock"}
	if !bytes.Equal(first, build(t, m)) {
		t.Error("the order of lists changed the image")
	}
	m.SecurityVersion++
	other, err := imagefile.Parse(build(t, m))
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := imagefile.Parse(first)
	if err != nil {
		t.Fatal(err)
	}
	if other.Digest == parsed.Digest {
		t.Error("the manifest does not change the digest")
	}
}

// TestLayout holds the format fixed: a change to it needs a new version.
func TestLayout(t *testing.T) {
	data := build(t, image.DefaultManifest("demo"))
	const manifest = `{"debug":false,"lane_memory":134217728,"lanes":16,"memory":268435456,"name":"demo","security_version":1,"workers":64}`
	if got := string(data[64 : 64+len(manifest)]); got != manifest {
		t.Errorf("manifest\n got %s\nwant %s", got, manifest)
	}
	if !bytes.Equal(data[64+len(manifest):], program(nil)) {
		t.Error("the program is not what follows the manifest")
	}
	f, err := imagefile.Parse(data)
	if err != nil {
		t.Fatal(err)
	}
	le := binary.LittleEndian
	h := sha256.New()
	h.Write([]byte("secgear image digest\x01\x00\x00\x00"))
	h.Write(le.AppendUint64(nil, uint64(len(manifest))))
	h.Write([]byte(manifest))
	h.Write(le.AppendUint64(nil, uint64(len(program(nil)))))
	h.Write(program(nil))
	if !bytes.Equal(f.Digest[:], h.Sum(nil)) || !bytes.Equal(f.Digest[:], data[32:64]) {
		t.Errorf("digest %v, want %x, file says %x", f.Digest, h.Sum(nil), data[32:64])
	}
	message, err := imagefile.SigningMessage(data)
	if err != nil {
		t.Fatal(err)
	}
	if want := "secgear image signature\x01\x00\x00\x00" + string(f.Digest[:]); string(message) != want {
		t.Errorf("signing message %q, want %q", message, want)
	}
}

func TestSignAndVerify(t *testing.T) {
	unsigned := build(t, fullManifest())
	for a, key := range keys(t) {
		t.Run(a.String(), func(t *testing.T) {
			data := sign(t, unsigned, key)
			img, err := imagefile.Verify(data)
			if err != nil {
				t.Fatal(err)
			}
			der, err := x509.MarshalPKIXPublicKey(key.Public())
			if err != nil {
				t.Fatal(err)
			}
			want := image.SignerID(sha256.Sum256(der))
			if id, err := imagefile.SignerOf(key.Public()); err != nil || id != want || img.Signer != want {
				t.Errorf("signer %v, SignerOf %v, %v; want %v", img.Signer, id, err, want)
			}
			if !bytes.Equal(img.Program, program(nil)) || img.Arch != "amd64" || img.Manifest.SecurityVersion != 7 {
				t.Errorf("image %+v", img)
			}
			f, err := imagefile.Parse(data)
			if err != nil {
				t.Fatal(err)
			}
			if f.Signature.Algorithm != a || f.Signature.Signer() != want {
				t.Errorf("signature %+v", f.Signature)
			}
			again := sign(t, data, key) // replaces
			if _, err := imagefile.Verify(again); err != nil || a == imagefile.Ed25519 && !bytes.Equal(again, data) {
				t.Errorf("signing again: %v", err)
			}
		})
	}
}

func TestAttach(t *testing.T) {
	data := build(t, fullManifest())
	all := keys(t)
	message, err := imagefile.SigningMessage(data)
	if err != nil {
		t.Fatal(err)
	}
	ed, p256 := all[imagefile.Ed25519], all[imagefile.ECDSAP256].(*ecdsa.PrivateKey)
	sig, err := ed.Sign(rand.Reader, message, crypto.Hash(0))
	if err != nil {
		t.Fatal(err)
	}
	hash := sha256.Sum256(message)
	p256sig, err := ecdsa.SignASN1(rand.Reader, p256, hash[:])
	if err != nil {
		t.Fatal(err)
	}
	rawSig, err := ecdsa.SignASN1(rand.Reader, p256, sha256.New().Sum(nil))
	if err != nil {
		t.Fatal(err)
	}
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	p224, err := ecdsa.GenerateKey(elliptic.P224(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	_, other, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name string
		pub  crypto.PublicKey
		sig  []byte
		want string // part of the error
	}{
		{"Ed25519", ed.Public(), sig, ""},
		{"P-256", p256.Public(), p256sig, ""},
		{"over something else", p256.Public(), rawSig, imagefile.ErrSignature.Error()},
		{"by another key", other.Public(), sig, imagefile.ErrSignature.Error()},
		{"of another algorithm", p256.Public(), sig, imagefile.ErrSignature.Error()},
		{"empty", ed.Public(), nil, imagefile.ErrSignature.Error()},
		{"longer", ed.Public(), append(sig[:64:64], 0), imagefile.ErrSignature.Error()},
		{"DER with trailing byte", p256.Public(), append(p256sig[:len(p256sig):len(p256sig)], 0), imagefile.ErrSignature.Error()},
		{"RSA", rsaKey.Public(), sig, "neither Ed25519 nor ECDSA"},
		{"P-224", p224.Public(), p256sig, "neither P-256 nor P-384"},
		{"short key", ed25519.PublicKey(ed.Public().(ed25519.PublicKey)[:31]), sig, "key of 31 bytes"},
		{"no key", nil, sig, "neither Ed25519 nor ECDSA"},
	} {
		t.Run(c.name, func(t *testing.T) {
			signed, err := imagefile.Attach(data, c.pub, c.sig)
			if c.want == "" {
				if err != nil {
					t.Fatal(err)
				}
				if _, err := imagefile.Verify(signed); err != nil {
					t.Error(err)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), c.want) || signed != nil {
				t.Errorf("got %d bytes and error %v, want %q", len(signed), err, c.want)
			}
		})
	}
}

func TestUnsigned(t *testing.T) {
	data := build(t, fullManifest())
	f, err := imagefile.Parse(data)
	if err != nil {
		t.Fatal(err)
	}
	if f.Signature != nil {
		t.Errorf("signature %+v", f.Signature)
	}
	if _, err := imagefile.Verify(data); !errors.Is(err, imagefile.ErrUnsigned) {
		t.Errorf("error %v", err)
	}
}

// TestEveryByteCounts changes each byte of signed images, every bit of those
// before the program: none is loaded.
func TestEveryByteCounts(t *testing.T) {
	unsigned := build(t, fullManifest())
	for a, key := range keys(t) {
		t.Run(a.String(), func(t *testing.T) {
			data := sign(t, unsigned, key)
			for i := range data {
				for bit := range 8 {
					data[i] ^= 1 << bit
					_, err := imagefile.Verify(data)
					if !errors.Is(err, imagefile.ErrFormat) && !errors.Is(err, imagefile.ErrAltered) && !errors.Is(err, imagefile.ErrSignature) {
						t.Errorf("byte %d, bit %d: error %v", i, bit, err)
					}
					if inBody := i >= 32 && i < len(unsigned); inBody && !errors.Is(err, imagefile.ErrAltered) {
						t.Errorf("byte %d, bit %d: error %v, want %v", i, bit, err, imagefile.ErrAltered)
					}
					data[i] ^= 1 << bit
					if a != imagefile.Ed25519 && i >= 64 {
						break // ECDSA is slow: one bit will do
					}
				}
			}
			if _, err := imagefile.Verify(data); err != nil {
				t.Errorf("unchanged: %v", err)
			}
		})
	}
}

func TestTruncatedAndExtended(t *testing.T) {
	data := sign(t, build(t, fullManifest()), keys(t)[imagefile.Ed25519])
	name := filepath.Join(t.TempDir(), "x.sgi")
	check := func(b []byte) {
		t.Helper()
		if _, err := imagefile.Parse(b); !errors.Is(err, imagefile.ErrFormat) {
			t.Errorf("%d of %d bytes: Parse: %v", len(b), len(data), err)
		}
		if err := os.WriteFile(name, b, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := imagefile.Open(name); !errors.Is(err, imagefile.ErrFormat) {
			t.Errorf("%d of %d bytes: Open: %v", len(b), len(data), err)
		}
	}
	for n := range data {
		check(data[:n])
	}
	check(append(data[:len(data):len(data)], 0))
}

// TestSignatureOfAnother moves the signature of one image to another by the
// same signer.
func TestSignatureOfAnother(t *testing.T) {
	key := keys(t)[imagefile.Ed25519]
	m := fullManifest()
	a := sign(t, build(t, m), key)
	m.SecurityVersion = 8
	b := sign(t, build(t, m), key)
	if len(a) != len(b) {
		t.Fatal("images differ in length")
	}
	mixed := append(bytes.Clone(a[:len(a)-64]), b[len(b)-64:]...)
	if _, err := imagefile.Verify(mixed); !errors.Is(err, imagefile.ErrSignature) {
		t.Errorf("error %v", err)
	}
}

// TestHeaderSizes gives the header sizes that the file does not have: nothing
// is allocated for them.
func TestHeaderSizes(t *testing.T) {
	good := build(t, fullManifest())
	le := binary.LittleEndian
	dir := t.TempDir()
	for name, change := range map[string]func(b []byte){
		"magic":             func(b []byte) { b[0]++ },
		"version":           func(b []byte) { b[8] = 3 },
		"no version":        func(b []byte) { b[8] = 0 },
		"no manifest":       func(b []byte) { le.PutUint32(b[12:], 0) },
		"large manifest":    func(b []byte) { le.PutUint32(b[12:], image.MaxManifest+1) },
		"huge manifest":     func(b []byte) { le.PutUint32(b[12:], 1<<32-1) },
		"no program":        func(b []byte) { le.PutUint64(b[16:], 0) },
		"largest program":   func(b []byte) { le.PutUint64(b[16:], imagefile.MaxProgram) },
		"larger program":    func(b []byte) { le.PutUint64(b[16:], imagefile.MaxProgram+1) },
		"huge program":      func(b []byte) { le.PutUint64(b[16:], 1<<64-1) },
		"negative program":  func(b []byte) { le.PutUint64(b[16:], 1<<63) },
		"algorithm":         func(b []byte) { le.PutUint16(b[24:], 4) },
		"algorithm, no key": func(b []byte) { le.PutUint16(b[24:], 1) },
		"key":               func(b []byte) { le.PutUint16(b[26:], 44) },
		"signature":         func(b []byte) { le.PutUint16(b[28:], 64) },
		"reserved":          func(b []byte) { b[30] = 1 },
	} {
		t.Run(name, func(t *testing.T) {
			b := bytes.Clone(good)
			change(b)
			if _, err := imagefile.Parse(b); !errors.Is(err, imagefile.ErrFormat) {
				t.Errorf("Parse: %v", err)
			}
			path := filepath.Join(dir, "x.sgi")
			if err := os.WriteFile(path, b, 0o600); err != nil {
				t.Fatal(err)
			}
			before := testing.AllocsPerRun(1, func() {
				if _, err := imagefile.ReadFile(path); !errors.Is(err, imagefile.ErrFormat) {
					t.Errorf("ReadFile: %v", err)
				}
			})
			if before > 100 {
				t.Errorf("%v allocations", before)
			}
		})
	}
}

func TestOpen(t *testing.T) {
	dir := t.TempDir()
	name := filepath.Join(dir, "x.sgi")
	data := sign(t, build(t, fullManifest()), keys(t)[imagefile.Ed25519])
	if err := os.WriteFile(name, data, 0o600); err != nil {
		t.Fatal(err)
	}
	img, err := imagefile.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	if img.Manifest.Name != "demo" {
		t.Errorf("manifest %+v", img.Manifest)
	}
	if _, err := imagefile.Open(filepath.Join(dir, "none")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("missing file: %v", err)
	}
	if _, err := imagefile.Open(dir); err == nil {
		t.Error("a directory was opened")
	}
}

// sealedWith makes an image whose parts may be wrong, with the digest right.
func sealedWith(manifest string, program []byte) []byte {
	return sealedAs(1, manifest, program)
}

// sealedAs is sealedWith for a format version.
func sealedAs(version uint32, manifest string, program []byte) []byte {
	le := binary.LittleEndian
	h := sha256.New()
	h.Write(le.AppendUint32([]byte("secgear image digest"), version))
	h.Write(le.AppendUint64(nil, uint64(len(manifest))))
	h.Write([]byte(manifest))
	h.Write(le.AppendUint64(nil, uint64(len(program))))
	h.Write(program)
	b := le.AppendUint32([]byte("secgear\x00"), version)
	b = le.AppendUint32(b, uint32(len(manifest)))
	b = le.AppendUint64(b, uint64(len(program)))
	b = append(b, make([]byte, 8)...)
	b = h.Sum(b)
	b = append(b, manifest...)
	return append(b, program...)
}

// TestStoredManifest gives manifests in other spellings than the canonical
// one, or that are not valid, under a right digest.
func TestStoredManifest(t *testing.T) {
	const good = `{"debug":false,"lane_memory":134217728,"lanes":16,"memory":268435456,"name":"demo","security_version":1,"workers":64}`
	if _, err := imagefile.Parse(sealedWith(good, program(nil))); err != nil {
		t.Fatal(err)
	}
	replace := func(old, by string) string {
		if !strings.Contains(good, old) {
			t.Fatalf("%q is not in the manifest", old)
		}
		return strings.Replace(good, old, by, 1)
	}
	for name, manifest := range map[string]string{
		"white space":     replace(":false", ": false"),
		"newline at end":  good + "\n",
		"trailing object": good + "{}",
		"order":           replace(`"debug":false,"lane_memory":134217728`, `"lane_memory":134217728,"debug":false`),
		"duplicate":       replace(`"lanes":16,`, `"lanes":16,"lanes":16,`),
		"unknown":         replace(`"lanes":16,`, `"lanes":16,"lines":1,`),
		"case":            replace(`"lanes"`, `"Lanes"`),
		"missing":         replace(`"debug":false,`, ``),
		"zero":            replace(`"lanes":16`, `"lanes":0`),
		"null":            replace(`"debug":false`, `"debug":null`),
		"escape":          replace(`"demo"`, `"dem\u006f"`),
		"number":          replace(`"lanes":16`, `"lanes":16.0`),
		"exponent":        replace(`"lanes":16`, `"lanes":1.6e1`),
		"empty list":      replace(`{"debug"`, `{"attach":[],"debug"`),
		"unsorted list":   replace(`{"debug"`, `{"attach":["uid:0","owner"],"debug"`),
		"double list":     replace(`{"debug"`, `{"attach":["owner","owner"],"debug"`),
		"bad name":        replace(`"demo"`, `"../x"`),
		"array":           `[` + good + `]`,
		"cut":             good[:len(good)-1],
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := imagefile.Parse(sealedWith(manifest, program(nil))); !errors.Is(err, imagefile.ErrFormat) {
				t.Errorf("error %v", err)
			}
		})
	}
}

func TestProgram(t *testing.T) {
	le := binary.LittleEndian
	for _, c := range []struct {
		name   string
		change func(b []byte)
		want   string // part of the error
	}{
		{"script", func(b []byte) { copy(b, "#!/bin/sh") }, "not an ELF"},
		{"32 bits", func(b []byte) { b[4] = 1 }, "64-bit"},
		{"big-endian", func(b []byte) { b[5] = 2 }, "little-endian"},
		{"object file", func(b []byte) { le.PutUint16(b[16:], 1) }, "not an executable"},
		{"other machine", func(b []byte) { le.PutUint16(b[18:], 8) }, "machine 8"},
		{"interpreter", func(b []byte) { le.PutUint32(b[64+56:], 3) }, "not static"},
		{"executable stack", func(b []byte) { b[64+56+4] = 7 }, "executable stack"},
		{"writable code", func(b []byte) { b[64+4] = 7 }, "writable and executable"},
		{"no code", func(b []byte) { b[64+4] = 4 }, "entry point"},
		{"entry before", func(b []byte) { le.PutUint64(b[24:], 0x3fffff) }, "entry point"},
		{"entry after", func(b []byte) { le.PutUint64(b[24:], 0x400000+200) }, "entry point"},
		{"no program headers", func(b []byte) { le.PutUint16(b[56:], 0) }, "program headers"},
		{"many program headers", func(b []byte) { le.PutUint16(b[56:], 129) }, "program headers"},
		{"program header size", func(b []byte) { le.PutUint16(b[54:], 55) }, "program headers"},
		{"program headers outside", func(b []byte) { le.PutUint64(b[32:], 1<<64-1) }, "outside"},
		{"program headers at the end", func(b []byte) { le.PutUint64(b[32:], 200-111) }, "outside"},
		{"segment outside", func(b []byte) { le.PutUint64(b[64+8:], 1<<64-1) }, "outside"},
		{"segment too long", func(b []byte) { le.PutUint64(b[64+32:], 201); le.PutUint64(b[64+40:], 201) }, "outside"},
		{"segment smaller in memory", func(b []byte) { le.PutUint64(b[64+40:], 199) }, "outside"},
		{"segment wraps", func(b []byte) { le.PutUint64(b[64+16:], 1<<64-100) }, "outside"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := imagefile.Build(image.DefaultManifest("demo"), program(c.change))
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("Build: %v, want %q", err, c.want)
			}
			m := `{"debug":false,"lane_memory":134217728,"lanes":16,"memory":268435456,"name":"demo","security_version":1,"workers":64}`
			if _, err := imagefile.Parse(sealedWith(m, program(c.change))); !errors.Is(err, imagefile.ErrFormat) {
				t.Errorf("Parse: %v", err)
			}
		})
	}
	for machine, arch := range map[uint16]string{62: "amd64", 183: "arm64", 243: "riscv64"} {
		p := program(func(b []byte) { le.PutUint16(b[18:], machine) })
		data, err := imagefile.Build(image.DefaultManifest("demo"), p)
		if err != nil {
			t.Fatal(err)
		}
		if f, err := imagefile.Parse(data); err != nil || f.Arch != arch {
			t.Errorf("machine %d: %v, %v", machine, f.Arch, err)
		}
	}
	if _, err := imagefile.Build(image.DefaultManifest("demo"), nil); err == nil {
		t.Error("an empty program was taken")
	}
}
