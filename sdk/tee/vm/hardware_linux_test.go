package vm

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// machine returns one that has files, named without a leading slash.
func machine(t *testing.T, arch string, files map[string]string) hardware {
	t.Helper()
	root := t.TempDir()
	for name, content := range files {
		name = filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return hardware{root, arch}
}

// TestMissingHardware: each thing that is missing is named, with what to do.
func TestMissingHardware(t *testing.T) {
	for _, tt := range []struct {
		kind  Kind
		arch  string
		files map[string]string
		want  string // what is missing
	}{
		{Plain, "amd64", nil, ""},
		{SNP, "amd64", nil, "/dev/kvm /dev/sev kvm_amd.sev_snp"},
		{SNP, "amd64", map[string]string{"dev/kvm": "", "dev/sev": "", "sys/module/kvm_amd/parameters/sev_snp": "N\n"}, "kvm_amd.sev_snp"},
		{SNP, "amd64", map[string]string{"dev/kvm": "", "dev/sev": "", "sys/module/kvm_amd/parameters/sev_snp": "Y\n"}, ""},
		{SNP, "arm64", nil, "amd64 processor"},
		{TDX, "amd64", nil, "/dev/kvm kvm_intel.tdx"},
		{TDX, "amd64", map[string]string{"dev/kvm": "", "sys/module/kvm_intel/parameters/tdx": "Y\n"}, ""},
		{CCA, "amd64", nil, "arm64 processor"},
		{CCA, "arm64", map[string]string{"dev/kvm": ""}, "KVM for realms"},
	} {
		var got []string
		for _, m := range machine(t, tt.arch, tt.files).missing(tt.kind) {
			got = append(got, m.What)
			if m.Why == "" || m.Fix == "" {
				t.Errorf("incomplete: %+v", m)
			}
		}
		if s := strings.Join(got, " "); s != tt.want {
			t.Errorf("%s on %s with %v: missing %q, want %q", tt.kind, tt.arch, tt.files, s, tt.want)
		}
	}
}

func TestVersion(t *testing.T) {
	for said, want := range map[string]version{
		"QEMU emulator version 7.2.22 (Debian)\nCopyright": {7, 2},
		"QEMU emulator version 10.1.0":                     {10, 1},
	} {
		if got, err := parseVersion(said); err != nil || got != want {
			t.Errorf("%q: %v, %v", said, got, err)
		}
	}
	if _, err := parseVersion("no such thing"); err == nil {
		t.Error("a version of nothing")
	}
	if !(version{7, 2}).before(version{9, 1}) || !(version{9, 0}).before(version{9, 1}) || (version{10, 1}).before(version{9, 1}) {
		t.Error("the order of versions")
	}
}
