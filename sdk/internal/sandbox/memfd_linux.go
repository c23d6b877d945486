package sandbox

import (
	"fmt"
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// sealedProgram returns a memory file with program that nobody can change any
// more, and that the enclave can execute. Unless it is readable, the process
// that executes it can't be debugged, and leaves no core dump, from its first
// instruction on.
func sealedProgram(program io.Reader, readable bool) (*os.File, error) {
	f, err := memfd("secgear-program", unix.MFD_EXEC)
	if err != nil {
		return nil, fmt.Errorf("making a memory file for the program: %w", err)
	}
	_, err = io.Copy(f, program)
	if err == nil {
		err = finish(f, readable)
	}
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("writing the program to a memory file: %w", err)
	}
	return f, nil
}

// finish makes a memory file with a program what sealedProgram returns.
func finish(f *os.File, readable bool) error {
	mode := os.FileMode(0o111)
	if readable {
		mode = 0o555
	}
	if err := f.Chmod(mode); err != nil {
		return err
	}
	return seal(f, unix.F_SEAL_WRITE|unix.F_SEAL_GROW|unix.F_SEAL_SHRINK|unix.F_SEAL_SEAL)
}

// laneMemory returns a memory file of size zero bytes. Its size is sealed, so
// that neither end can make the other fault.
func laneMemory(size int) (*os.File, error) {
	f, err := memfd("secgear-lane", unix.MFD_NOEXEC_SEAL)
	if err != nil {
		return nil, fmt.Errorf("making a memory file: %w", err)
	}
	if err = f.Truncate(int64(size)); err == nil {
		err = seal(f, unix.F_SEAL_GROW|unix.F_SEAL_SHRINK|unix.F_SEAL_SEAL)
	}
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("making a memory file of %d bytes: %w", size, err)
	}
	return f, nil
}

// memfd makes a memory file that can be sealed. Kernels before 6.3 don't know
// the flag for its executability, which is then as it always was.
func memfd(name string, exec int) (*os.File, error) {
	fd, err := unix.MemfdCreate(name, unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING|exec)
	if err == unix.EINVAL {
		fd, err = unix.MemfdCreate(name, unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING)
	}
	if err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(fd), name), nil
}

// seal adds seals to a memory file.
func seal(f *os.File, seals int) error {
	if _, err := unix.FcntlInt(f.Fd(), unix.F_ADD_SEALS, seals); err != nil {
		return fmt.Errorf("sealing: %w", err)
	}
	return nil
}
