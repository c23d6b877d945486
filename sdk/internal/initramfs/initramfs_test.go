package initramfs

import (
	"bytes"
	"errors"
	"os/exec"
	"reflect"
	"strconv"
	"strings"
	"testing"

	"github.com/secgear/secgear/sdk/image"
	"github.com/secgear/secgear/sdk/tee"
)

// members reads an archive back.
func members(t *testing.T, b []byte) (files []File) {
	t.Helper()
	number := func(at int) int {
		v, err := strconv.ParseUint(string(b[at:at+8]), 16, 32)
		if err != nil {
			t.Fatal(err)
		}
		return int(v)
	}
	for {
		if string(b[:6]) != "070701" {
			t.Fatalf("no header: %q", b[:6])
		}
		mode, size, name := number(14), number(54), number(94)
		f := File{Name: string(b[110 : 110+name-1]), Mode: uint32(mode)}
		if b[110+name-1] != 0 {
			t.Fatalf("%s: the name does not end", f.Name)
		}
		if f.Name == "TRAILER!!!" {
			return files
		}
		b = b[(110+name+3)/4*4:]
		f.Data = b[:size:size]
		b = b[(size+3)/4*4:]
		files = append(files, f)
	}
}

func TestArchive(t *testing.T) {
	want := []File{
		{"a", ModeDir | 0o755, []byte{}},
		{"a/b", ModeFile | 0o644, []byte("x")},
		{"a/longer", ModeFile | 0o600, []byte("12345678")},
		{"empty", ModeFile | 0o400, []byte{}},
	}
	b, err := Archive(want)
	if err != nil {
		t.Fatal(err)
	}
	if got := members(t, b); !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v", got)
	}
	if len(b)%512 != 0 {
		t.Errorf("%d bytes", len(b))
	}
	// One member byte by byte, as GNU cpio writes it but for the inode.
	const first = "070701" + "00000001" + "000041ED" + "00000000" + "00000000" + "00000002" + "00000000" +
		"00000000" + "00000000" + "00000000" + "00000000" + "00000000" + "00000002" + "00000000" + "a\x00"
	if !bytes.HasPrefix(b, []byte(first)) {
		t.Errorf("begins %q", b[:len(first)])
	}
}

// TestArchiveByCpio has GNU cpio list an archive.
func TestArchiveByCpio(t *testing.T) {
	cpio, err := exec.LookPath("cpio")
	if err != nil {
		t.Skip("the program cpio is not installed")
	}
	b, err := Archive([]File{{"a", ModeDir | 0o755, nil}, {"a/b", ModeFile | 0o644, []byte("xyz")}})
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(cpio, "-t", "--quiet")
	cmd.Stdin = bytes.NewReader(b)
	if out, err := cmd.Output(); err != nil || string(out) != "a\na/b\n" {
		t.Errorf("%q, %v", out, err)
	}
}

func TestArchiveRefuses(t *testing.T) {
	for _, name := range []string{"", "/a", "a\x00b", "TRAILER!!!", strings.Repeat("x", 256)} {
		if _, err := Archive([]File{{Name: name}}); err == nil {
			t.Errorf("%q was taken", name)
		}
	}
}

// testImage is an image that nobody built.
func testImage() *image.Image {
	m := image.DefaultManifest("test")
	m.Services = []string{"b.C", "a.B"}
	return &image.Image{Manifest: m, Program: []byte("program"), Digest: image.Digest{1}, Signer: image.SignerID{2}}
}

func TestBuild(t *testing.T) {
	b, err := Build(testImage(), "vm", []Module{{"second", []byte("2")}, {"first", []byte("1")}})
	if err != nil {
		t.Fatal(err)
	}
	again, err := Build(testImage(), "vm", []Module{{"second", []byte("2")}, {"first", []byte("1")}})
	if err != nil || !bytes.Equal(b, again) {
		t.Errorf("another time it is another archive (%v)", err)
	}
	data := map[string]string{}
	for _, f := range members(t, b) {
		data[f.Name] = string(f.Data)
	}
	if data["init"] != "program" || data["secgear/modules/00-second.ko"] != "2" || data["secgear/modules/01-first.ko"] != "1" {
		t.Errorf("files: %q", data)
	}
	platform, id, err := ParseIdentity([]byte(data["secgear/identity"]))
	if err != nil || platform != "vm" || id.Digest != (image.Digest{1}) || id.Signer != (image.SignerID{2}) || id.Manifest.Name != "test" {
		t.Errorf("identity %q %+v, %v", platform, id, err)
	}
}

func TestBuildRefuses(t *testing.T) {
	encrypted := testImage()
	encrypted.Program, encrypted.Encrypted = nil, &image.Encrypted{}
	if _, err := Build(encrypted, "vm", nil); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("encrypted: %v", err)
	}
	if _, err := Build(testImage(), "vm", make([]Module, 101)); err == nil {
		t.Error("101 modules were taken")
	}
	if _, err := Build(testImage(), "", nil); err == nil {
		t.Error("no platform was taken")
	}
	invalid := testImage()
	invalid.Manifest.Name = "No Name"
	if _, err := Build(invalid, "vm", nil); err == nil {
		t.Error("an invalid manifest was taken")
	}
}

// identity is one that ParseIdentity takes.
func identity(t testing.TB) []byte {
	t.Helper()
	b, err := AppendIdentity(nil, "vm", tee.Identity{Digest: image.Digest{1}, Manifest: image.DefaultManifest("test")})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestParseIdentityRefuses(t *testing.T) {
	good := identity(t)
	for name, b := range map[string][]byte{
		"nothing":       nil,
		"magic only":    good[:16],
		"no manifest":   good[:19+64],
		"cut":           good[:len(good)-1],
		"more":          append(bytes.Clone(good), ' '),
		"no platform":   append(append(bytes.Clone(good[:16]), 0), good[19:]...),
		"long platform": append(append(bytes.Clone(good[:16]), 200), good[17:]...),
		"other magic":   append([]byte("x"), good[1:]...),
		"too large":     make([]byte, MaxIdentity+1),
	} {
		if platform, id, err := ParseIdentity(b); !errors.Is(err, ErrFormat) || platform != "" || !reflect.DeepEqual(id, tee.Identity{}) {
			t.Errorf("%s: %q, %+v, %v", name, platform, id, err)
		}
	}
}

func FuzzParseIdentity(f *testing.F) {
	f.Add(identity(f))
	f.Fuzz(func(t *testing.T, b []byte) {
		platform, id, err := ParseIdentity(b)
		if err != nil {
			return
		}
		again, err := AppendIdentity(nil, platform, id)
		if err != nil || !bytes.Equal(again, b) {
			t.Errorf("read %q, writes %q, %v", b, again, err)
		}
	})
}
