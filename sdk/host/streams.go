package host

import (
	"context"
	"net"
)

// Dial opens a stream to what listens by name in the enclave: bytes in both
// directions through shared memory, as a [net.Conn] that also has CloseWrite.
// Names are lower case letters and digits in groups joined by single '-', '_'
// or '.'. ctx bounds the dialling only. Its error matches [shm.ErrRefused] when
// nobody listens, and [tee.ErrLost] or [tee.ErrClosed] as those of calls do.
func (e *Enclave) Dial(ctx context.Context, name string) (net.Conn, error) {
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

// Listen takes the streams that the enclave dials by name, which the manifest
// that its image was signed with must list among its services as
// "stream:" and the name. The listener ends with the enclave.
func (e *Enclave) Listen(name string) (net.Listener, error) { return e.listeners.Listen(name) }
