// Package demo is the contract between the host and the enclave: what each may
// ask of the other. After a change to it, run go generate.
package demo

import (
	"context"
	"errors"
	"time"
)

//go:generate go tool secgear generate

// ErrNobody: there is nobody to greet.
//
//secgear:error
var ErrNobody = errors.New("nobody to greet")

// Greeter is what the enclave does for the host.
//
//secgear:ecall
type Greeter interface {
	// Hello greets name. Without a name the error matches ErrNobody.
	Hello(ctx context.Context, name string) (string, error)
}

// Clock is what the host does for the enclave.
//
//secgear:ocall
type Clock interface {
	// Now returns the host's time. The host can lie: nothing secret may depend
	// on it.
	Now(ctx context.Context) (time.Time, error)
}
