package guest

import (
	"fmt"
	"math"
	"os"
	"strconv"
	"sync"
	"syscall"

	"github.com/secgear/secgear/sdk/tee/sgx/internal/wire"
)

// mapLane maps the memory that the host offers. Gramine puts it outside the
// enclave. The host can take it away again, and touching it then ends the enclave;
// a host can do that without a lane, too.
func mapLane(root string, offer wire.Lane, most uint64) (mem []byte, release func(), err error) {
	if offer.Size == 0 || offer.Size%uint64(os.Getpagesize()) != 0 || offer.Size > most || offer.Size > math.MaxInt {
		return nil, nil, fmt.Errorf("a lane of %d bytes: the manifest allows a number of pages up to %d", offer.Size, most)
	}
	f, err := os.OpenFile(root+wire.LanesDir+"/"+strconv.FormatUint(uint64(offer.Stream), 10), os.O_RDWR, 0)
	if err != nil {
		return nil, nil, fmt.Errorf("opening a lane's memory: %w", err)
	}
	defer f.Close()
	mem, err = syscall.Mmap(int(f.Fd()), 0, int(offer.Size), syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_SHARED)
	if err != nil {
		return nil, nil, fmt.Errorf("mapping %d bytes of a lane's memory: %w", offer.Size, err)
	}
	return mem, sync.OnceFunc(func() { syscall.Munmap(mem) }), nil
}
