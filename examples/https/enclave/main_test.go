package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/secgear/secgear/examples/https"
	"github.com/secgear/secgear/examples/https/site"
	"github.com/secgear/secgear/sdk/enclavetest"
)

// TestSite: many connections at once, over streams alone.
func TestSite(t *testing.T) {
	e := enclavetest.Start(t, setup)
	cert, err := https.NewSiteClient(e).Certificate(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(cert) {
		t.Fatal("no certificate")
	}
	transport := &http.Transport{
		TLSClientConfig: &tls.Config{RootCAs: roots, ServerName: site.Name},
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return e.Dial(ctx, https.Stream)
		},
		MaxIdleConnsPerHost: 20,
	}
	defer transport.CloseIdleConnections()
	client := &http.Client{Transport: transport}
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			for _, tt := range []struct {
				path string
				code int
				want string
			}{{"/", 200, "Hello from inside"}, {"/none", 404, "not found"}, {"/", 200, e.Digest().String()}} {
				r, err := client.Get("https://" + site.Name + tt.path)
				if err != nil {
					t.Error(err)
					return
				}
				body, err := io.ReadAll(r.Body)
				r.Body.Close()
				if err != nil || r.StatusCode != tt.code || !strings.Contains(string(body), tt.want) {
					t.Errorf("%s: %d, %q, %v", tt.path, r.StatusCode, body, err)
				}
			}
		})
	}
	wg.Wait()
}
