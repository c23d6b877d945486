package snp_test

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/secgear/secgear/sdk/image/reference/ovmf"
	"github.com/secgear/secgear/sdk/image/reference/ovmf/ovmftest"
	"github.com/secgear/secgear/sdk/image/reference/snp"
)

// The last 4 KiB of two builds of OVMF, and what is measured of them, were
// published by VirTEE: crate sev 8.0.0, tests/measurement and
// tests/measurement.rs (Apache-2.0; OVMF itself is BSD-2-Clause-Patent). Theirs
// is another implementation; values of their tool sev-snp-measure, which it was
// made after, were compared with hardware by its users.
const (
	amdSev = "ovmf_AmdSev_suffix.bin"  // checks hashes of what it boots
	x64    = "ovmf_OvmfX64_suffix.bin" // does not
)

func TestPublishedDigests(t *testing.T) {
	const withDebugSwap = snp.SNPActive | snp.DebugSwap
	empty := &snp.Boot{}
	console := &snp.Boot{CommandLine: "console=ttyS0 loglevel=7"}
	tests := []struct {
		name     string
		firmware string
		cpus     int
		features snp.Features
		vmm      snp.VMM
		boot     *snp.Boot
		want     string
	}{
		{"test_snp_ec2_snp_only", amdSev, 1, snp.SNPActive, snp.EC2, empty, "7d3756157c805bf6adf617064c8552e8c1688fa1c8756f11cbf56ba5d25c9270fb69c0505c1cbe1c5c66c0e34c6ed3be"},
		{"test_snp_ec2_default", amdSev, 1, withDebugSwap, snp.EC2, empty, "6ae80856486b1396af8c82a40351d6ed76a20c785e9c7fa4ffa27c22d5d6313b4b3b458cd3c9968e6f89fb5d8450d7a6"},
		{"test_snp_ovmf_hash_gen_snp_only", amdSev, 1, snp.SNPActive, snp.QEMU, empty, "ddc5224521617a536ee7ce9dd6224d1b58a8d4fda1c741f3ac99fc4bfa04ba6e9fc98646d4a07a9079397fa3852819b5"},
		{"test_sev_snp_only", amdSev, 1, snp.SNPActive, snp.QEMU, console, "6d287813eb5222d770f75005c664e34c204f385ce832cc2ce7d0d6f354454362f390ef83a92046c042e706363b4b08fa"},
		{"test_snp_default", amdSev, 1, withDebugSwap, snp.QEMU, console, "803f691094946e42068aaa3a8f9e26a5c89f36f7b73ecfb28c653360fe4b3aba7e534442e7e1e17895dfe778d0228977"},
		{"test_snp_without_kernel_snp_only", amdSev, 1, snp.SNPActive, snp.QEMU, nil, "19358ba9a7615534a9a1e2f0dfc29384dcd4dcb7062ff9c6013b26869a5fc6ecabe033c48dd6f6db5d6d76e7c5df632d"},
		{"test_snp_without_kernel_default", amdSev, 1, withDebugSwap, snp.QEMU, nil, "e1e1ca029dd7973ab9513295be68198472dcd4fc834bd9af9b63f6e8a1674dbf281a9278a4a2ebe0eed9f22adbcd0e2b"},
		{"test_snp_with_multiple_vcpus_snp_only", amdSev, 4, snp.SNPActive, snp.QEMU, empty, "5061fffb019493a903613d56d54b94912a1a2f9e4502385f5c194616753720a92441310ba6c4933de877c36e23046ad5"},
		{"test_snp_with_multiple_vcpus_default", amdSev, 4, withDebugSwap, snp.QEMU, empty, "4953b1fb416fa874980e8442b3706d345926d5f38879134e00813c5d7abcbe78eafe7b422907be0b4698e2414a631942"},
		{"test_snp_with_ovmfx64_without_kernel_snp_only", x64, 1, snp.SNPActive, snp.QEMU, nil, "da0296de8193586a5512078dcd719eccecbd87e2b825ad4148c44f665dc87df21e5b49e21523a9ad993afdb6a30b4005"},
		{"test_snp_with_ovmfx64_without_kernel_default", x64, 1, withDebugSwap, snp.QEMU, nil, "28797ae0afaba4005a81e629acebfb59e6687949d6be44007cd5506823b0dd66f146aaae26ff291eed7b493d8a64c385"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := snp.Launch{
				Firmware: testdata(t, tt.firmware), CPUs: tt.cpus, Signature: model(t, "EPYC-v4"),
				VMM: tt.vmm, Features: tt.features, Boot: tt.boot,
			}.Digest()
			if err != nil {
				t.Fatal(err)
			}
			if hex := fmt.Sprintf("%x", got); hex != tt.want {
				t.Errorf("got  %s\nwant %s", hex, tt.want)
			}
		})
	}
}

// TestDigestOfDebian measures a whole firmware, where it is installed. The values are
// a second implementation's, a condensed sev-snp-measure (gctx.py, ovmf.py,
// sev_hashes.py, vmsa.py with the floating-point state that newer ones have).
func TestDigestOfDebian(t *testing.T) {
	const version = "3e4fd0b3fe3b2dbe481c3d9e99418a034174f26cbe1f55aa212b0f18c12d2d6f" // of ovmf-amdsev 2026.08+ds-2
	firmware := ovmftest.Installed("OVMF.amdsev.fd")
	if fmt.Sprintf("%x", sha256.Sum256(firmware)) != version {
		t.Skip("no firmware of the known version here: scripts/firmware fetches it")
	}
	for want, l := range map[string]snp.Launch{
		"81252542a27c307d34fe9db17fba051bcdaadc41a4329ce0c1fc25149bf3336fc3abf515ab9bb5c7c39211a69aa0e105": {
			CPUs: 2, Signature: model(t, "EPYC-v4"), Boot: &snp.Boot{Kernel: []byte("kernel"), Initrd: []byte("initrd"), CommandLine: "quiet"},
		},
		"6b59d7c4b654b870ef5f61224f01a9dfb5d0087ab3cbf17c0348ebde4a781395acd34dd93445e2e61ca5757f343becda": {
			CPUs: 4, VMM: snp.EC2,
		},
	} {
		l.Firmware, l.Features = firmware, snp.SNPActive
		if got, err := l.Digest(); err != nil || fmt.Sprintf("%x", got) != want {
			t.Errorf("%x, %v; want %s", got, err, want)
		}
	}
}

// TestDigestRefuses: what can't be launched, or launched only without saying
// anything of the enclave, has no digest.
func TestDigestRefuses(t *testing.T) {
	good := func() snp.Launch {
		return snp.Launch{
			Firmware: testdata(t, amdSev), CPUs: 2, Signature: model(t, "EPYC-Milan"), Features: snp.SNPActive,
			Boot: &snp.Boot{Kernel: []byte("kernel"), CommandLine: "quiet"},
		}
	}
	if _, err := good().Digest(); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name   string
		change func(*snp.Launch)
		is     error
		text   string
	}{
		{"firmware without room for hashes", func(l *snp.Launch) { l.Firmware = testdata(t, x64) }, snp.ErrUnmeasured, "ovmf-amdsev"},
		{"no processor", func(l *snp.Launch) { l.CPUs = 0 }, nil, "0 processors"},
		{"too many processors", func(l *snp.Launch) { l.CPUs = 513 }, nil, "513 processors"},
		{"no features", func(l *snp.Launch) { l.Features = 0 }, nil, "SNPActive"},
		{"other monitor", func(l *snp.Launch) { l.VMM = 7 }, nil, "monitor 7"},
		{"zero byte in the command line", func(l *snp.Launch) { l.Boot.CommandLine = "a\x00b" }, nil, "zero byte"},
		{"no firmware", func(l *snp.Launch) { l.Firmware = nil }, ovmf.ErrFormat, "0 bytes"},
		{"half a firmware", func(l *snp.Launch) { l.Firmware = l.Firmware[:2048] }, ovmf.ErrFormat, "2048 bytes"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			l := good()
			tt.change(&l)
			_, err := l.Digest()
			if err == nil || !strings.Contains(err.Error(), tt.text) || tt.is != nil && !errors.Is(err, tt.is) {
				t.Errorf("error %v, want one with %q", err, tt.text)
			}
		})
	}
}

// TestDigestCoversEverything: each input changes the digest.
func TestDigestCoversEverything(t *testing.T) {
	seen := make(map[snp.Digest]string)
	for name, change := range map[string]func(*snp.Launch){
		"as it is":       func(*snp.Launch) {},
		"firmware":       func(l *snp.Launch) { l.Firmware[0] ^= 1 },
		"processors":     func(l *snp.Launch) { l.CPUs = 3 },
		"model":          func(l *snp.Launch) { l.Signature = model(t, "EPYC-Turin") },
		"monitor":        func(l *snp.Launch) { l.VMM = snp.EC2 },
		"features":       func(l *snp.Launch) { l.Features |= snp.SecureTSC },
		"kernel":         func(l *snp.Launch) { l.Boot.Kernel = []byte("another kernel") },
		"initrd":         func(l *snp.Launch) { l.Boot.Initrd = []byte("another initrd") },
		"command line":   func(l *snp.Launch) { l.Boot.CommandLine = "quiet " },
		"nothing booted": func(l *snp.Launch) { l.Boot = nil },
	} {
		l := snp.Launch{
			Firmware: testdata(t, amdSev), CPUs: 2, Signature: model(t, "EPYC-Milan"), Features: snp.SNPActive,
			Boot: &snp.Boot{Kernel: []byte("kernel"), Initrd: []byte("initrd"), CommandLine: "quiet"},
		}
		change(&l)
		d, err := l.Digest()
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if other, ok := seen[d]; ok {
			t.Errorf("the digest is the same for %q and %q", name, other)
		}
		seen[d] = name
	}
}

// TestSignature compares with CPUID EAX values that AMD's processors are known by.
func TestSignature(t *testing.T) {
	for name, want := range map[string]uint32{
		"EPYC": 0x800f12, "EPYC-v4": 0x800f12, "EPYC-IBPB": 0x800f12,
		"EPYC-Rome": 0x830f10, "EPYC-Milan": 0xa00f11, "EPYC-Milan-v2": 0xa00f11,
		"EPYC-Genoa": 0xa10f10, "EPYC-Genoa-v1": 0xa10f10, "EPYC-Turin": 0xb00f00,
	} {
		if got := model(t, name); got != want {
			t.Errorf("%s: %#x, want %#x", name, got, want)
		}
	}
	for _, name := range []string{"", "host", "max", "epyc", "EPYC-v0", "EPYC-v10", "EPYC-v", "-v1", "EPYC-Milan-"} {
		if got, err := snp.Signature(name); err == nil {
			t.Errorf("%q has the signature %#x", name, got)
		}
	}
}

func testdata(t testing.TB, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func model(t testing.TB, name string) uint32 {
	t.Helper()
	s, err := snp.Signature(name)
	if err != nil {
		t.Fatal(err)
	}
	return s
}
