package snp

import (
	"encoding/binary"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/secgear/secgear/sdk/image/reference/ovmf"
)

// VMM is what sets up the virtual machine: each starts processors in a slightly
// different state.
type VMM uint8

const (
	// QEMU with KVM of Linux 6.11 or newer.
	QEMU VMM = iota
	// EC2 is Amazon's.
	EC2
)

// vmsa returns the page of a processor's first state, that begins to run at
// start. Offsets are those of table B-4; what is not set is zero.
func (l Launch) vmsa(start uint32) ([]byte, error) {
	const (
		data, codeQEMU, stackEC2   = 0x93, 0x9b, 0x92
		local, taskQEMU, taskEC2   = 0x82, 0x8b, 0x83
		efer, cr4, cr0, dr7, dr6   = 0xd0, 0x148, 0x158, 0x160, 0x168
		rflags, rip, pat, rdx      = 0x170, 0x178, 0x268, 0x310
		sevFeatures, xcr0          = 0x3b0, 0x3e8
		mxcsr, x87ControlWord, top = 0x408, 0x410, 0xfffffff0
	)
	code, stack, task := uint16(codeQEMU), uint16(data), uint16(taskQEMU)
	if l.VMM == EC2 {
		stack, task = stackEC2, taskEC2
		if start == top {
			code = 0x9a
		}
	} else if l.VMM != QEMU {
		return nil, fmt.Errorf("unknown virtual machine monitor %d", l.VMM)
	}

	p := make([]byte, ovmf.PageSize)
	le := binary.LittleEndian
	for i, attributes := range []uint16{data, code, stack, data, data, data, 0, local, 0, task} { // es cs ss ds fs gs gdtr ldtr idtr tr
		segment := p[16*i:]
		le.PutUint16(segment[2:], attributes)
		le.PutUint32(segment[4:], 0xffff) // limit
	}
	le.PutUint16(p[0x10:], 0xf000)                   // cs
	le.PutUint64(p[0x18:], uint64(start&0xffff0000)) // its base
	le.PutUint64(p[efer:], 0x1000)                   // SVME, by KVM
	le.PutUint64(p[cr4:], 0x40)                      // MCE, by KVM
	le.PutUint64(p[cr0:], 0x10)
	le.PutUint64(p[dr7:], 0x400)
	le.PutUint64(p[dr6:], 0xffff0ff0)
	le.PutUint64(p[rflags:], 2)
	le.PutUint64(p[rip:], uint64(start&0xffff))
	le.PutUint64(p[pat:], 0x0007040600070406)
	le.PutUint64(p[sevFeatures:], uint64(l.Features))
	le.PutUint64(p[xcr0:], 1)
	if l.VMM == QEMU {
		le.PutUint64(p[rdx:], uint64(l.Signature))
		le.PutUint32(p[mxcsr:], 0x1f80)
		le.PutUint16(p[x87ControlWord:], 0x37f)
	}
	return p, nil
}

// families are QEMU's models of processors (target/i386/cpu.c), without the
// version that QEMU adds: no version of a model changes its signature.
var families = map[string]uint32{
	"EPYC":       signature(23, 1, 2),
	"EPYC-IBPB":  signature(23, 1, 2),
	"EPYC-Rome":  signature(23, 49, 0),
	"EPYC-Milan": signature(25, 1, 1),
	"EPYC-Genoa": signature(25, 17, 0),
	"EPYC-Turin": signature(26, 0, 0),
}

// Signature returns the signature of a model of processors as QEMU calls it:
// "EPYC-Milan", "EPYC-v4".
func Signature(model string) (uint32, error) {
	name := model
	if at := strings.LastIndex(model, "-v"); at > 0 && len(model) == at+3 && model[at+2] >= '1' && model[at+2] <= '9' {
		name = model[:at]
	}
	s, ok := families[name]
	if !ok {
		return 0, fmt.Errorf("processor %q is unknown; known are %s, and each with -v1 to -v9",
			model, strings.Join(slices.Sorted(maps.Keys(families)), ", "))
	}
	return s, nil
}

// signature is what CPUID function 1 answers in EAX (AMD 25481).
func signature(family, model, stepping uint32) uint32 {
	return (family-0xf)<<20 | model>>4<<16 | 0xf<<8 | model&0xf<<4 | stepping
}
