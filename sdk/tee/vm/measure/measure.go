// Package measure computes reference values of images that run as confidential
// virtual machines: what evidence says if package vm launches them with these
// options. Nothing runs, and no hardware is needed.
package measure

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"

	"github.com/secgear/secgear/sdk/image"
	"github.com/secgear/secgear/sdk/image/reference"
	"github.com/secgear/secgear/sdk/image/reference/ovmf"
	"github.com/secgear/secgear/sdk/image/reference/snp"
	"github.com/secgear/secgear/sdk/image/reference/tdx"
	"github.com/secgear/secgear/sdk/internal/initramfs"
	"github.com/secgear/secgear/sdk/tee/vm/internal/boot"
	"github.com/secgear/secgear/sdk/tee/vm/internal/qemu"
)

// Options say how an image is launched, where it is not as the backend would by
// itself.
type Options struct {
	Firmware    string // file with an OVMF; default: as for launching
	Kernel      string // folder with kernel and modules, as scripts/kernel makes it; default: as for launching
	CommandLine string // of the kernel; default: as for launching
	CPUs        int    // virtual processors, for SEV-SNP; default: as for launching, up to 8 that this machine has
	CPUModel    string // as QEMU calls it, for SEV-SNP; default: EPYC-v4
	SEVFeatures uint64 // of the virtual processors, for SEV-SNP; default: SNPActive alone
}

// maxKernel is the size of the largest kernel or module, in bytes.
const maxKernel = 256 << 20

// commandLine is the kernel's, unless it is told.
func commandLine(m image.Manifest) string {
	return qemu.Machine{Type: qemu.Q35, KVM: true, Debug: m.Debug}.CommandLine()
}

// SNP computes the launch digest of SEV-SNP.
func SNP(img *image.Image, o Options) (*reference.Set, error) {
	g, err := o.guest(img, "sev-snp")
	if err != nil {
		return nil, err
	}
	if o.CPUs == 0 {
		o.CPUs = boot.CPUs()
	}
	if o.CPUModel == "" {
		o.CPUModel = qemu.SNPModel
	}
	if o.SEVFeatures == 0 {
		o.SEVFeatures = uint64(snp.SNPActive)
	}
	signature, err := snp.Signature(o.CPUModel)
	if err != nil {
		return nil, err
	}
	digest, err := snp.Launch{
		Firmware: g.firmware, CPUs: o.CPUs, Signature: signature, Features: snp.Features(o.SEVFeatures),
		Boot: &snp.Boot{Kernel: g.kernel, Initrd: g.initramfs, CommandLine: g.commandLine},
	}.Digest()
	if err != nil {
		return nil, err
	}
	return &reference.Set{
		TEE:    "sev-snp",
		Values: []reference.Value{{Name: "MEASUREMENT", Algorithm: "sha384", Value: digest[:]}},
		Inputs: append(g.inputs(),
			reference.Input{Name: "processors", Value: strconv.Itoa(o.CPUs)},
			reference.Input{Name: "processor model", Value: o.CPUModel},
			reference.Input{Name: "SEV_FEATURES", Value: fmt.Sprintf("%#x", o.SEVFeatures)}),
	}, nil
}

// TDX computes the registers of TDX that follow from what is launched.
func TDX(img *image.Image, o Options) (*reference.Set, error) {
	g, err := o.guest(img, "tdx")
	if err != nil {
		return nil, err
	}
	mrtd, err := tdx.MRTD(g.firmware)
	if err != nil {
		return nil, err
	}
	set := &reference.Set{
		TEE:    "tdx",
		Values: []reference.Value{{Name: "MRTD", Algorithm: "sha384", Value: mrtd[:]}},
		Absent: []reference.Absent{{Name: "RTMR0", Why: tdx.WhyNoRTMR0}},
		Inputs: g.inputs(),
	}
	if err := tdx.CheckFirmware(g.firmware); err != nil {
		set.Absent = append(set.Absent, reference.Absent{Name: "RTMR1", Why: err.Error()}, reference.Absent{Name: "RTMR2", Why: err.Error()})
		return set, nil
	}
	rtmr1, err := tdx.RTMR1(g.kernel)
	if err != nil {
		return nil, err
	}
	rtmr2, err := tdx.RTMR2(g.commandLine, g.initramfs)
	if err != nil {
		return nil, err
	}
	set.Values = append(set.Values,
		reference.Value{Name: "RTMR1", Algorithm: "sha384", Value: rtmr1[:]},
		reference.Value{Name: "RTMR2", Algorithm: "sha384", Value: rtmr2[:]})
	return set, nil
}

// guest is what a virtual machine boots.
type guest struct {
	firmware, kernel, initramfs []byte
	commandLine                 string
}

// inputs names it.
func (g *guest) inputs() []reference.Input {
	return []reference.Input{
		reference.FileInput("firmware", g.firmware),
		reference.FileInput("kernel", g.kernel),
		reference.FileInput("initramfs", g.initramfs),
		{Name: "command line", Value: g.commandLine},
	}
}

// guest reads and makes what a virtual machine for tee boots.
func (o Options) guest(img *image.Image, tee string) (*guest, error) {
	if img.Arch != "amd64" {
		return nil, fmt.Errorf("the image is for %s, and %s is an amd64 processor's: %w", img.Arch, tee, errors.ErrUnsupported)
	}
	if err := o.find(img.Arch, tee); err != nil {
		return nil, err
	}
	g := &guest{commandLine: o.CommandLine}
	if g.commandLine == "" {
		g.commandLine = commandLine(img.Manifest)
	}
	var err error
	if g.firmware, err = readFile("firmware", o.Firmware, ovmf.MaxSize); err != nil {
		return nil, err
	}
	if g.kernel, err = readFile("kernel", filepath.Join(o.Kernel, boot.Kernel), maxKernel); err != nil {
		return nil, err
	}
	list, err := readModules(filepath.Join(o.Kernel, boot.Modules), boot.Guests[tee].Modules)
	if err != nil {
		return nil, err
	}
	g.initramfs, err = initramfs.Build(img, tee, list)
	return g, err
}

// find looks for the files that o does not name where launching does.
func (o *Options) find(arch, tee string) error {
	if o.Firmware == "" {
		file, err := boot.Guests[tee].FindFirmware()
		if err != nil {
			return fmt.Errorf("%w (%s)", err, boot.Guests[tee].Fix)
		}
		o.Firmware = file
	}
	if o.Kernel == "" {
		dir, err := boot.FindKernel(arch)
		if err != nil {
			return fmt.Errorf("the kernel is missing: %w (scripts/kernel fetches it)", err)
		}
		o.Kernel = dir
	}
	return nil
}

func readModules(dir string, names []string) (list []initramfs.Module, err error) {
	for _, name := range names {
		data, err := readFile("module of the kernel", filepath.Join(dir, name+".ko"), maxKernel)
		if err != nil {
			return nil, err
		}
		list = append(list, initramfs.Module{Name: name, Data: data})
	}
	return list, nil
}

// readFile reads a file of at most limit bytes.
func readFile(what, name string, limit int64) ([]byte, error) {
	f, err := os.Open(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("the %s is missing: %w", what, err)
	} else if err != nil {
		return nil, fmt.Errorf("reading the %s: %w", what, err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err != nil {
		return nil, fmt.Errorf("reading the %s: %w", what, err)
	}
	if int64(len(data)) > limit {
		return nil, fmt.Errorf("reading the %s: %s is larger than %d bytes", what, name, limit)
	}
	return data, nil
}
