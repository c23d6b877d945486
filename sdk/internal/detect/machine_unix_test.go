//go:build unix

package detect

import (
	"io/fs"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/fstest"

	"github.com/secgear/secgear/sdk/tee"
)

// The trees have the shape of machines as their kernels' and vendors'
// documentation describes them: nothing here was recorded on one.

const groups = "root:x:0:\nkvm:x:108:\nsgx:x:997:\nne:x:990:\nteeclnt:x:120:\n"

// denied is a user who may open no device.
func denied(string) error { return fs.ErrPermission }

// allowed is one who may open all.
func allowed(string) error { return nil }

func text(s string) *fstest.MapFile { return &fstest.MapFile{Data: []byte(s + "\n"), Mode: 0o444} }

func device(mode fs.FileMode, gid uint32) *fstest.MapFile {
	return &fstest.MapFile{Mode: fs.ModeDevice | fs.ModeCharDevice | mode, Sys: &syscall.Stat_t{Gid: gid}}
}

func cpuinfo(flags string) *fstest.MapFile {
	one := "processor\t: 0\nflags\t\t: fpu sse2 " + flags + "\nbugs\t\t: sgx_is_no_flag_here\n"
	return text(one + strings.Replace(one, "0", "1", 1))
}

var snpHost = fstest.MapFS{
	"proc/cpuinfo":                          cpuinfo("svm sev sev_es sev_snp debug_swap"),
	"sys/module/kvm_amd/parameters/sev_snp": text("Y"),
	"dev/kvm":                               device(0o660, 108),
	"dev/sev":                               device(0o600, 0),
	"sys/class/dmi/id/sys_vendor":           text("Supermicro"),
	"etc/group":                             text(groups),
	"sys/module/kvm_amd/parameters/sev":     text("Y"),
	"sys/firmware/acpi/tables/IVRS":         text(""),
}

var snpHostSwitchedOff = fstest.MapFS{
	"proc/cpuinfo":                          cpuinfo("svm sev sev_es sev_snp"),
	"sys/module/kvm_amd/parameters/sev_snp": text("N"),
	"dev/kvm":                               device(0o660, 108),
	"dev/sev":                               device(0o600, 0),
	"etc/group":                             text(groups),
}

var tdxHost = fstest.MapFS{
	"proc/cpuinfo":                        cpuinfo("vmx tme tdx_host_platform sgx sgx_lc"),
	"sys/module/kvm_intel/parameters/tdx": text("Y"),
	"dev/kvm":                             device(0o660, 108),
	"dev/sgx_enclave":                     device(0o666, 0),
	"var/run/aesmd/aesm.socket":           {Mode: fs.ModeSocket | 0o777},
	"etc/group":                           text(groups),
}

var oldTDXKernel = fstest.MapFS{
	"proc/cpuinfo":                           cpuinfo("vmx tdx_host_platform"),
	"sys/module/kvm_intel/parameters/nested": text("Y"),
	"dev/kvm":                                device(0o660, 108),
}

var sgxHost = fstest.MapFS{
	"proc/cpuinfo":      cpuinfo("vmx sgx sgx_lc"),
	"dev/sgx_enclave":   device(0o660, 997),
	"dev/sgx_provision": device(0o660, 998),
	"dev/kvm":           device(0o660, 108),
	"etc/group":         text(groups),
}

var armBoard = fstest.MapFS{
	"proc/cpuinfo": text("processor\t: 0\nFeatures\t: fp asimd aes sha2"),
	"dev/tee0":     device(0o660, 120),
	"dev/teepriv0": device(0o600, 0),
	"etc/group":    text(groups),
}

var awsParent = fstest.MapFS{
	"proc/cpuinfo":                cpuinfo("hypervisor"),
	"sys/class/dmi/id/sys_vendor": text("Amazon EC2"),
	"dev/nitro_enclaves":          device(0o660, 990),
	"etc/group":                   text(groups),
}

var awsWithoutEnclaves = fstest.MapFS{
	"proc/cpuinfo":                cpuinfo("hypervisor"),
	"sys/class/dmi/id/sys_vendor": text("Amazon EC2"),
}

var azureCVM = fstest.MapFS{
	"proc/cpuinfo":                       cpuinfo("hypervisor"),
	"sys/class/dmi/id/sys_vendor":        text("Microsoft Corporation"),
	"sys/class/dmi/id/chassis_asset_tag": text(azureTag),
	"dev/tpm0":                           device(0o660, 0),
	"dev/tpmrm0":                         device(0o660, 0),
}

var snpGuest = fstest.MapFS{
	"proc/cpuinfo":  cpuinfo("hypervisor"),
	"dev/sev-guest": device(0o600, 0),
	"dev/tpmrm0":    device(0o660, 0),
}

var tdxGuest = fstest.MapFS{
	"proc/cpuinfo":                       cpuinfo("hypervisor tdx_guest"),
	"dev/tdx_guest":                      device(0o600, 0),
	"sys/kernel/config/tsm/report/.keep": text(""),
	"sys/firmware/acpi/tables/CCEL":      text(""),
	"sys/class/dmi/id/chassis_asset_tag": text(""),
}

var nitroEnclave = fstest.MapFS{"dev/nsm": device(0o600, 0)}

var gramine = fstest.MapFS{"dev/attestation/user_report_data": text("")}

func TestKinds(t *testing.T) {
	for name, tt := range map[string]struct {
		root   fstest.MapFS
		arch   string
		access func(string) error
		kind   string
		inside Inside
		want   []string // what is missing: What, or What and part of Fix after " → "
	}{
		"SNP host":                   {snpHost, "amd64", allowed, "sev-snp", No, nil},
		"SNP host, another user":     {snpHost, "amd64", denied, "sev-snp", No, []string{"access to /dev/kvm → usermod -aG kvm USER", "access to /dev/sev → be root"}},
		"SNP host, switched off":     {snpHostSwitchedOff, "amd64", allowed, "sev-snp", No, []string{"kvm_amd.sev_snp → kvm_amd.sev_snp=1"}},
		"SNP host has no TDX":        {snpHost, "amd64", allowed, "tdx", No, []string{"TDX → Xeon", "kvm_intel.tdx → modprobe kvm_intel"}},
		"TDX host":                   {tdxHost, "amd64", allowed, "tdx", No, nil},
		"TDX host has SGX":           {tdxHost, "amd64", allowed, "sgx", No, nil},
		"TDX host, old kernel":       {oldTDXKernel, "amd64", allowed, "tdx", No, []string{"kvm_intel.tdx → Linux 6.16"}},
		"SGX host":                   {sgxHost, "amd64", allowed, "sgx", No, nil},
		"SGX host, no permission":    {sgxHost, "amd64", denied, "sgx", No, []string{"access to /dev/sgx_enclave → usermod -aG sgx USER"}},
		"SGX, in Gramine":            {gramine, "amd64", allowed, "sgx", Yes, []string{"SGX → firmware", "/dev/sgx_enclave → 5.11"}},
		"board with OP-TEE":          {armBoard, "arm64", allowed, "trustzone", No, nil},
		"board, another user":        {armBoard, "arm64", denied, "trustzone", No, []string{"access to /dev/tee0 → usermod -aG teeclnt USER"}},
		"board has no CCA":           {armBoard, "arm64", allowed, "cca", No, []string{"/dev/kvm", "Realm Management Extension → RMM"}},
		"board has no SGX":           {armBoard, "arm64", allowed, "sgx", No, []string{"amd64 processor"}},
		"EC2 parent":                 {awsParent, "amd64", allowed, "nitro", No, nil},
		"EC2 parent, another user":   {awsParent, "amd64", denied, "nitro", No, []string{"access to /dev/nitro_enclaves → usermod -aG ne USER"}},
		"EC2, not enabled":           {awsWithoutEnclaves, "amd64", allowed, "nitro", No, []string{"/dev/nitro_enclaves → EnclaveOptions.Enabled=true"}},
		"elsewhere":                  {sgxHost, "amd64", allowed, "nitro", No, []string{"/dev/nitro_enclaves → rent an EC2 instance"}},
		"Nitro enclave":              {nitroEnclave, "amd64", allowed, "nitro", Yes, []string{"/dev/nitro_enclaves"}},
		"Azure":                      {azureCVM, "amd64", allowed, "cvm", Unknown, []string{"confidential virtual machine → tpm2_nvread"}},
		"Azure, another user":        {azureCVM, "amd64", denied, "cvm", Unknown, []string{"access to /dev/tpmrm0"}},
		"SNP guest":                  {snpGuest, "amd64", allowed, "cvm", Yes, nil},
		"SNP guest, another user":    {snpGuest, "amd64", denied, "cvm", Yes, []string{"evidence → sev-guest"}},
		"SNP guest is in SNP":        {snpGuest, "amd64", allowed, "sev-snp", Yes, []string{"SEV-SNP", "/dev/kvm", "kvm_amd.sev_snp", "/dev/sev"}},
		"TDX guest":                  {tdxGuest, "amd64", denied, "cvm", Yes, nil},
		"TDX guest is in TDX":        {tdxGuest, "amd64", allowed, "tdx", Yes, []string{"TDX", "/dev/kvm", "kvm_intel.tdx"}},
		"EC2 is no confidential one": {awsParent, "amd64", allowed, "cvm", No, []string{"confidential virtual machine → rent one"}},
		"TPM":                        {azureCVM, "amd64", allowed, "tpm", No, nil},
		"no TPM":                     {snpHost, "amd64", allowed, "tpm", No, []string{"/dev/tpmrm0"}},
		"Penglai":                    {fstest.MapFS{"dev/penglai_enclave_dev": device(0o600, 0)}, "riscv64", allowed, "penglai", No, nil},
		"Keystone":                   {fstest.MapFS{"dev/keystone_enclave": device(0o600, 0)}, "riscv64", allowed, "keystone", No, nil},
		"RISC-V without either":      {fstest.MapFS{}, "riscv64", allowed, "keystone", No, []string{"/dev/keystone_enclave → monitor"}},
	} {
		t.Run(name, func(t *testing.T) {
			m := Machine{Root: tt.root, Arch: tt.arch, Access: tt.access}
			i := slices.IndexFunc(Kinds(), func(k Kind) bool { return k.Name == tt.kind })
			k := Kinds()[i]
			compare(t, k.Host(m), tt.want)
			inside := No
			if k.Inside != nil {
				inside = k.Inside(m)
			}
			if inside != tt.inside {
				t.Errorf("inside: %s, want %s", inside, tt.inside)
			}
		})
	}
}

// compare compares what is missing, in order.
func compare(t *testing.T, got []tee.Missing, want []string) {
	t.Helper()
	for i := range max(len(got), len(want)) {
		switch {
		case i >= len(got):
			t.Errorf("not missing: %s", want[i])
		case i >= len(want):
			t.Errorf("missing: %+v", got[i])
		default:
			what, fix, _ := strings.Cut(want[i], " → ")
			if got[i].What != what || !strings.Contains(got[i].Fix, fix) || got[i].Why == "" {
				t.Errorf("missing %+v, want %s", got[i], want[i])
			}
		}
	}
}

func TestSGXEvidence(t *testing.T) {
	compare(t, SGXEvidence(Machine{Root: tdxHost}), nil)
	compare(t, SGXEvidence(Machine{Root: sgxHost}), []string{"evidence → sgx-aesm-service"})
}

// TestHostileNames: a group file can't put a command of its own into the advice.
func TestHostileNames(t *testing.T) {
	m := Machine{Root: fstest.MapFS{
		"dev/sgx_enclave": device(0o660, 5), "proc/cpuinfo": cpuinfo("sgx sgx_lc"), "etc/group": text("a;reboot:x:5:"),
	}, Arch: "amd64", Access: denied}
	compare(t, SGX(m), []string{"access to /dev/sgx_enclave → usermod -aG 5 USER"})
}

// TestThis: the machine that the test runs on can be looked at, whatever it is.
func TestThis(t *testing.T) {
	for _, k := range Kinds() {
		if k.Host != nil {
			for _, missing := range k.Host(This()) {
				if missing.What == "" || missing.Why == "" {
					t.Errorf("%s: %+v", k.Name, missing)
				}
			}
		}
		if k.Inside != nil && !slices.Contains([]Inside{Yes, No, Unknown}, k.Inside(This())) {
			t.Errorf("%s: inside is nothing known", k.Name)
		}
	}
}
