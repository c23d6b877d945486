// Package tdx computes what Intel TDX measures of a virtual machine (TD) that
// QEMU starts with a kernel of ours: the registers MRTD, RTMR1 and RTMR2 of its
// evidence.
//
// MRTD is the TDX module's, over the firmware (TDVF, an OVMF) and the memory it
// asks for. The RTMRs are extended by firmware and kernel, so what goes into them
// is the custom of these programs. What is computed here is the custom of
//
//   - QEMU 10.1 or newer, which hands the kernel to the firmware as it is;
//   - edk2-stable202511 or newer, with Secure Boot off, which takes that kernel and
//     puts "initrd=initrd " before the command line ([CheckFirmware]);
//   - Linux 6.9 or newer, whose EFI stub measures command line and initrd;
//   - no device with firmware of its own (option ROM), no boot through shim, no
//     vTPM: measurements then go to RTMR1, or elsewhere.
//
// Others give other values, so that their evidence does not match. With Secure Boot
// on, firmware starts no kernel that its keys did not sign.
//
// RTMR0 is not computed: it holds the hand-off block (how much memory there is),
// the ACPI and SMBIOS tables that QEMU makes, and the firmware's variables. RTMR3
// is left to programs in the TD.
//
// References: Intel 348549, TDX Module Base Architecture Specification, "TD
// Measurement"; Intel 344991, TDX Virtual Firmware Design Guide; UEFI 2.10, 38
// (confidential computing measurement: PCR 1 and 7 are RTMR0, 2 to 6 RTMR1, 8 to
// 15 RTMR2); Linux drivers/firmware/efi/libstub/efi-stub-helper.c.
package tdx

import (
	"crypto"
	"crypto/sha512"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"strings"
	"unicode/utf16"

	"github.com/secgear/secgear/sdk/image/reference"
	"github.com/secgear/secgear/sdk/image/reference/ovmf"
)

// WhyNoRTMR0 says why RTMR0 is not computed.
const WhyNoRTMR0 = "it holds the size of memory, QEMU's ACPI and SMBIOS tables, and the firmware's variables"

// ErrOldFirmware: what this firmware measures of a kernel is not known.
var ErrOldFirmware = errors.New("the firmware is older than edk2-stable202511, and hands kernel and command line over, and measures them, in another way")

// CheckFirmware tells whether RTMR1 and RTMR2 hold for a firmware, as far as can be
// seen: whether it is new enough.
func CheckFirmware(firmware []byte) error {
	f, err := ovmf.Parse(firmware)
	if err != nil {
		return err
	}
	if !f.SinceStable202511() {
		return ErrOldFirmware
	}
	return nil
}

// Digest is the value of a register.
type Digest [sha512.Size384]byte

// MRTD returns the measurement of a TD before its first instruction: each page
// that is added, and the content of the pages that the firmware marks. KVM adds
// and extends page by page.
func MRTD(firmware []byte) (Digest, error) {
	f, err := ovmf.Parse(firmware)
	if err != nil {
		return Digest{}, err
	}
	sections, err := f.TDX()
	if err != nil {
		return Digest{}, err
	}
	h := sha512.New384()
	for _, s := range sections {
		for offset := uint64(0); offset < s.Size; offset += ovmf.PageSize {
			step(h, "MEM.PAGE.ADD", s.Start+offset)
			if s.Measured {
				extend(h, s.Start+offset, s.Content[offset:offset+ovmf.PageSize])
			}
		}
	}
	return Digest(h.Sum(nil)), nil
}

// extend measures the content of a page.
func extend(h hash.Hash, at uint64, page []byte) {
	const chunk = 256 // what TDH.MR.EXTEND takes
	for offset := 0; offset < len(page); offset += chunk {
		step(h, "MR.EXTEND", at+uint64(offset))
		h.Write(page[offset : offset+chunk])
	}
}

// step measures one call of the TDX module, 128 bytes: its name, at offset 16 the
// address, zeros.
func step(h hash.Hash, name string, at uint64) {
	var b [128]byte
	copy(b[:], name)
	binary.LittleEndian.PutUint64(b[16:], at)
	h.Write(b[:])
}

// RTMR1 returns the register in which the firmware measures what it starts, here
// the kernel and nothing else.
func RTMR1(kernel []byte) (Digest, error) {
	image, err := ImageDigest(kernel)
	if err != nil {
		return Digest{}, err
	}
	r := reference.NewRegister(crypto.SHA384)
	if err := r.Extend(image[:]); err != nil {
		return Digest{}, err
	}
	r.Measure([]byte("Calling EFI Application from Boot Option"))
	r.Measure([]byte{0, 0, 0, 0}) // separator
	r.Measure([]byte("Exit Boot Services Invocation"))
	r.Measure([]byte("Exit Boot Services Returned with Success"))
	return Digest(r.Value()), nil
}

// RTMR2 returns the register in which the kernel's EFI stub measures its command
// line and initrd, of which there has to be one.
func RTMR2(commandLine string, initrd []byte) (Digest, error) {
	options, err := loadOptions(commandLine)
	if err != nil {
		return Digest{}, err
	}
	if len(initrd) == 0 {
		return Digest{}, fmt.Errorf("there is no initrd, which secgear's guests always have")
	}
	r := reference.NewRegister(crypto.SHA384)
	r.Measure(options)
	r.Measure(initrd)
	return Digest(r.Value()), nil
}

// loadOptions returns the command line as the firmware hands it to the kernel:
// UTF-16 with a zero at the end. The firmware takes each byte for a character, so
// only ASCII is certain.
func loadOptions(commandLine string) ([]byte, error) {
	const before = "initrd=initrd "
	if i := strings.IndexFunc(commandLine, func(r rune) bool { return r == 0 || r > '~' }); i >= 0 {
		return nil, fmt.Errorf("command line %q: character %d is not ASCII", commandLine, i)
	}
	var b []byte
	for _, c := range utf16.Encode([]rune(before + commandLine + "\x00")) {
		b = binary.LittleEndian.AppendUint16(b, c)
	}
	return b, nil
}
