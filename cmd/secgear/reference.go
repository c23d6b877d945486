package main

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"

	"github.com/secgear/secgear/sdk/image"
	"github.com/secgear/secgear/sdk/image/imagefile"
	"github.com/secgear/secgear/sdk/image/reference"
	"github.com/secgear/secgear/sdk/measured"
	"github.com/secgear/secgear/sdk/tee/nitro"
	"github.com/secgear/secgear/sdk/tee/sgx"
	vm "github.com/secgear/secgear/sdk/tee/vm/measure"
)

// measuredBy are the TEEs of which evidence is known beforehand.
var measuredBy = map[string]func(*image.Image, vm.Options) (*reference.Set, error){
	"cvm":     measureStart,
	"nitro":   measureNitro,
	"sev-snp": vm.SNP,
	"sgx":     measureSGX,
	"tdx":     vm.TDX,
	"tpm":     measureStart,
}

// measuredNames lists them.
func measuredNames() string { return strings.Join(slices.Sorted(maps.Keys(measuredBy)), ", ") }

// launchFlags adds the flags that say how an image would be launched.
func (i *invocation) launchFlags() *vm.Options {
	o := new(vm.Options)
	i.flags.StringVar(&o.Firmware, "firmware", "", "with --tee sev-snp, tdx: the firmware is in `file` (default: as for launching)")
	i.flags.StringVar(&o.Kernel, "kernel", "", "with --tee sev-snp, tdx, nitro: kernel and modules are in `dir`, as scripts/kernel makes it (default: as for launching)")
	i.flags.StringVar(&o.CommandLine, "command-line", "", "with --tee sev-snp, tdx, nitro: the kernel's command line is `text` (default: as for launching)")
	i.flags.IntVar(&o.CPUs, "cpus", 0, "with --tee sev-snp: `number` of virtual processors (default: as for launching on this machine)")
	i.flags.StringVar(&o.CPUModel, "cpu-type", "", "with --tee sev-snp: `model` of the virtual processors, as QEMU calls it (default: EPYC-v4)")
	i.flags.Uint64Var(&o.SEVFeatures, "sev-features", 0, "with --tee sev-snp: SEV_FEATURES of the virtual processors, a `number` (default: 1)")
	return o
}

// printReference prints the reference values of the image in a file.
func (i *invocation) printReference(tee, file string, o *vm.Options, asJSON bool) error {
	measure, ok := measuredBy[tee]
	if !ok {
		return misuse("--tee %s: known are %s", tee, measuredNames())
	}
	img, err := verifiedImage(file)
	if err != nil {
		return err
	}
	set, err := measure(img, *o)
	if err != nil {
		return fmt.Errorf("measuring %s for %s: %w", file, tee, err)
	}
	set.TEE = tee
	set.Inputs = append([]reference.Input{{Name: "image", Value: img.Digest.String()}}, set.Inputs...)
	if asJSON {
		return i.printJSON(set)
	}
	return printSet(i.stdout, set)
}

// measureStart computes the registers into which images are measured on machines
// with a TPM or TDX.
func measureStart(img *image.Image, _ vm.Options) (*reference.Set, error) {
	return measured.Reference(img)
}

// measureNitro computes the registers of Nitro's documents: an enclave image file
// is made as for launching, and measured.
func measureNitro(img *image.Image, o vm.Options) (*reference.Set, error) {
	var k nitro.Kernel
	var err error
	if o.Kernel != "" {
		k, err = nitro.ReadKernel(o.Kernel)
	} else {
		k, err = nitro.FindKernel(!nitro.Hardware())
	}
	if err != nil {
		return nil, err
	}
	if o.CommandLine != "" {
		k.CommandLine = o.CommandLine
	}
	file, err := nitro.EIF(img, k)
	if err != nil {
		return nil, err
	}
	pcrs, err := file.PCRs()
	if err != nil {
		return nil, err
	}
	set := &reference.Set{
		Absent: []reference.Absent{
			{Name: "PCR3", Why: "it holds the role of the instance"},
			{Name: "PCR4", Why: "it holds the ID of the instance"},
			{Name: "PCR8", Why: "it holds the certificate that signs the enclave image file, which this one is without"},
		},
		Inputs: []reference.Input{reference.FileInput("kernel", k.Image), {Name: "command line", Value: k.CommandLine}},
	}
	for _, n := range slices.Sorted(maps.Keys(pcrs)) {
		value := pcrs[n]
		set.Values = append(set.Values, reference.Value{Name: fmt.Sprintf("PCR%d", n), Algorithm: "sha384", Value: value[:]})
	}
	for i, d := range file.RAMDisks {
		set.Inputs = append(set.Inputs, reference.FileInput(fmt.Sprintf("RAM disk %d", i+1), d))
	}
	return set, nil
}

// measureSGX reads the values from the enclave that was signed beforehand.
func measureSGX(img *image.Image, _ vm.Options) (*reference.Set, error) { return sgx.Reference(img) }

// verifiedImage reads an image whose signature holds: who signed it is measured,
// too.
func verifiedImage(file string) (*image.Image, error) {
	f, err := readImage(file)
	if err != nil {
		return nil, err
	}
	img, err := f.Verify()
	if errors.Is(err, imagefile.ErrUnsigned) {
		return nil, hint(fmt.Errorf("measuring %s: the image is not signed, and TEEs measure who signed it, too", file), "secgear sign signs it")
	} else if err != nil {
		return nil, fmt.Errorf("verifying %s: %w", file, err)
	}
	return img, nil
}

// printSet shows values to people.
func printSet(w io.Writer, set *reference.Set) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, v := range set.Values {
		fmt.Fprintf(t, "%s\t%s\t%s\n", v.Name, v.Algorithm, v.Value)
	}
	for _, a := range set.Absent {
		fmt.Fprintf(t, "%s\tnot computed\t%s\n", a.Name, a.Why)
	}
	for _, in := range set.Inputs {
		if in.SHA256 != nil {
			fmt.Fprintf(t, "of %s\tsha256\t%s\n", in.Name, in.SHA256)
		} else {
			fmt.Fprintf(t, "of %s\t\t%s\n", in.Name, strconv.Quote(in.Value))
		}
	}
	return t.Flush()
}
