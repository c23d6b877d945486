package qemu

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// description returns a machine of that type.
func description(machine string) Machine {
	return Machine{
		Name: "secgear-test", Type: machine, MemoryMiB: 400, CPUs: 2,
		Kernel: "/proc/self/fd/5", Initrd: "/proc/self/fd/6", TSCKHz: 2_000_000,
		Port: 3, Console: 4,
		Shared: []Memory{{"/proc/self/fd/7", 1 << 27}, {"/proc/self/fd/8", 1 << 27}},
	}
}

// with changes a description.
func with(m Machine, change func(*Machine)) Machine {
	change(&m)
	return m
}

// TestArgs compares arguments with those that were read by a person, and of which
// those of machines that are not confidential were run.
func TestArgs(t *testing.T) {
	kvm := func(m *Machine) { m.KVM = true }
	confidential := func(c Confidential) func(*Machine) {
		return func(m *Machine) { m.KVM, m.Confidential = true, c }
	}
	for name, m := range map[string]Machine{
		"q35":     description(Q35),
		"q35-kvm": with(description(Q35), kvm),
		"q35-debug": with(description(Q35), func(m *Machine) {
			m.Debug = true
			for len(m.Shared) < 10 {
				m.Shared = append(m.Shared, m.Shared[0])
			}
		}),
		"microvm":     description(MicroVM),
		"microvm-kvm": with(description(MicroVM), kvm),
		"virt":        description(Virt),
		"virt-kvm":    with(description(Virt), kvm),
		"sev-snp":     with(description(Q35), confidential(SNP{Firmware: "/fw/OVMF.amdsev.fd", CBit: 51, ReducedPhy: 1, Policy: SNPPolicy})),
		"sev-snp-id": with(description(Q35), confidential(SNP{
			Firmware: "/fw/OVMF.amdsev.fd", CBit: 51, ReducedPhy: 1, Policy: SNPPolicy, IDBlock: "aWQ=", IDAuth: "YXV0aA==", HostData: "aG9zdA==",
		})),
		"tdx": with(description(Q35), confidential(TDX{Firmware: "/fw/OVMF.inteltdx.fd", QuoteSocket: "/var/run/tdx-qgs/qgs.socket"})),
		"cca": with(description(Virt), confidential(CCA{MeasurementAlgorithm: "sha512"})),
	} {
		t.Run(name, func(t *testing.T) {
			// One option a line.
			got := m.Binary() + strings.ReplaceAll(" "+strings.Join(m.Args(), " "), " -", "\n-") + "\n"
			file := filepath.Join("testdata", name+".txt")
			if *update {
				if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if got != string(want) {
				t.Errorf("got\n%s\nwant\n%s", got, want)
			}
		})
	}
}

// TestAddresses: no two devices are at the same place.
func TestAddresses(t *testing.T) {
	m := description(Q35)
	for len(m.Shared) < MaxShared {
		m.Shared = append(m.Shared, m.Shared[0])
	}
	seen := map[string]bool{}
	for _, a := range m.Args() {
		_, addr, ok := strings.Cut(a, "addr=")
		if ok && seen[addr] {
			t.Errorf("%s twice", addr)
		}
		seen[addr] = true
	}
	if !seen["04.0,multifunction=on"] || !seen["1e.7,multifunction=on"] || seen["1f.0,multifunction=on"] {
		t.Errorf("addresses: %v", seen)
	}
}
