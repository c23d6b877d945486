// The enclave: a web site whose TLS key is made in here and never leaves.
//
// Everything but Listen is what any Go server does. secgear.json lists no
// services: the enclave calls and dials nobody.
package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"

	"github.com/secgear/secgear/examples/https"
	"github.com/secgear/secgear/examples/https/site"
	"github.com/secgear/secgear/sdk/enclave"
)

func main() { enclave.Main(setup) }

// setup starts the server and registers what the host may ask. Tests call it
// too.
func setup(e *enclave.Enclave) error {
	text := fmt.Sprintf("Hello from inside. TEE: %s, image: %s", e.TEE(), e.Identity().Digest)
	// The certificate's dates are the host's: an enclave has no clock of its own.
	server, cert, err := site.Server(text, e.HostTime().Unverified(), slog.NewLogLogger(e.Log().Handler(), slog.LevelWarn))
	if err != nil {
		return err
	}
	ln, err := e.Listen(https.Stream)
	if err != nil {
		return err
	}
	go func() {
		if err := server.ServeTLS(ln, "", ""); !errors.Is(err, http.ErrServerClosed) && e.Context().Err() == nil {
			e.Log().Error("the server ended", "reason", err)
		}
	}()
	e.OnShutdown(func(ctx context.Context) { server.Shutdown(ctx) })
	https.RegisterSite(e, certificate(cert))
	return nil
}

// certificate implements [https.Site].
type certificate []byte

func (c certificate) Certificate(context.Context) ([]byte, error) { return c, nil }
