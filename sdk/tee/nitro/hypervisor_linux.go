package nitro

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"net"
	"os"
	"runtime"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/secgear/secgear/sdk/internal/ioctl"
	"github.com/secgear/secgear/sdk/internal/vsock"
	"github.com/secgear/secgear/sdk/tee"
)

// hypervisor is a machine of AWS's hypervisor. It lives as long as somebody has
// its descriptor, so that the kernel ends it with this process.
type hypervisor struct {
	driver  driver
	enclave *os.File
	mem     []byte
	free    func() error
	cid     uint32
	debug   bool
	log     logger

	ended chan struct{}
	once  sync.Once
	freed error

	followed chan struct{} // closed when the console has been read, if there is one
	console  *console      // of an enclave for debugging; set before that
}

// allocate starts the machine that s describes.
func allocate(d driver, s spec) (machine, error) {
	h := &hypervisor{driver: d, debug: s.debug, log: s.log, ended: make(chan struct{}), followed: make(chan struct{})}
	if err := h.start(s); err != nil {
		return nil, errors.Join(err, h.release())
	}
	go h.watch()
	go h.followConsole()
	return h, nil
}

func (h *hypervisor) start(s spec) error {
	if err := h.create(); err != nil {
		return err
	}
	if err := h.load(s); err != nil {
		return err
	}
	if err := h.addProcessors(s.cores); err != nil {
		return err
	}
	var flags uint64
	if s.debug {
		flags = neDebug
	}
	info := words(flags, 0)
	if _, err := h.driver.ioctl(h.enclave, neStart, info); err != nil {
		return driverError("starting the enclave", err)
	}
	cid := word(info, 1)
	if cid <= vsock.Parent || cid >= math.MaxUint32 {
		return fmt.Errorf("starting the enclave: the driver gave it the CID %d", cid)
	}
	h.cid = uint32(cid)
	return nil
}

// create makes an enclave without anything in it.
func (h *hypervisor) create() error {
	f, err := h.driver.open()
	if err != nil {
		return fmt.Errorf("opening the Nitro Enclaves driver: %w", err)
	}
	defer f.Close()
	fd, err := h.driver.ioctl(f, neCreateVM, words(0))
	if err != nil {
		return driverError("making an enclave", err)
	}
	unix.CloseOnExec(fd)
	if err := unix.SetNonblock(fd, true); err != nil { // to be told of its end by the runtime
		unix.Close(fd)
		return fmt.Errorf("making an enclave: %w", err)
	}
	h.enclave = os.NewFile(uintptr(fd), "nitro-enclave")
	return nil
}

// load puts the image where the hypervisor wants it, and hands the memory over.
func (h *hypervisor) load(s spec) error {
	info := words(neEIF, 0)
	if _, err := h.driver.ioctl(h.enclave, neImageLoadInfo, info); err != nil {
		return driverError("asking where the image belongs", err)
	}
	var err error
	if h.mem, h.free, err = h.driver.memory(s.memory); err != nil {
		return fmt.Errorf("taking memory for the enclave: %w", err)
	}
	offset := word(info, 1)
	if offset > uint64(len(h.mem)) || uint64(len(s.file)) > uint64(len(h.mem))-offset {
		return fmt.Errorf("loading the image: its %d bytes at %d don't fit into %d of memory", len(s.file), offset, len(h.mem))
	}
	copy(h.mem[offset:], s.file)
	region := words(0, uint64(len(h.mem)), ioctl.Address(h.mem))
	if _, err := h.driver.ioctl(h.enclave, neSetMemory, region); err != nil {
		return driverError("giving the enclave its memory", err)
	}
	runtime.KeepAlive(h.mem)
	return nil
}

// addProcessors gives the enclave the processors cores, or any if there are none.
func (h *hypervisor) addProcessors(cores []int) error {
	if len(cores) == 0 {
		cores = make([]int, processors)
	}
	for _, n := range cores {
		if n < 0 || n > math.MaxInt32 {
			return fmt.Errorf("processor %d: there is none", n)
		}
		if _, err := h.driver.ioctl(h.enclave, neAddVCPU, binary.NativeEndian.AppendUint32(nil, uint32(n))); err != nil {
			return driverError("giving the enclave a processor", err)
		}
	}
	return nil
}

// watch waits for the enclave's end, which its descriptor tells.
func (h *hypervisor) watch() {
	defer close(h.ended)
	raw, err := h.enclave.SyscallConn()
	if err != nil {
		h.log.Error("waiting for the enclave's end", "err", err)
		return
	}
	// Its error is that the descriptor was closed, which ends the enclave.
	_ = raw.Read(func(fd uintptr) bool {
		p := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
		n, err := unix.Poll(p, 0)
		return err != nil && err != unix.EINTR || n > 0 && p[0].Revents&(unix.POLLHUP|unix.POLLERR|unix.POLLNVAL) != 0
	})
}

// consolePort is where the hypervisor has the console of an enclave for
// debugging, plus the enclave's CID.
const consolePort = 10_000

// consoleGrace is how long the console may take to end after its enclave.
const consoleGrace = time.Second

// followConsole reads the console of an enclave for debugging to its end.
func (h *hypervisor) followConsole() {
	defer close(h.followed)
	if !h.debug {
		return
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	go func() {
		<-h.ended
		cancel()
	}()
	c, err := h.driver.dial(ctx, vsock.Hyper, consolePort+h.cid)
	if err != nil {
		h.log.Warn("the enclave's console can't be read", "err", err)
		return
	}
	defer c.Close()
	h.console = newConsole(c, h.log, true)
	select {
	case <-h.console.ended:
		return
	case <-h.ended:
	}
	select {
	case <-h.console.ended:
	case <-time.After(consoleGrace):
	}
}

func (h *hypervisor) done() <-chan struct{} { return h.ended }

// cause is what process 1 said on the console, if there is one. Nothing else
// tells how an enclave ended.
func (h *hypervisor) cause() error {
	if <-h.followed; h.console != nil {
		return h.console.cause()
	}
	return errors.New("the enclave ended; why is known for debug images only")
}

func (h *hypervisor) dial(ctx context.Context, port uint32) (net.Conn, error) {
	return h.driver.dial(ctx, h.cid, port)
}

func (h *hypervisor) close() error {
	err := h.release()
	<-h.ended
	return err
}

// release ends the enclave, and gives its memory back.
func (h *hypervisor) release() error {
	h.once.Do(func() {
		if h.enclave != nil {
			h.freed = h.enclave.Close()
		}
		if h.free != nil {
			h.freed = errors.Join(h.freed, h.free())
		}
	})
	return h.freed
}

func (h *hypervisor) protections() []tee.Protection {
	p := tee.Protection{Name: "Nitro hypervisor", Active: true}
	measured := tee.Protection{Name: "measured", Active: !h.debug}
	if h.debug {
		measured.Reason = "the image is for debugging: its console is open, and evidence says nothing of what runs"
	}
	return []tee.Protection{p, measured}
}
