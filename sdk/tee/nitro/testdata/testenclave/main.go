// Command testenclave is the enclave of the Nitro backend's tests: that of the
// conformance suite, which also speaks with the Nitro Secure Module.
package main

import (
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"strconv"

	"github.com/secgear/secgear/sdk/tee/nitro/guest"
	"github.com/secgear/secgear/sdk/tee/nitro/guest/nsm"
	"github.com/secgear/secgear/sdk/tee/teetest/testenclave"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(3)
	}
}

func run() error {
	p, ok, err := guest.Start()
	if err != nil {
		return err
	}
	if !ok {
		return errors.New("not launched in a Nitro Enclave")
	}
	return testenclave.Serve(p, map[string]testenclave.Command{
		"pcr":    withModule(pcr),
		"extend": withModule(extend),
		"lock":   withModule(lock),
		"attest": withModule(attest),
		"repeat": func(args []string) (string, error) {
			n, err := strconv.Atoi(args[0])
			return string(make([]byte, n)), err
		},
		"random": withModule(func(s *nsm.Session, _ []string) (string, error) {
			b, err := s.Random()
			return hex.EncodeToString(b), err
		}),
	})
}

// withModule is a command that speaks with the module.
func withModule(f func(*nsm.Session, []string) (string, error)) testenclave.Command {
	return func(args []string) (string, error) {
		s, err := nsm.Open()
		if err != nil {
			return "", err
		}
		defer s.Close()
		return f(s, args)
	}
}

func index(args []string) (uint8, error) {
	if len(args) == 0 {
		return 0, errors.New("which register?")
	}
	n, err := strconv.ParseUint(args[0], 10, 8)
	return uint8(n), err
}

func pcr(s *nsm.Session, args []string) (string, error) {
	n, err := index(args)
	if err != nil {
		return "", err
	}
	p, err := s.Describe(n)
	return fmt.Sprintf("%x %v", p.Value, p.Locked), err
}

func extend(s *nsm.Session, args []string) (string, error) {
	n, err := index(args)
	if err != nil || len(args) != 2 {
		return "", errors.Join(err, errors.New("extend REGISTER DATA"))
	}
	p, err := s.Extend(n, []byte(args[1]))
	return fmt.Sprintf("%x %v", p.Value, p.Locked), err
}

func lock(s *nsm.Session, args []string) (string, error) {
	n, err := index(args)
	if err != nil {
		return "", err
	}
	return "", s.Lock(n)
}

// attest asks for a document with key, data and nonce.
func attest(s *nsm.Session, args []string) (string, error) {
	if len(args) != 3 {
		return "", errors.New("attest KEY DATA NONCE")
	}
	d, err := s.Attest([]byte(args[0]), []byte(args[1]), []byte(args[2]))
	return hex.EncodeToString(d), err
}
