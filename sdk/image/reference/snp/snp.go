// Package snp computes what AMD SEV-SNP measures when a virtual machine is
// launched: the launch digest, which evidence carries as MEASUREMENT, and the
// digests of the keys that an ID block was signed with.
//
// The launch digest covers the firmware, the memory that the firmware has
// prepared, and the first state of every processor. Kernel, initrd and command
// line are in it if the firmware checks them: QEMU then puts a table of their
// hashes into measured memory (kernel-hashes=on).
//
// References: AMD 56860, SEV Secure Nested Paging Firmware ABI Specification,
// sections 8.17 (PAGE_INFO, launch digest) and 8.18 (ID block); AMD 24593, AMD64
// Architecture Programmer's Manual, volume 2, table B-4 (VMSA).
package snp

import (
	"crypto/sha512"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/secgear/secgear/sdk/image/reference/ovmf"
)

// ErrUnmeasured: the firmware would start a kernel that it has no hash of. The
// launch digest would say nothing of the enclave.
var ErrUnmeasured = errors.New("this firmware does not check kernel, initrd and command line: take one built for that (edk2's AmdSevX64, in Debian ovmf-amdsev)")

// Digest is a launch digest.
type Digest [sha512.Size384]byte

// Launch is what gets measured.
type Launch struct {
	Firmware  []byte // OVMF in one file
	CPUs      int    // number of virtual processors, 1 to 512
	Signature uint32 // of the virtual processors, see func Signature; EC2 does not use it
	VMM       VMM
	Features  Features
	Boot      *Boot // nil: the firmware finds something to boot by itself
}

// Boot is what the virtual machine monitor hands to the firmware to start.
type Boot struct {
	Kernel      []byte
	Initrd      []byte // nil: none
	CommandLine string
}

// Features is SEV_FEATURES of the virtual processors.
type Features uint64

const (
	// SNPActive is always set, and all that QEMU sets by itself.
	SNPActive Features = 1 << 0
	// DebugSwap: debug registers are swapped, too.
	DebugSwap Features = 1 << 5
	// SecureTSC: the guest has a time stamp counter of its own.
	SecureTSC Features = 1 << 9
)

// maxCPUs bounds the work; SEV-SNP's firmware has a lower limit of its own.
const maxCPUs = 512

// vmsaAddress is what the pages with the processors' state are measured under
// (section 8.17): the highest address that there is.
const vmsaAddress = 0xfffffffff000

// Digest returns the launch digest.
func (l Launch) Digest() (Digest, error) {
	if l.CPUs < 1 || l.CPUs > maxCPUs {
		return Digest{}, fmt.Errorf("%d processors instead of 1 to %d", l.CPUs, maxCPUs)
	}
	if l.Features&SNPActive == 0 {
		return Digest{}, fmt.Errorf("features %#x lack SNPActive", uint64(l.Features))
	}
	firmware, err := ovmf.Parse(l.Firmware)
	if err != nil {
		return Digest{}, err
	}
	sev, err := firmware.SEV()
	if err != nil {
		return Digest{}, err
	}
	var c chain
	c.content(pageNormal, firmware.Base(), firmware.Data)
	if err := l.sections(&c, sev); err != nil {
		return Digest{}, err
	}
	return c.digest, l.processors(&c, sev)
}

// sections measures the memory that the firmware lists, in its order. EC2 keeps
// the page of CPUID values for the end.
func (l Launch) sections(c *chain, sev *ovmf.SEV) error {
	hashes, err := l.Boot.page(sev)
	if err != nil {
		return err
	}
	var last []uint64
	for _, s := range sev.Sections {
		at := uint64(s.Start)
		switch {
		case s.Type == ovmf.SEVSecrets:
			c.blank(pageSecrets, at, ovmf.PageSize)
		case s.Type == ovmf.SEVCPUID && l.VMM == EC2:
			last = append(last, at)
		case s.Type == ovmf.SEVCPUID:
			c.blank(pageCPUID, at, ovmf.PageSize)
		case s.Type == ovmf.SEVKernelHashes && hashes != nil:
			c.content(pageNormal, at, hashes)
		default:
			c.blank(pageZero, at, uint64(s.Size))
		}
	}
	for _, at := range last {
		c.blank(pageCPUID, at, ovmf.PageSize)
	}
	return nil
}

// processors measures the state that each virtual processor starts in.
func (l Launch) processors(c *chain, sev *ovmf.SEV) error {
	const resetVector = 0xfffffff0
	for i := range l.CPUs {
		start := uint32(resetVector)
		if i > 0 {
			start = sev.ResetEIP
		}
		if start == 0 {
			return fmt.Errorf("%w: it does not say where a second processor starts", ovmf.ErrFormat)
		}
		page, err := l.vmsa(start)
		if err != nil {
			return err
		}
		c.content(pageVMSA, vmsaAddress, page)
	}
	return nil
}

// pageType is PAGE_TYPE of SNP_LAUNCH_UPDATE (section 8.12).
type pageType uint8

const (
	pageNormal  pageType = 1
	pageVMSA    pageType = 2
	pageZero    pageType = 3
	pageSecrets pageType = 5
	pageCPUID   pageType = 6
)

// chain is the launch digest as it grows: each page adds the hash over what was,
// the page's content and where it is.
type chain struct{ digest Digest }

// content adds pages by their content.
func (c *chain) content(t pageType, at uint64, data []byte) {
	for ; len(data) > 0; at, data = at+ovmf.PageSize, data[ovmf.PageSize:] {
		c.page(t, at, sha512.Sum384(data[:ovmf.PageSize]))
	}
}

// blank adds pages of which the content is not measured.
func (c *chain) blank(t pageType, at, size uint64) {
	for end := at + size; at < end; at += ovmf.PageSize {
		c.page(t, at, Digest{})
	}
}

// page adds one page. PAGE_INFO (table 67), integers little-endian:
//
//	offset size
//	     0   48 launch digest up to here
//	    48   48 hash of the content; zeros where none is measured
//	    96    2 size of all this, 112
//	    98    1 type
//	    99    1 whether it is part of an initial migration image: no
//	   100    4 permissions of VMPL 3, 2, 1: none; zero
//	   104    8 address
func (c *chain) page(t pageType, at uint64, content Digest) {
	info := make([]byte, 0, 112)
	info = append(info, c.digest[:]...)
	info = append(info, content[:]...)
	info = binary.LittleEndian.AppendUint16(info, 112)
	info = append(info, byte(t), 0, 0, 0, 0, 0)
	info = binary.LittleEndian.AppendUint64(info, at)
	c.digest = sha512.Sum384(info)
}
