package enclave

import (
	"context"
	"fmt"
	"net"
)

// Dial opens a stream to what listens by name on the host's side: bytes in both
// directions through shared memory, as a [net.Conn] that also has CloseWrite.
// While a call is being handled with ctx it goes to the process that made it,
// otherwise to the one that loaded the enclave. ctx bounds the dialling only.
// Its error matches [ErrNotAllowed] when the manifest's services don't list
// "stream:" and the name, [shm.ErrRefused] when nobody listens, and
// [tee.ErrLost] when the host is gone.
//
// The host reads and changes what it likes: run TLS, or an attested channel,
// over the stream to keep it from that.
func (e *Enclave) Dial(ctx context.Context, name string) (net.Conn, error) {
	if !e.services.allowStream(name) {
		return nil, fmt.Errorf("dialling stream %q: %w: its \"services\" do not list stream:%s", name, ErrNotAllowed, name)
	}
	l, err := e.Lane(ctx, nil)
	if err != nil {
		return nil, err
	}
	s, err := l.DialStream(ctx, name)
	if err != nil {
		return nil, err
	}
	return s, nil
}

// Listen takes the streams that host processes dial by name, whichever of them
// does. What is accepted is anybody's who may attach to the enclave. The
// listener ends when the host asks the enclave to stop, or is gone.
func (e *Enclave) Listen(name string) (net.Listener, error) { return e.listeners.Listen(name) }
