package ioctl

import (
	"encoding/binary"
	"os"
	"syscall"
	"testing"
)

// TestRequest: numbers as in the kernel's headers.
func TestRequest(t *testing.T) {
	for want, got := range map[uintptr]uintptr{
		0x8008ae20: Request(Read, 0xae, 0x20, 8),        // NE_CREATE_VM
		0xc004ae21: Request(Read|Write, 0xae, 0x21, 4),  // NE_ADD_VCPU
		0x4018ae23: Request(Write, 0xae, 0x23, 24),      // NE_SET_USER_MEMORY_REGION
		0xc0200a00: Request(Read|Write, 0x0a, 0x00, 32), // NSM_IOCTL_RAW
		0x5413:     Request(None, 'T', 0x13, 0),         // TIOCGWINSZ
	} {
		if got != want {
			t.Errorf("%#x, want %#x", got, want)
		}
	}
}

// TestCall asks a pipe how much is in it.
func TestCall(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	defer w.Close()
	if _, err := w.WriteString("hello"); err != nil {
		t.Fatal(err)
	}
	const fionread = 0x541b
	arg := make([]byte, 4)
	if _, err := Call(r.Fd(), fionread, arg); err != nil {
		t.Fatal(err)
	}
	if n := binary.NativeEndian.Uint32(arg); n != 5 {
		t.Errorf("%d bytes are in the pipe, not 5", n)
	}
	if _, err := Call(r.Fd(), 0xffff, arg); err != syscall.ENOTTY {
		t.Errorf("an unknown request: %v", err)
	}
	if _, err := Exchange(r.Fd(), 0xc0200a00, []byte{1}, make([]byte, 9)); err != syscall.ENOTTY {
		t.Errorf("an unknown request: %v", err)
	}
}
