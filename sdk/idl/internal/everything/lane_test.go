package everything

import (
	"context"
	"testing"

	"github.com/secgear/secgear/sdk/call"
	"github.com/secgear/secgear/sdk/shm"
	"github.com/secgear/secgear/sdk/tee"
)

// peer is one end of a lane: it calls the other and serves what is registered.
type peer struct {
	call.Mux
	lane *shm.Lane
}

// Lane implements [call.Caller].
func (p *peer) Lane(context.Context, *call.Contract) (*shm.Lane, error) { return p.lane, nil }

// connect returns the two ends of a lane in this process, with [echo] served at
// the enclave's and [names] at the host's.
func connect(t testing.TB) (host, enclave *peer) {
	t.Helper()
	a, b := shm.Pipe(4 << 20)
	host, enclave = &peer{}, &peer{}
	RegisterNames(host, names{})
	RegisterEcho(enclave, echo{})
	host.open(t, a, shm.Host)
	enclave.open(t, b, shm.Enclave)
	t.Cleanup(func() {
		host.lane.Close()
		enclave.lane.Close()
		host.lane.Join()
		enclave.lane.Join()
	})
	return host, enclave
}

func (p *peer) open(t testing.TB, end *tee.Lane, side shm.Role) {
	t.Helper()
	lane, err := shm.Open(end, side, p, shm.Config{Cooperative: true})
	if err != nil {
		t.Fatal(err)
	}
	p.lane = lane
}
