// The host: accepts TCP connections and copies their bytes into the enclave and
// back. It can't read them: the key is inside. "make run" runs it.
package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/secgear/secgear/examples/https"
	"github.com/secgear/secgear/examples/https/site"
	"github.com/secgear/secgear/sdk/host"
	"github.com/secgear/secgear/sdk/host/relay"
	"github.com/secgear/secgear/sdk/tee/all"
)

// options are what the command line says.
type options struct {
	image  string // the enclave's
	listen string // address
	cert   string // file to write the certificate to
	serve  bool   // until interrupted
}

func main() {
	var o options
	flag.StringVar(&o.image, "image", os.Getenv("SECGEAR_IMAGE"), "load the enclave `image` of this name; secgear run sets it")
	flag.StringVar(&o.listen, "listen", "127.0.0.1:0", "accept connections at this `address`")
	flag.StringVar(&o.cert, "cert", "", "write the site's certificate to this `file`")
	flag.BoolVar(&o.serve, "serve", false, "serve until interrupted, instead of asking once")
	flag.Parse()
	if o.image == "" || flag.NArg() > 0 {
		fmt.Fprintln(os.Stderr, "https: name the enclave's image with --image")
		fmt.Fprintln(os.Stderr, "hint: secgear run ./examples/https builds the image and names it")
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	context.AfterFunc(ctx, stop) // a second signal ends the program at once
	if err := run(ctx, o, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "https:", err)
		os.Exit(1)
	}
}

// run serves, and asks the site for its page unless it is to go on serving.
func run(ctx context.Context, o options, out io.Writer) (err error) {
	e, err := host.Load(ctx, o.image, host.Options{
		Backends: all.Backends(),
		Log:      slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelError})),
	})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, e.Close()) }()
	cert, err := https.NewSiteClient(e).Certificate(ctx)
	if err != nil {
		return err
	}
	if o.cert != "" {
		if err := os.WriteFile(o.cert, cert, 0o644); err != nil {
			return fmt.Errorf("writing the certificate: %w", err)
		}
	}
	ln, err := net.Listen("tcp", o.listen)
	if err != nil {
		return fmt.Errorf("listening: %w", err)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	served := make(chan error, 1)
	go func() {
		served <- relay.Serve(ctx, ln, func(ctx context.Context) (net.Conn, error) { return e.Dial(ctx, https.Stream) })
	}()
	defer func() {
		cancel()
		err = errors.Join(err, <-served)
	}()
	url := fmt.Sprintf("https://%s/", net.JoinHostPort(site.Name, port(ln)))
	if o.serve {
		fmt.Fprintln(out, "serving", url)
		select {
		case <-ctx.Done():
			return nil
		case <-e.Done():
			return e.Err()
		case err := <-served:
			served <- nil
			return err
		}
	}
	return show(ctx, url, ln.Addr().String(), cert, out)
}

func port(ln net.Listener) string {
	_, port, _ := net.SplitHostPort(ln.Addr().String())
	return port
}

// show asks for the page and prints it.
func show(ctx context.Context, url, address string, cert []byte, out io.Writer) error {
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(cert) {
		return errors.New("the site's certificate is none")
	}
	var dialer net.Dialer
	transport := &http.Transport{
		TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS13},
		DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return dialer.DialContext(ctx, network, address)
		},
	}
	defer transport.CloseIdleConnections()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	client := &http.Client{Transport: transport, Timeout: 30 * time.Second}
	response, err := client.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	page, err := io.ReadAll(io.LimitReader(response.Body, 64<<10))
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "%s\n  %s, %s\n  %s\n", url, response.Status, tls.VersionName(response.TLS.Version), strings.TrimSpace(string(page)))
	return nil
}
