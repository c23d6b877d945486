// Package https is the contract of an enclave that serves HTTPS with a key that
// exists nowhere else.
//
// The connections are streams: the host accepts them from the network and
// copies bytes, see the host program. The contract is only for what the host
// has to know beforehand.
package https

import "context"

//go:generate go run github.com/secgear/secgear/cmd/secgear generate

// Stream is the name that the enclave listens by.
const Stream = "https"

// Site is the enclave's web site.
//
//secgear:ecall
type Site interface {
	// Certificate returns the site's certificate, PEM encoded, self-signed and
	// made when the enclave started. Whoever gets it from the host has the
	// host's word for it, and no more.
	Certificate(ctx context.Context) ([]byte, error)
}
