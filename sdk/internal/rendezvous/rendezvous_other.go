//go:build !linux

package rendezvous

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"time"

	"github.com/secgear/secgear/sdk/tee"
)

// EnvDir names the environment's variable that says where [Dir] is.
const EnvDir = "SECGEAR_RUN"

var errSystem = fmt.Errorf("finding running enclaves on this system: %w", errors.ErrUnsupported)

// Config says what a [Server] serves.
type Config struct {
	Path     string
	Name     string
	Anybody  bool
	Status   func() any
	Handlers map[Kind]func(*Request)
	Log      *slog.Logger
}

// Request is one request.
type Request struct {
	Payload []byte
	Peer    Peer
	Conn    *net.UnixConn
}

// Settle does nothing here.
func (*Request) Settle() error { return errSystem }

// Answer does nothing here.
func (*Request) Answer([]byte) error { return errSystem }

// Refuse does nothing here.
func (*Request) Refuse(uint32, string, ...any) error { return errSystem }

// Server does not exist here.
type Server struct{}

// Listen returns an error.
func Listen(Config) (*Server, error) { return nil, errSystem }

// Path is empty here.
func (*Server) Path() string { return "" }

// Close does nothing here.
func (*Server) Close() error { return nil }

// Closing is nil here.
func (*Server) Closing() <-chan struct{} { return nil }

// Dir returns an error.
func Dir() (string, error) { return "", errSystem }

// List returns an error.
func List(context.Context) ([]Entry, error) { return nil, errSystem }

// Find returns an error.
func Find(context.Context, string) (string, error) { return "", errSystem }

// Dial returns an error.
func Dial(context.Context, string) (*net.UnixConn, error) { return nil, errSystem }

// Ask returns an error.
func Ask(context.Context, string, Kind, []byte) ([]byte, error) { return nil, errSystem }

// AnswerAttached does nothing here.
func (*Request) AnswerAttached(Attached, *os.File, *os.File) error { return errSystem }

// EndLane returns an error.
func EndLane(*os.File) error { return errSystem }

// Attach returns an error.
func Attach(context.Context, string, AttachRequest) (Attached, *tee.Lane, *net.UnixConn, error) {
	return Attached{}, nil, nil, errSystem
}

// AskFor returns an error.
func AskFor(context.Context, string, Kind, []byte, time.Duration) ([]byte, error) {
	return nil, errSystem
}

// FromOwner is false here.
func (*Request) FromOwner() bool { return false }
