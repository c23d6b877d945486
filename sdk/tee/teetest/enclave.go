package teetest

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"testing"
	"time"

	"github.com/secgear/secgear/sdk/image"
	"github.com/secgear/secgear/sdk/tee"
	"github.com/secgear/secgear/sdk/tee/teetest/testenclave"
)

// Patience is how long anything may take before a test gives up on it. A machine
// that is emulated takes its time to boot.
const Patience = 2 * time.Minute

// Enclave is a test enclave that runs.
type Enclave struct {
	tee.Instance
	Control *Talk
}

// Manifest is that of the images which the suite launches, for others to vary.
func Manifest() image.Manifest {
	m := image.DefaultManifest("test")
	m.SecurityVersion = 5
	return m
}

// Launch launches img with the state in dir, and closes it at the end of the
// test.
func Launch(t testing.TB, b tee.Backend, img *image.Image, dir string) *Enclave {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), Patience)
	defer cancel()
	i, err := b.Launch(ctx, img, Config(dir))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := i.Close(); err != nil {
			t.Errorf("closing: %v", err)
		}
	})
	return &Enclave{i, NewTalk(t, i.Control())}
}

// Config is a launch's, with the state in dir.
func Config(dir string) tee.LaunchConfig {
	return tee.LaunchConfig{StateDir: dir, Log: slog.New(slog.DiscardHandler)}
}

// launch launches the suite's enclave.
func (s Suite) launch(t testing.TB, m image.Manifest, signer byte, dir string) *Enclave {
	t.Helper()
	return Launch(t, s.Backend, Image(t, m, s.Program, signer), dir)
}

// Lane opens a lane, released at the end of the test, and a talk over its bell.
func (e *Enclave) Lane(t testing.TB, size int) (*tee.Lane, *Talk) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), Patience)
	defer cancel()
	l, err := e.OpenLane(ctx, size)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		l.Bell.Close()
		l.Release()
	})
	return l, NewTalk(t, l.Bell)
}

// WaitDone waits for the enclave's end.
func (e *Enclave) WaitDone(t testing.TB) {
	t.Helper()
	select {
	case <-e.Done():
	case <-time.After(Patience):
		t.Fatal("the enclave does not end")
	}
}

// Talk sends commands over a stream to a test enclave.
type Talk struct {
	t     testing.TB
	conn  net.Conn
	lines *bufio.Reader
}

// NewTalk returns a talk over conn, which it does not close. Reads of it give
// up after [Patience].
func NewTalk(t testing.TB, conn net.Conn) *Talk {
	return &Talk{t, conn, bufio.NewReader(conn)}
}

// Try sends a command and returns the enclave's answer, in which an error is one
// that the enclave had. err is about the stream.
func (k *Talk) Try(command string, args ...any) (r testenclave.Reply, err error) {
	line := command
	for _, a := range args {
		line += fmt.Sprint(" ", a)
	}
	if _, err := io.WriteString(k.conn, line+"\n"); err != nil {
		return r, err
	}
	if err := k.conn.SetReadDeadline(time.Now().Add(Patience)); err != nil {
		return r, err
	}
	b, err := k.lines.ReadBytes('\n')
	if err != nil {
		return r, err
	}
	return r, json.Unmarshal(b, &r)
}

// Get is Try for a command that must succeed.
func (k *Talk) Get(command string, args ...any) string {
	k.t.Helper()
	r, err := k.Try(command, args...)
	if err != nil {
		k.t.Fatalf("%s: %v", command, err)
	}
	if r.Error != "" {
		k.t.Fatalf("%s: the enclave says: %s", command, r.Error)
	}
	return r.Result
}

// Refused is Try for a command that must fail in the enclave.
func (k *Talk) Refused(command string, args ...any) {
	k.t.Helper()
	r, err := k.Try(command, args...)
	if err != nil {
		k.t.Fatalf("%s: %v", command, err)
	}
	if r.Error == "" {
		k.t.Errorf("%s %v was not refused: %s", command, args, r.Result)
	}
}

// Power is Get for something that a platform may lack: then the test is skipped,
// unless the error is another than errors.ErrUnsupported.
func (k *Talk) Power(command string, args ...any) string {
	k.t.Helper()
	r, err := k.Try(command, args...)
	if err != nil {
		k.t.Fatalf("%s: %v", command, err)
	}
	if r.Unsupported {
		k.t.Skipf("the platform has no %s: %s", command, r.Error)
	}
	if r.Error != "" {
		k.t.Fatalf("%s: the enclave says: %s", command, r.Error)
	}
	return r.Result
}

// ended tells whether err is that of a stream whose other end is gone.
func ended(err error) bool {
	var timeout net.Error
	return err != nil && !(errors.As(err, &timeout) && timeout.Timeout())
}
