// Package demo is a small contract in both directions.
package demo

import (
	"context"
	"errors"
	"time"

	"github.com/secgear/secgear/sdk/shm"
)

// Greeter greets people.
//
//secgear:ecall
type Greeter interface {
	// Add returns the sum of a and b:
	//
	//	sum, err := g.Add(ctx, 1, 2)
	Add(ctx context.Context, a, b int64) (int64, error)
	// Hello returns a greeting for name.
	Hello(ctx context.Context, name string) (greeting string, err error)
	// Forget forgets everybody.
	//
	//secgear:switched
	Forget(ctx context.Context) error
	// Meet introduces people to each other.
	Meet(ctx context.Context, people []Person, notes map[string][]string, boss *Person) (seen map[uint8]Mood, key Key, ok bool, err error)
	Fill(ctx context.Context, canvas shm.Buffer, moods [4]Mood, until time.Time, _ time.Duration) (int, error)
}

// Log takes what the enclave has to say.
//
//secgear:ocall
type Log interface {
	Write(ctx context.Context, level int, text string) error
}

// Person is somebody.
type Person struct {
	Name string
	Age  uint8
	Tags []string
	Born time.Time
	Key  Key
}

// Mood is how somebody feels.
type Mood int32

// Key is a key.
type Key [32]byte

// What can be wrong.
//
//secgear:error
var (
	ErrNobody = errors.New("nobody there")
	ErrRude   = errors.New("that was rude")
)

// ErrOther stays on its side.
var ErrOther = errors.New("other")
