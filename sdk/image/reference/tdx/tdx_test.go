package tdx_test

import (
	"bytes"
	"crypto"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/secgear/secgear/sdk/image/reference"
	"github.com/secgear/secgear/sdk/image/reference/ovmf"
	"github.com/secgear/secgear/sdk/image/reference/ovmf/ovmftest"
	"github.com/secgear/secgear/sdk/image/reference/tdx"
)

// The values in these tests that are called a second implementation's were
// computed by the functions mrtd, rtmr1, rtmr2 and authenticode_sha384 of aleph-vm
// (src/aleph/vm/vprogram/tdx_measurement.py), which was not made after this one or
// the other way round.

func TestMRTD(t *testing.T) {
	tests := []struct {
		name     string
		firmware []byte
		want     string
	}{
		{"made for tests", ovmftest.Default().Build(), "c07b952489aab65e04d384a045dc1602c05b1e3e471e9d8f8164d70f33b3b7e4ba6fcf8b056e61b2e61d7a31bba09693"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := tdx.MRTD(tt.firmware)
			if err != nil {
				t.Fatal(err)
			}
			if hex := fmt.Sprintf("%x", got); hex != tt.want {
				t.Errorf("got  %s\nwant %s, a second implementation's", hex, tt.want)
			}
		})
	}
}

// TestMRTDOfDebian measures Debian's firmware, where it is installed.
func TestMRTDOfDebian(t *testing.T) {
	known := map[string]string{ // by SHA-256 of the file, a second implementation's
		"a265075b4147a096109e501e76196df1ec8a18659c26f7401492c597ec88f312": "a7a1f751abc454f9cbab198ca8d2edb2821935df525c74182b5e776cb0929e8c59aefecce725b0d08a5e9d3d3183bd08", // ovmf-inteltdx 2026.08+ds-2
		"3e4fd0b3fe3b2dbe481c3d9e99418a034174f26cbe1f55aa212b0f18c12d2d6f": "5f77220a7135b2be2087c3555b897a1c56ca84516fafc622a33fa498a46305a12597a18bb57bc50f714ffab9fe6f004d", // ovmf-amdsev 2026.08+ds-2
		"6a3e8f438ad7269f5dfd884647587b88391fb23965bb3aa7902b519438dba129": "ab742989d480d040f178cf83c3ae0734f923dbddb7325b4a826e0d87c30cb299aff85beb23ad30a1c6f975a8d0ce3e7a", // ovmf-generic 2026.08+ds-2
		"14954040cc754ade0c625ac3470ea46d4c14318b5b1396de4ef77090203d76db": "bdc6fb145880f06f30c8b346b8dce2a99d9351b56892df22f80fcf6574caa9f9c31df8e8576d53b4d0cd1c3f28910e11", // ovmf 2025.02-8+deb13u1
		"7b456907dd0786d415999e801a1ac4637b8ed4d7cf5378cfc6edbe5e574dd773": "4c7206f0f483c524f12c366c711e9049030a8d47c471ee5aa9c4999a08de4057fb887fed0744d5631a212967fb231c47", // ovmf 2022.11-6+deb12u2
	}
	found := false
	for _, name := range []string{"OVMF.inteltdx.ms.fd", "OVMF.amdsev.fd", "OVMF.fd"} {
		data := ovmftest.Installed(name)
		want, ok := known[fmt.Sprintf("%x", sha256.Sum256(data))]
		if !ok {
			continue
		}
		found = true
		if got, err := tdx.MRTD(data); err != nil || fmt.Sprintf("%x", got) != want {
			t.Errorf("%s: %x, %v; want %s", name, got, err, want)
		}
	}
	if !found {
		t.Skip("no firmware of a known version here: scripts/firmware fetches it")
	}
}

func TestMRTDRefuses(t *testing.T) {
	without := ovmftest.Default()
	without.TDX.Sections = nil
	for name, firmware := range map[string][]byte{"empty": nil, "no list": without.Build()} {
		if _, err := tdx.MRTD(firmware); !errors.Is(err, ovmf.ErrFormat) {
			t.Errorf("%s: error %v", name, err)
		}
	}
}

func TestCheckFirmware(t *testing.T) {
	made := ovmftest.Default()
	if err := tdx.CheckFirmware(made.Build()); err != nil {
		t.Error(err)
	}
	made.Table = made.Table[:2]
	if err := tdx.CheckFirmware(made.Build()); !errors.Is(err, tdx.ErrOldFirmware) {
		t.Errorf("older firmware: %v", err)
	}
	if err := tdx.CheckFirmware(nil); !errors.Is(err, ovmf.ErrFormat) {
		t.Errorf("no firmware: %v", err)
	}
}

// peOptions say which image pe makes.
type peOptions struct {
	bits32      bool
	directories uint32 // how many
	tail        int    // bytes after the sections
	signatures  int    // bytes of signatures
}

// pe makes an image with two sections, of which the second comes first.
func pe(o peOptions) []byte {
	const coff, optional, headers, sections = 0x40, 0x40 + 24, 0x400, 0x800
	le := binary.LittleEndian
	b := make([]byte, sections+o.tail+o.signatures)
	copy(b, "MZ")
	le.PutUint32(b[0x3c:], coff)
	copy(b[coff:], "PE\x00\x00")
	le.PutUint16(b[coff+4:], 0x8664)
	le.PutUint16(b[coff+6:], 2)
	magic, fixed := uint16(0x20b), 112
	if o.bits32 {
		magic, fixed = 0x10b, 96
	}
	size := fixed + 8*int(o.directories)
	le.PutUint16(b[coff+20:], uint16(size))
	le.PutUint16(b[optional:], magic)
	le.PutUint32(b[optional+60:], headers)
	le.PutUint32(b[optional+64:], 0xdeadbeef)
	le.PutUint32(b[optional+fixed-4:], o.directories)
	if o.signatures > 0 {
		le.PutUint32(b[optional+fixed+32:], uint32(len(b)-o.signatures))
		le.PutUint32(b[optional+fixed+36:], uint32(o.signatures))
	}
	for i, offset := range []int{0x600, 0x400} {
		section := b[optional+size+40*i:]
		le.PutUint32(section[16:], 0x200)
		le.PutUint32(section[20:], uint32(offset))
		fill(b[offset:offset+0x200], "BA"[i])
	}
	fill(b[sections:sections+o.tail], 'T')
	fill(b[sections+o.tail:], 'C')
	return b
}

func fill(b []byte, c byte) {
	for i := range b {
		b[i] = c
	}
}

func TestKernel(t *testing.T) {
	tests := []struct {
		name          string
		image         peOptions
		digest, rtmr1 string
	}{
		{
			"64 bits",
			peOptions{directories: 6},
			"dd19b26209cb784dea62eb32c4c18fb9c8a586ac6638eb8c0db7667790a771a5774c737be608d16df2f3ab748d2ffcd9",
			"b6d1061c5ae501842677bc0f9608b738d24e683644ab49c8bcf4bc2de2b49d9d8ba6af524b054edfb4037b051b06b788",
		},
		{
			"32 bits",
			peOptions{bits32: true, directories: 6},
			"14c8e2ba3571375e49fe3906cc1182bc385ac3e778d31382dbdf1d094390d60051ff47512b2d2a3a591256f300dee314",
			"072200f80743a0ce6939d1bd18c50c0204887d65c4f43c3b721e334abc63e298af3844d326bd8bd4411d0cbf44f9ffae",
		},
		{
			"signed",
			peOptions{directories: 6, tail: 16, signatures: 64},
			"17c96909c4ebfee329767aa6874534c38bdda0e8a941957c06a5009395e8b2d467a5b9630322c3f3b4c43e51faab12a8",
			"fd1d50ad6914836b66da14e66adb638adc2157f1a93a9ef451cb9e5d079283b18b4c0982b3c7decd141bcccca59c1288",
		},
		{
			"no place for signatures",
			peOptions{directories: 4},
			"d40bede8ebc597fc25e9b397871c498d816d1879890c3b094dccefb179b544a23d867bce35b728969b1379b6defa9d33",
			"40f3f5c06df63aa23a302a695e4d92238e90257aa8c8ae7d4675a5b08224934a031abd9d42e3b53d714c454d4ebeddd3",
		},
		{
			"something behind the sections",
			peOptions{directories: 6, tail: 8},
			"b75fe84c7647c89b7ddf95b0b3b9abbbd2ae0335455dd099c6d34e837971d6394a169f8cf34ff35c530a2f4ea8c058ac",
			"8772d0b2ad5276a89b763c691e0fc35250ba2adb0b3477b2f56625cda6f9234fa1888e9c3564a2a967b2301a6f45f287",
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			digest, err := tdx.ImageDigest(pe(tt.image))
			if err != nil {
				t.Fatal(err)
			}
			if hex := fmt.Sprintf("%x", digest); hex != tt.digest {
				t.Errorf("got  %s\nwant %s, a second implementation's", hex, tt.digest)
			}
			rtmr1, err := tdx.RTMR1(pe(tt.image))
			if err != nil {
				t.Fatal(err)
			}
			if hex := fmt.Sprintf("%x", rtmr1); hex != tt.rtmr1 {
				t.Errorf("RTMR1 is %s\nwant     %s, a second implementation's", hex, tt.rtmr1)
			}
		})
	}
}

// TestRTMR1OfDebian measures the kernel that scripts/kernel fetches.
func TestRTMR1OfDebian(t *testing.T) {
	cache, err := os.UserCacheDir()
	if err != nil {
		t.Skip(err)
	}
	kernel, err := os.ReadFile(filepath.Join(cache, "secgear/kernel/amd64/vmlinuz"))
	const version = "ed8f0dbdbefe3994093937f5ee934818ae902b88cb0b6bc423811c10d55b87b0" // 6.12.117
	if err != nil || fmt.Sprintf("%x", sha256.Sum256(kernel)) != version {
		t.Skip("no kernel of the known version here: scripts/kernel fetches it")
	}
	const want = "ea27032791d9e87faf3c1091f9f317e4794802d8575348bb7c8a6c18a4607aa5ea1933568b5b39bdac5b4a535e535fe3"
	if got, err := tdx.RTMR1(kernel); err != nil || fmt.Sprintf("%x", got) != want {
		t.Errorf("%x, %v; want %s, a second implementation's", got, err, want)
	}
}

// TestSignatureDoesNotCount: signing a kernel leaves its digest as it is.
func TestSignatureDoesNotCount(t *testing.T) {
	plain, err := tdx.ImageDigest(pe(peOptions{directories: 6}))
	if err != nil {
		t.Fatal(err)
	}
	signed, err := tdx.ImageDigest(pe(peOptions{directories: 6, signatures: 128}))
	if err != nil || signed != plain {
		t.Errorf("%x, %v; want %x", signed, err, plain)
	}
}

func TestKernelRefused(t *testing.T) {
	const optional = 0x40 + 24
	put32 := func(offset int, n uint32) func([]byte) []byte {
		return func(b []byte) []byte { binary.LittleEndian.PutUint32(b[offset:], n); return b }
	}
	tests := []struct {
		name   string
		change func([]byte) []byte
		text   string
	}{
		{"empty", func([]byte) []byte { return nil }, "MZ"},
		{"ELF", func(b []byte) []byte { copy(b, "\x7fELF"); return b }, "MZ"},
		{"odd size", func(b []byte) []byte { return b[:len(b)-1] }, "multiple of 8"},
		{"cut", func(b []byte) []byte { return b[:0x7f8] }, "cut"},
		{"cut in its headers", func(b []byte) []byte { return b[:0x80] }, "cut"},
		{"headers nowhere", put32(0x3c, 0xffffffff), "cut"},
		{"no PE header", put32(0x3c, 0x48), "PE header"},
		{"other optional header", put32(optional, 0), "optional header 0x0"},
		{"sections in the optional header", put32(0x40+20, 0), "optional header of 0 bytes"},
		{"headers longer than the file", put32(optional+60, 0x10000), "headers of 65536"},
		{"headers without the checksum", put32(optional+60, 0x80), "headers of 128"},
		{"sections longer than the file", put32(optional+160+16, 0x7fffffff), "cut"},
		{"section beyond the file", put32(optional+160+20, 0xffffffff), "cut"},
		{"sections that overlap", put32(optional+160+20, 0x500), "overlap"},
		{"section in the headers", put32(optional+160+20, 0x10), "overlap"},
		{"signatures longer than the file", put32(optional+112+36, 0xffffffff), "signatures"},
		{"signatures in the middle", func(b []byte) []byte {
			return put32(optional+112+32, 0x400)(put32(optional+112+36, 8)(b))
		}, "signatures"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			kernel := tt.change(pe(peOptions{directories: 6}))
			_, err := tdx.ImageDigest(kernel)
			if !errors.Is(err, tdx.ErrKernel) || !strings.Contains(err.Error(), tt.text) {
				t.Errorf("error %v, want one with %q", err, tt.text)
			}
			if _, err := tdx.RTMR1(kernel); !errors.Is(err, tdx.ErrKernel) {
				t.Errorf("RTMR1: error %v", err)
			}
		})
	}
}

func TestRTMR2(t *testing.T) {
	got, err := tdx.RTMR2("console=ttyS0 quiet", []byte("initrd"))
	if err != nil {
		t.Fatal(err)
	}
	const want = "3c59c68c86cfd1a9f6b466fdc14f7463a74a4576bbbae824bbeda22718fa5cd7c39810a8279395a464156797b8d1b643"
	if hex := fmt.Sprintf("%x", got); hex != want {
		t.Errorf("got  %s\nwant %s, a second implementation's", hex, want)
	}
	for commandLine, initrd := range map[string]string{"größe": "initrd", "a\x00b": "initrd", "quiet": ""} {
		if _, err := tdx.RTMR2(commandLine, []byte(initrd)); err == nil {
			t.Errorf("%q with initrd %q has a value", commandLine, initrd)
		}
	}
}

// TestRTMR1OfRecordedEvents: what the firmware measures beside the kernel has the
// digests that a real TD recorded in its event log (Google Cloud; go-eventlog
// v0.0.2, testdata/eventlogs/ccel/cos-113-intel-tdx.bin). That one was started in
// another way, but by firmware with the same events.
func TestRTMR1OfRecordedEvents(t *testing.T) {
	kernel := pe(peOptions{directories: 6})
	image, err := tdx.ImageDigest(kernel)
	if err != nil {
		t.Fatal(err)
	}
	r := reference.NewRegister(crypto.SHA384)
	for _, digest := range []string{
		fmt.Sprintf("%x", image),
		"77a0dab2312b4e1e57a84d865a21e5b2ee8d677a21012ada819d0a98988078d3d740f6346bfe0abaa938ca20439a8d71", // Calling EFI Application from Boot Option
		"394341b7182cd227c5c6b07ef8000cdfd86136c4292b8e576573ad7ed9ae41019f5818b4b971c9effc60e1ad9f1289f0", // separator
		"214b0bef1379756011344877743fdc2a5382bac6e70362d624ccf3f654407c1b4badf7d8f9295dd3dabdef65b27677e0", // Exit Boot Services Invocation
		"0a2e01c85deae718a530ad8c6d20a84009babe6c8989269e950d8cf440c6e997695e64d455c4174a652cd080f6230b74", // Exit Boot Services Returned with Success
	} {
		var b reference.Bytes
		if err := b.UnmarshalText([]byte(digest)); err != nil {
			t.Fatal(err)
		}
		if err := r.Extend(b); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := tdx.RTMR1(kernel); err != nil || !bytes.Equal(got[:], r.Value()) {
		t.Errorf("%x, %v; want %x", got, err, r.Value())
	}
}

// FuzzImageDigest: no image makes it panic, and what has a digest has a checksum
// that does not count.
func FuzzImageDigest(f *testing.F) {
	f.Fuzz(func(t *testing.T, data []byte) {
		before, err := tdx.ImageDigest(data)
		if err != nil {
			return
		}
		checksum := int(binary.LittleEndian.Uint32(data[0x3c:])) + 24 + 64
		if checksum >= 0x40 { // else it lies over the field that says where it is
			other := bytes.Clone(data)
			other[checksum] ^= 0xff
			if after, err := tdx.ImageDigest(other); err != nil || after != before {
				t.Errorf("another checksum, another digest (%v)", err)
			}
		}
	})
}
