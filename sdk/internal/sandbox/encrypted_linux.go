package sandbox

import (
	"context"
	"errors"
	"fmt"
	"os"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/secgear/secgear/sdk/image"
	"github.com/secgear/secgear/sdk/image/imagefile"
	"github.com/secgear/secgear/sdk/tee"
)

// errNotInside says what a TEE lacks that does not surround the process that
// launches.
var errNotInside = errors.New("there is nothing inside that could: the process that launches has the key, and decrypts")

// openEncrypted asks for the key, decrypts the program, and forgets the key
// before there is a second process with a copy of this one's memory.
func (l *launch) openEncrypted(ctx context.Context, img *image.Image, ask func(context.Context) (image.Key, error)) error {
	if ask == nil {
		return fmt.Errorf("the image is encrypted with key %v, and there is nobody to ask for it", img.Encrypted.KeyID)
	}
	key, err := ask(ctx)
	if err != nil {
		return err
	}
	defer key.Wipe()
	var swap error
	if l.program, l.pin, swap, err = decryptedProgram(img, key); err != nil {
		return err
	}
	l.decryption = []tee.Protection{
		{Name: partInside, Active: l.tee.Inside},
		{Name: partUnswapped, Active: swap == nil},
	}
	if !l.tee.Inside {
		l.decryption[0].Reason = errNotInside.Error()
	}
	if swap != nil {
		l.decryption[1].Reason = swap.Error()
	}
	return nil
}

// decryptedProgram is sealedProgram for an encrypted image. The program is
// decrypted into the memory file's own pages: in clear it is nowhere else, on no
// disk, and, as long as pin is not given to unpin, not in swap either, unless
// swap says why not.
func decryptedProgram(img *image.Image, key image.Key) (f *os.File, pin []byte, swap, err error) {
	size := img.Encrypted.Size
	f, err = memfd("secgear-program", unix.MFD_EXEC)
	if err != nil {
		return nil, nil, nil, fmt.Errorf("making a memory file for the program: %w", err)
	}
	// Not Truncate: where memory is missing, this is an error, and not a fault
	// on use.
	if err = unix.Fallocate(int(f.Fd()), 0, 0, int64(size)); err == nil {
		pin, swap = pinned(f, size)
		err = decryptInto(f, img, key)
	}
	if err == nil {
		err = finish(f, img.Manifest.Debug)
	}
	if err != nil {
		unpin(pin)
		f.Close()
		return nil, nil, nil, fmt.Errorf("decrypting the program into a memory file: %w", err)
	}
	return f, pin, swap, nil
}

// decryptInto decrypts img's program into f, which has its size.
func decryptInto(f *os.File, img *image.Image, key image.Key) error {
	mem, err := mapAlone(f, img.Encrypted.Size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return err
	}
	return errors.Join(imagefile.Decrypt(img, key, mem), unix.Munmap(mem))
}

// mapAlone maps size bytes of f for this process: not for those that other
// launches fork meanwhile, and not for its core dump. A writable mapping that
// another process has would keep f from being sealed.
func mapAlone(f *os.File, size, prot, flags int) ([]byte, error) {
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	mem, err := unix.Mmap(int(f.Fd()), 0, size, prot, flags)
	if err != nil {
		return nil, fmt.Errorf("mapping: %w", err)
	}
	for _, advice := range []int{unix.MADV_DONTDUMP, unix.MADV_DONTFORK} {
		if err := unix.Madvise(mem, advice); err != nil {
			unix.Munmap(mem)
			return nil, fmt.Errorf("keeping a mapping to this process: %w", err)
		}
	}
	return mem, nil
}

// pinned keeps the size bytes of f in memory, until unpin. It does so by a
// mapping which can't be read, and that is private, as a shared one would keep f
// from being sealed.
func pinned(f *os.File, size int) (pin []byte, err error) {
	pin, err = mapAlone(f, size, unix.PROT_READ, unix.MAP_PRIVATE)
	if err != nil {
		return nil, err
	}
	err = unix.Mlock(pin)
	if err == unix.ENOMEM || err == unix.EPERM {
		err = fmt.Errorf("%w: is the limit on locked memory (ulimit -l) below the program's %d bytes?", err, size)
	}
	if err == nil {
		err = unix.Mprotect(pin, unix.PROT_NONE)
	}
	if err != nil {
		unpin(pin)
		return nil, fmt.Errorf("locking it in memory: %w", err)
	}
	return pin, nil
}

// unpin ends what pinned did. pin may be nil.
func unpin(pin []byte) {
	if pin != nil {
		unix.Munmap(pin) // fails for no mapping of our own
	}
}
