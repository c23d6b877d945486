package enclave

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/secgear/secgear/sdk/call"
	"github.com/secgear/secgear/sdk/image"
)

// ErrNotAllowed is matched by the error of an OCALL whose contract is not among
// the services of the manifest that the image was signed with. Nothing of such
// a call reaches the host.
var ErrNotAllowed = errors.New("not allowed by the manifest")

// services are the contracts that the enclave may call, and the streams that it
// may dial. None are in the zero
// value.
type services struct {
	any     bool
	streams map[string]bool // that may be dialled
	names   []string
	known   []atomic.Pointer[call.Contract] // the last one seen of each name
}

// allow returns the services that a manifest lists.
func allow(names []string) services {
	streams := make(map[string]bool)
	for _, s := range names {
		if stream, ok := strings.CutPrefix(s, image.StreamService); ok {
			streams[stream] = true
		}
	}
	return services{
		any:     slices.Contains(names, image.AnyService),
		streams: streams,
		names:   slices.Clone(names),
		known:   make([]atomic.Pointer[call.Contract], len(names)),
	}
}

// allowStream tells whether the stream of a name may be dialled.
func (s *services) allowStream(name string) bool { return s.any || s.streams[name] }

// check tells whether c may be called. Names are compared on the first call of
// a contract only: generated code has one Contract for each.
func (s *services) check(c *call.Contract) error {
	if s.any {
		return nil
	}
	for i := range s.known {
		if s.known[i].Load() == c {
			return nil
		}
	}
	i := slices.Index(s.names, c.Name)
	if i < 0 {
		return fmt.Errorf("%w: its \"services\" do not list %s", ErrNotAllowed, c.Name)
	}
	s.known[i].Store(c)
	return nil
}
