package detect

import (
	"slices"

	"github.com/secgear/secgear/sdk/tee"
)

// Inside says whether this machine, or this process, is in a TEE itself.
type Inside string

// What is known of that.
const (
	Yes     Inside = "yes"
	No      Inside = "no"
	Unknown Inside = "unknown" // it can be, and nothing that was looked at says
)

// Kind is a TEE that detection knows.
type Kind struct {
	Name  string // as [tee.Backend]'s
	About string // for people, short

	// Host names what keeps the machine from having it, as far as hardware,
	// firmware and kernel go. Nil: it needs none.
	Host func(Machine) []tee.Missing

	// Inside tells whether this is one. Nil: nothing shows that.
	Inside func(Machine) Inside
}

// Kinds lists them all, those that keep the machine's owner out first.
func Kinds() []Kind {
	return []Kind{
		{"sgx", "Intel SGX, by the library OS Gramine", SGX, insideSGX},
		{"tdx", "virtual machine with Intel TDX", TDX, insideTDX},
		{"sev-snp", "virtual machine with AMD SEV-SNP", SNP, insideSNP},
		{"cca", "virtual machine with Arm CCA", CCA, insideCCA},
		{"nitro", "AWS Nitro Enclave", Nitro, insideNitro},
		{"cvm", "process in a rented confidential virtual machine", CVM, insideCVM},
		{"trustzone", "trusted application of OP-TEE in Arm TrustZone", TrustZone, nil},
		{"penglai", "Penglai on RISC-V", Penglai, nil},
		{"keystone", "Keystone on RISC-V", Keystone, nil},
		{"tpm", "process that a TPM measures", TPM, nil},
		{"vm", "plain virtual machine", nil, nil},
		{"sim", "simulation: a sandboxed process", nil, nil},
		{"gramine-direct", "Gramine without SGX, for development", nil, nil},
	}
}

// SGX names what is missing to run enclaves with SGX.
func SGX(m Machine) []tee.Missing {
	if other := m.otherArch("amd64"); other != nil {
		return other
	}
	const firmware = "take an Intel processor with SGX (Xeon Scalable of the third generation or newer) and switch it on in the firmware's setup"
	missing := m.flag("sgx", "SGX", firmware)
	if missing == nil {
		missing = m.flag("sgx_lc", "SGX launch control", "switch on flexible launch control in the firmware's setup")
	}
	return append(missing, m.device("/dev/sgx_enclave", "Linux 5.11 or newer with CONFIG_X86_SGX; in a container, pass the device on")...)
}

// SGXEvidence names what is missing for evidence of SGX enclaves, which run
// without it.
func SGXEvidence(m Machine) []tee.Missing {
	if m.exists("var/run/aesmd/aesm.socket") {
		return nil
	}
	return []tee.Missing{{What: "evidence", Why: "Intel's quoting service aesmd does not run: /var/run/aesmd/aesm.socket does not exist", Fix: "install sgx-aesm-service and libsgx-aesm-quote-ex-plugin, see docs/sgx.md"}}
}

// insideSGX: Gramine shows the pseudo-files of attestation to the process alone.
func insideSGX(m Machine) Inside {
	return yes(m.exists("dev/attestation/user_report_data"))
}

// TDX names what is missing to run virtual machines with TDX.
func TDX(m Machine) []tee.Missing {
	if other := m.otherArch("amd64"); other != nil {
		return other
	}
	return slices.Concat(
		m.flag("tdx_host_platform", "TDX", "take an Intel Xeon with TDX (fifth generation or newer), switch on TME-MT, TDX and SEAM loader in the firmware's setup; Linux 6.16 or newer"),
		m.kvm(),
		m.parameter("kvm_intel", "tdx", "Linux 6.16 or newer with CONFIG_KVM_INTEL_TDX", "boot with kvm_intel.tdx=1 nohibernate"),
	)
}

func insideTDX(m Machine) Inside {
	return yes(m.hasFlag("tdx_guest") || m.exists("dev/tdx_guest"))
}

// SNP names what is missing to run virtual machines with SEV-SNP.
func SNP(m Machine) []tee.Missing {
	if other := m.otherArch("amd64"); other != nil {
		return other
	}
	return slices.Concat(
		m.flag("sev_snp", "SEV-SNP", "take an AMD EPYC of the third generation or newer, switch on SMEE, SEV-SNP and its RMP table in the firmware's setup; Linux 6.11 or newer"),
		m.kvm(),
		m.parameter("kvm_amd", "sev_snp", "Linux 6.11 or newer with CONFIG_KVM_AMD_SEV", "boot with kvm_amd.sev=1 kvm_amd.sev_es=1 kvm_amd.sev_snp=1; if it stays off, the kernel's log says what the firmware lacks"),
		m.device("/dev/sev", "Linux with CONFIG_CRYPTO_DEV_SP_PSP, and the module ccp loaded"),
	)
}

func insideSNP(m Machine) Inside {
	return yes(m.exists("dev/sev-guest") || m.exists("sys/devices/system/cpu/sev/vmpl"))
}

// CCA names what is missing to run realms. No kernel's file tells of the
// processor's extension, so that what is left to see is the rest.
func CCA(m Machine) []tee.Missing {
	if other := m.otherArch("arm64"); other != nil {
		return other
	}
	return append(m.kvm(), tee.Missing{
		What: "Realm Management Extension",
		Why:  "no file of the kernel's shows whether processor and firmware have it",
		Fix:  "look in the kernel's log for the version of RMI; an Armv9 processor with RME, firmware with an RMM and a kernel with KVM's support for realms are needed",
	})
}

func insideCCA(m Machine) Inside {
	return yes(m.exists("sys/bus/platform/devices/arm-cca-dev") || m.exists("sys/module/arm_cca_guest"))
}

// TPM names what is missing to have a TPM measure enclaves.
func TPM(m Machine) []tee.Missing {
	return m.device("/dev/tpmrm0", "switch the TPM 2.0 on in the firmware's setup, or give the virtual machine one")
}

// Nitro names what is missing to launch Nitro Enclaves.
func Nitro(m Machine) []tee.Missing {
	fix := "rent an EC2 instance of a type with Nitro Enclaves"
	if m.vendor() == "Amazon EC2" {
		fix = "stop the instance, allow enclaves (EnclaveOptions.Enabled=true), start it, and modprobe nitro_enclaves"
	}
	return m.device("/dev/nitro_enclaves", fix)
}

func insideNitro(m Machine) Inside { return yes(m.exists("dev/nsm")) }

// CVM names what is missing for this machine to be a confidential virtual machine
// whose evidence can be had.
func CVM(m Machine) []tee.Missing {
	switch insideCVM(m) {
	case No:
		return []tee.Missing{{
			What: "confidential virtual machine", Why: "nothing shows that this machine is in TDX, SEV-SNP or CCA",
			Fix: "rent one: see docs/tees.md for what clouds call them",
		}}
	case Unknown:
		missing := m.device("/dev/tpmrm0", "give the virtual machine a vTPM (security type: confidential)")
		if missing == nil {
			return []tee.Missing{{
				What: "confidential virtual machine", Why: "this is a virtual machine of Azure's with a TPM; only the TPM's index 0x01400001 tells whether it is confidential",
				Fix: "tpm2_nvread 0x01400001 as root: if that works, it is",
			}}
		}
		return missing
	}
	if m.exists("sys/kernel/config/tsm/report") {
		return nil
	}
	if m.device("/dev/tpmrm0", "") == nil {
		return nil
	}
	return []tee.Missing{{
		What: "evidence", Why: "neither /sys/kernel/config/tsm/report exists nor can /dev/tpmrm0 be used",
		Fix: "Linux 6.7 or newer, modprobe sev-guest, tdx-guest or arm-cca-guest, mount -t configfs none /sys/kernel/config; for the TPM join group tss",
	}}
}

// insideCVM: TDX, SEV-SNP and CCA show themselves; behind the paravisor of
// Azure's only a TPM shows.
func insideCVM(m Machine) Inside {
	for _, inside := range []func(Machine) Inside{insideTDX, insideSNP, insideCCA} {
		if inside(m) == Yes {
			return Yes
		}
	}
	if m.onAzure() && (m.exists("dev/tpmrm0") || m.exists("dev/tpm0")) {
		return Unknown
	}
	return No
}

// azureTag is what the firmware of Azure's virtual machines has for an asset tag.
const azureTag = "7783-7084-3265-9085-8269-3286-77"

func (m Machine) onAzure() bool {
	return m.vendor() == "Microsoft Corporation" && m.read("sys/class/dmi/id/chassis_asset_tag") == azureTag
}

// TrustZone names what is missing to talk to OP-TEE.
func TrustZone(m Machine) []tee.Missing {
	if other := m.otherArch("arm64"); other != nil {
		return other
	}
	return m.device("/dev/tee0", "a board whose firmware starts OP-TEE, Linux with CONFIG_OPTEE, and modprobe optee")
}

// Penglai names what is missing for Penglai's enclaves.
func Penglai(m Machine) []tee.Missing {
	if other := m.otherArch("riscv64"); other != nil {
		return other
	}
	return m.device("/dev/penglai_enclave_dev", "firmware with Penglai's monitor, and its driver loaded")
}

// Keystone names what is missing for Keystone's enclaves.
func Keystone(m Machine) []tee.Missing {
	if other := m.otherArch("riscv64"); other != nil {
		return other
	}
	return m.device("/dev/keystone_enclave", "firmware with Keystone's security monitor, and its driver loaded")
}

func yes(b bool) Inside {
	if b {
		return Yes
	}
	return No
}
