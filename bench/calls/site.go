package main

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"

	"github.com/secgear/secgear/examples/https"
	"github.com/secgear/secgear/sdk/host"
	"github.com/secgear/secgear/sdk/host/relay"
	"github.com/secgear/secgear/sdk/tee/all"
)

// site is the example's web site in an enclave of its own.
type site struct {
	enclave *host.Enclave
	stop    context.CancelFunc
	done    chan error
}

// open starts the site and returns the TCP port that reaches it.
func (s *site) open(ctx context.Context) ([]float64, error) {
	e, err := host.Load(ctx, filepath.Join(os.Getenv(dirVariable), siteFile), host.Options{Backends: all.Backends(), TEE: "sim"})
	if err != nil {
		return nil, err
	}
	s.enclave = e
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	ctx, s.stop = context.WithCancel(ctx)
	s.done = make(chan error, 1)
	go func() {
		s.done <- relay.Serve(ctx, ln, func(ctx context.Context) (net.Conn, error) { return e.Dial(ctx, https.Stream) })
	}()
	return []float64{float64(ln.Addr().(*net.TCPAddr).Port)}, nil
}

func (s *site) close() (err error) {
	if s.stop != nil {
		s.stop()
		err = <-s.done
	}
	if s.enclave != nil {
		err = errors.Join(err, s.enclave.Close())
	}
	return err
}
