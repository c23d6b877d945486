// Package testenclave is what the enclave of the conformance suite does, on any
// platform: each backend has a program that finds its platform and calls Serve.
//
// Over the control stream it takes a command per line and answers each with a
// line, a JSON [Reply]. Over each lane's bell it does the same, with commands
// about the lane's memory.
package testenclave

import (
	"bufio"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"sync/atomic"

	"github.com/secgear/secgear/sdk/tee"
)

// Reply answers a command.
type Reply struct {
	Result      string `json:"result"`
	Error       string `json:"error,omitempty"`
	Unsupported bool   `json:"unsupported,omitempty"` // the error matches errors.ErrUnsupported
}

// Command does what a line asks for; args are the words after the command's
// name.
type Command func(args []string) (string, error)

// Serve serves until the host is gone, and then returns nil. more are commands
// beside those that every platform's enclave has.
func Serve(p tee.Platform, more map[string]Command) error {
	s := &server{platform: p, more: more}
	go s.acceptLanes()
	return serve(p.Control(), s.command)
}

// serve answers every line of stream.
func serve(stream io.ReadWriter, command func(name string, args []string) (string, error)) error {
	lines := bufio.NewScanner(stream)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		words := strings.Fields(lines.Text())
		if len(words) == 0 {
			continue
		}
		result, err := command(words[0], words[1:])
		r := Reply{Result: result}
		if err != nil {
			r.Error, r.Unsupported = err.Error(), errors.Is(err, errors.ErrUnsupported)
		}
		b, err := json.Marshal(r)
		if err != nil {
			return err
		}
		if _, err := stream.Write(append(b, '\n')); err != nil {
			return err
		}
	}
	return lines.Err()
}

// server is the test enclave.
type server struct {
	platform tee.Platform
	more     map[string]Command
	accepted atomic.Int64
}

// acceptLanes serves each lane in turn, and on its own.
func (s *server) acceptLanes() {
	for {
		l, err := s.platform.AcceptLane()
		if err != nil {
			return
		}
		s.accepted.Add(1)
		go func() {
			serve(l.Bell, laneCommand(l)) // ends with the lane
			l.Bell.Close()
			l.Release()
		}()
	}
}

// command answers a line of the control stream.
func (s *server) command(name string, args []string) (string, error) {
	arg := func(i int) string {
		if i < len(args) {
			return args[i]
		}
		return ""
	}
	switch name {
	case "echo":
		return strings.Join(args, " "), nil
	case "name":
		return s.platform.Name(), nil
	case "identity":
		b, err := json.Marshal(s.platform.Identity())
		return string(b), err
	case "lanes":
		return strconv.FormatInt(s.accepted.Load(), 10), nil
	case "exit":
		code, err := strconv.Atoi(arg(0))
		if err != nil {
			return "", err
		}
		os.Exit(code)
	case "panic":
		go panic(strings.Join(args, " "))
		select {}
	case "sealingkey":
		return s.sealingKey(arg(0), arg(1), arg(2))
	case "evidence":
		return s.evidence(arg(0))
	case "counter", "increment":
		return s.counter(name, arg(0))
	case "secret":
		return s.secret(arg(0))
	}
	if c := s.more[name]; c != nil {
		return c(args)
	}
	return "", fmt.Errorf("unknown command %q", name)
}

func (s *server) sealingKey(policy, version, salt string) (string, error) {
	keys, ok := s.platform.(tee.SealingKeys)
	if !ok {
		return "", errors.ErrUnsupported
	}
	p, err := strconv.ParseUint(policy, 10, 8)
	if err != nil {
		return "", err
	}
	v, err := strconv.ParseUint(version, 10, 32)
	if err != nil {
		return "", err
	}
	var b [32]byte
	copy(b[:], salt)
	key, err := keys.SealingKey(tee.Policy(p), uint32(v), b)
	if err != nil {
		return "", err
	}
	return hex.EncodeToString(key[:]), nil
}

func (s *server) evidence(data string) (string, error) {
	attester, ok := s.platform.(tee.Attester)
	if !ok {
		return "", errors.ErrUnsupported
	}
	var b [64]byte
	copy(b[:], data)
	e, err := attester.Evidence(b)
	return hex.EncodeToString(e), err
}

func (s *server) counter(what, id string) (string, error) {
	counters, ok := s.platform.(tee.Counters)
	if !ok {
		return "", errors.ErrUnsupported
	}
	f := counters.Counter
	if what == "increment" {
		f = counters.Increment
	}
	v, err := f(id)
	return strconv.FormatUint(v, 10), err
}

// secret gets secret memory, looks whether it is zero, and uses it.
func (s *server) secret(size string) (string, error) {
	secrets, ok := s.platform.(tee.SecretMemory)
	if !ok {
		return "", errors.ErrUnsupported
	}
	n, err := strconv.Atoi(size)
	if err != nil {
		return "", err
	}
	mem, free, err := secrets.Secret(n)
	if err != nil {
		return "", err
	}
	defer free()
	for i := range mem {
		if mem[i] != 0 {
			return "", fmt.Errorf("byte %d is not zero", i)
		}
		mem[i] = byte(i)
	}
	return strconv.Itoa(len(mem)), nil
}

// laneCommand answers lines of a lane's bell.
func laneCommand(l *tee.Lane) func(name string, args []string) (string, error) {
	return func(name string, args []string) (string, error) {
		switch name {
		case "echo":
			return strings.Join(args, " "), nil
		case "size":
			return strconv.Itoa(len(l.Mem)), nil
		case "futex":
			return strconv.FormatBool(l.Futex), nil
		case "peek", "poke":
		default:
			return "", fmt.Errorf("unknown command %q", name)
		}
		if len(args) != 2 {
			return "", errors.New("two arguments expected")
		}
		at, err := strconv.Atoi(args[0])
		if err != nil || at < 0 || at > len(l.Mem) {
			return "", fmt.Errorf("bad offset %q", args[0])
		}
		if name == "poke" {
			copy(l.Mem[at:], args[1])
			return "", nil
		}
		n, err := strconv.Atoi(args[1])
		if err != nil || n < 0 || n > len(l.Mem)-at {
			return "", fmt.Errorf("bad length %q", args[1])
		}
		return string(l.Mem[at : at+n]), nil
	}
}
