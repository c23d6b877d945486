package initramfs

import (
	"errors"
	"syscall"
	"unsafe"
)

// initModule loads a module. One that is there already is no error.
func initModule(b []byte) error {
	if len(b) == 0 {
		return errors.New("it is empty")
	}
	parameters := [1]byte{}
	_, _, errno := syscall.Syscall(syscall.SYS_INIT_MODULE,
		uintptr(unsafe.Pointer(&b[0])), uintptr(len(b)), uintptr(unsafe.Pointer(&parameters[0])))
	if errno != 0 && errno != syscall.EEXIST {
		return errno
	}
	return nil
}
