// Package peer holds what calls into an enclave are compared with: an echo
// service over Unix stream sockets and one over gRPC, each with its client and
// its server in processes of their own, and the burners that compete with
// everybody for the processors. All run in this very program, started again
// under another role.
package peer

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"syscall"

	"github.com/secgear/secgear/bench/internal/drive"
)

// roleVariable tells a process of this program what it is.
const roleVariable = "SECGEAR_BENCH_ROLE"

// Callers is how many calls the peers can have in flight at a time.
const Callers = 16

// Sizes of what is echoed, in bytes.
const (
	Small  = 64
	Medium = 4 << 10
	Large  = 1 << 20
)

// The roles.
const (
	socketClient = "unix socket client"
	socketServer = "unix socket server"
	grpcClient   = "grpc client"
	grpcServer   = "grpc server"
	burner       = "burner"
)

// Main runs the role that this process was started for, or one of own, and
// exits; without a role it returns at once. Programs call it first.
func Main(own map[string]func() error) {
	role := os.Getenv(roleVariable)
	if role == "" {
		return
	}
	signal.Ignore(syscall.SIGINT, syscall.SIGTERM) // the driver decides when it ends
	run := own[role]
	for name, f := range map[string]func() error{
		socketClient: runSocketClient,
		socketServer: runSocketServer,
		grpcClient:   runGRPCClient,
		grpcServer:   runGRPCServer,
		burner:       runBurner,
		siteServer:   runSiteServer,
		siteClient:   runSiteClient,
	} {
		if name == role {
			run = f
		}
	}
	if run == nil {
		fmt.Fprintf(os.Stderr, "no role %q\n", role)
		os.Exit(2)
	}
	if err := run(); err != nil {
		fmt.Fprintf(os.Stderr, "%s: %v\n", role, err)
		os.Exit(1)
	}
	os.Exit(0)
}

// Self is a command that runs this program under role, with files as its
// descriptors from 3 on.
func Self(role string, files ...*os.File) *exec.Cmd {
	cmd := exec.Command("/proc/self/exe")
	cmd.Args[0] = role
	cmd.Env = append(os.Environ(), roleVariable+"="+role)
	cmd.ExtraFiles = files
	return cmd
}

// Peer is a client and its server.
type Peer struct {
	*drive.Process // the client, which is what one drives
	server         *drive.Process
}

// Placement is where client and server run; empty means anywhere.
type Placement struct {
	Name           string
	Client, Server []int
}

// Placements are the ones worth trying on processors a and b.
func Placements(a, b int) []Placement {
	return []Placement{
		{Name: "one processor", Client: []int{a}, Server: []int{a}},
		{Name: "two processors", Client: []int{a}, Server: []int{b}},
		{Name: "unpinned", Client: []int{a, b}, Server: []int{a, b}},
	}
}

// Socket starts the echo service over Unix sockets.
func Socket(at Placement) (*Peer, error) {
	return start("unix socket, "+at.Name, socketClient, socketServer, Callers, at)
}

// GRPC starts the echo service over gRPC.
func GRPC(at Placement) (*Peer, error) {
	return start("gRPC, "+at.Name, grpcClient, grpcServer, 1, at)
}

// Burner starts a process that, between the works "burn" and "rest", uses all
// of one processor.
func Burner(cpu int) (*drive.Process, error) {
	return drive.Start("burner", Self(burner), []int{cpu})
}

// addressVariable tells a client where its server listens.
const addressVariable = "SECGEAR_BENCH_ADDRESS"

// start runs client and server, joined by conns sockets without a name. The
// server also gets a socket to listen on, of which the client knows the address.
func start(name, client, server string, conns int, at Placement) (*Peer, error) {
	var ours, theirs []*os.File
	defer func() {
		for _, f := range append(ours, theirs...) {
			f.Close()
		}
	}()
	for range conns {
		fds, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
		if err != nil {
			return nil, fmt.Errorf("%s: making a socket: %w", name, err)
		}
		ours = append(ours, os.NewFile(uintptr(fds[0]), "client"))
		theirs = append(theirs, os.NewFile(uintptr(fds[1]), "server"))
	}
	ln, err := net.ListenUnix("unix", &net.UnixAddr{Net: "unix"}) // the system picks an abstract name
	if err != nil {
		return nil, fmt.Errorf("%s: listening: %w", name, err)
	}
	defer ln.Close()
	f, err := ln.File()
	if err != nil {
		return nil, fmt.Errorf("%s: listening: %w", name, err)
	}
	theirs = append(theirs, f)
	s, err := drive.Start(name+" server", Self(server, theirs...), at.Server)
	if err != nil {
		return nil, err
	}
	cmd := Self(client, ours...)
	cmd.Env = append(cmd.Env, addressVariable+"="+ln.Addr().String())
	c, err := drive.Start(name, cmd, at.Client)
	if err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return &Peer{c, s}, nil
}

// Close ends both.
func (p *Peer) Close() error { return errors.Join(p.Process.Close(), p.server.Close()) }
