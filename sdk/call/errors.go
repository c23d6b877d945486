package call

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/secgear/secgear/sdk/shm"
)

// Sentinels of the framework. Each keeps its identity across the boundary.
var (
	// ErrMessage: a message's bytes are not the contract's.
	ErrMessage = errors.New("malformed message")
	// ErrNoContract: the other side does not serve this contract, or serves
	// another version of it.
	ErrNoContract = errors.New("contract not served")
	// ErrNoMethod: the contract has no such method.
	ErrNoMethod = errors.New("no such method")
	// ErrPanic: the handler panicked. What it said stays on its side.
	ErrPanic = errors.New("handler panicked")
)

// Error is what the other side of a call answered instead of results. Its
// text comes from there and proves nothing; [errors.Is] finds the contract's
// sentinel, or the framework's, that the handler's error matched.
type Error struct {
	Contract string
	Method   string
	Text     string // the handler's err.Error(), at most [MaxErrorText] bytes
	Sentinel error  // what the error matched on the other side, or nil
}

// MaxErrorText is how many bytes of an error's text cross the boundary.
const MaxErrorText = 1024

// Error returns the contract, the method and the other side's text.
func (e *Error) Error() string {
	text := e.Text
	if text == "" && e.Sentinel != nil {
		text = e.Sentinel.Error()
	}
	return fmt.Sprintf("%s.%s: %s", e.Contract, e.Method, text)
}

// Unwrap returns the sentinel.
func (e *Error) Unwrap() error { return e.Sentinel }

// Status codes on the wire: 0 is success, then the contract's sentinels in
// order from 1, then the framework's from firstFramework.
const (
	statusOK       = 0
	firstFramework = 0x8000
	statusOther    = 0xffff
)

// framework lists the sentinels every contract has; their order is the wire's.
var framework = []error{
	context.Canceled,
	context.DeadlineExceeded,
	errors.ErrUnsupported,
	ErrMessage,
	ErrNoContract,
	ErrNoMethod,
	ErrPanic,
	shm.ErrTooLarge,
	shm.ErrNoMemory,
	shm.ErrProtocol,
	shm.ErrNesting,
	shm.ErrReleased,
	shm.ErrLent,
	ErrCheck,
	ErrPrivate,
}

// status returns the code for err, given the contract's sentinels.
func status(err error, sentinels []error) uint32 {
	for i, s := range sentinels {
		if errors.Is(err, s) {
			return uint32(i) + 1
		}
	}
	for i, s := range framework {
		if errors.Is(err, s) {
			return firstFramework + uint32(i)
		}
	}
	return statusOther
}

// remote turns an answered status into an error of this side.
func remote(c *Contract, method uint16, status uint32, text []byte) error {
	e := &Error{Contract: c.Name, Method: c.method(method), Text: printable(text)}
	switch {
	case status >= 1 && int64(status) <= int64(len(c.Errors)):
		e.Sentinel = c.Errors[status-1]
	case status >= firstFramework && int64(status-firstFramework) < int64(len(framework)):
		e.Sentinel = framework[status-firstFramework]
	}
	return e
}

// printable keeps a peer's text from forging log lines or driving a terminal.
func printable(text []byte) string {
	if len(text) > MaxErrorText {
		text = text[:MaxErrorText]
	}
	return strings.Map(func(r rune) rune {
		if r < 0x20 || r == 0x7f || (r >= 0x80 && r < 0xa0) {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(string(text), "?"))
}
