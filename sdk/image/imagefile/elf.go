package imagefile

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// Offsets and values of 64-bit ELF (System V gABI, chapters 4 and 5), as far
// as they are looked at. debug/elf is not used: it is not made for hostile
// input.
const (
	elfHeaderSize = 64
	elfEntrySize  = 56  // of a program header
	elfMaxEntries = 128 // program headers; Go makes about 6

	elfTypeExec = 2
	elfTypeDyn  = 3 // position independent

	elfLoad   = 1
	elfInterp = 3
	elfStack  = 0x6474e551

	elfExec  = 1
	elfWrite = 2
)

// elfMachines maps e_machine to GOARCH.
var elfMachines = map[uint16]string{62: "amd64", 183: "arm64", 243: "riscv64"}

// elfMachine is the e_machine of a GOARCH that elfMachines has.
func elfMachine(arch string) uint16 {
	for machine, name := range elfMachines {
		if name == arch {
			return machine
		}
	}
	return 0
}

// elfSegment is the part of a program header that matters.
type elfSegment struct {
	kind, flags             uint32
	off, vaddr, fsize, size uint64
}

// checkProgram returns the machine that program is for, as GOARCH. It makes
// sure that program is a static executable for Linux of a machine we know, and
// that a loader that trusts its program headers stays inside the file.
func checkProgram(program []byte) (arch string, err error) {
	if len(program) < elfHeaderSize || string(program[:4]) != "\x7fELF" {
		return "", errors.New("not an ELF executable")
	}
	if program[4] != 2 || program[5] != 1 {
		return "", errors.New("not a 64-bit little-endian ELF executable")
	}
	le := binary.LittleEndian
	if t := le.Uint16(program[16:]); t != elfTypeExec && t != elfTypeDyn {
		return "", fmt.Errorf("ELF type %d is not an executable", t)
	}
	machine := le.Uint16(program[18:])
	arch = elfMachines[machine]
	if arch == "" {
		return "", fmt.Errorf("ELF machine %d is none of amd64, arm64, riscv64", machine)
	}
	segments, err := elfSegments(program)
	if err != nil {
		return "", err
	}
	return arch, checkSegments(segments, le.Uint64(program[24:]), uint64(len(program)))
}

// elfSegments reads the program headers.
func elfSegments(program []byte) ([]elfSegment, error) {
	le := binary.LittleEndian
	off, size, n := le.Uint64(program[32:]), le.Uint16(program[54:]), uint64(le.Uint16(program[56:]))
	if size != elfEntrySize || n == 0 || n > elfMaxEntries {
		return nil, fmt.Errorf("ELF has %d program headers of %d bytes", n, size)
	}
	if off > uint64(len(program)) || uint64(len(program))-off < n*elfEntrySize {
		return nil, errors.New("ELF program headers lie outside of the file")
	}
	segments := make([]elfSegment, n)
	for i := range segments {
		h := program[off+uint64(i)*elfEntrySize:]
		segments[i] = elfSegment{
			kind: le.Uint32(h), flags: le.Uint32(h[4:]), off: le.Uint64(h[8:]),
			vaddr: le.Uint64(h[16:]), fsize: le.Uint64(h[32:]), size: le.Uint64(h[40:]),
		}
	}
	return segments, nil
}

// checkSegments checks each segment, and that the entry point lies in code.
func checkSegments(segments []elfSegment, entry, fileSize uint64) error {
	entered := false
	for _, s := range segments {
		switch s.kind {
		case elfInterp:
			return errors.New("ELF is not static: it asks for an interpreter")
		case elfStack:
			if s.flags&elfExec != 0 {
				return errors.New("ELF asks for an executable stack")
			}
		case elfLoad:
			if s.off > fileSize || s.fsize > fileSize-s.off || s.fsize > s.size || s.vaddr+s.size < s.vaddr {
				return errors.New("ELF segment lies outside of the file or of memory")
			}
			if s.flags&elfExec != 0 && s.flags&elfWrite != 0 {
				return errors.New("ELF segment is both writable and executable")
			}
			if s.flags&elfExec != 0 && entry >= s.vaddr && entry-s.vaddr < s.fsize {
				entered = true
			}
		}
	}
	if !entered {
		return errors.New("ELF entry point is not in an executable segment")
	}
	return nil
}
