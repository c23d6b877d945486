package main

import (
	"bytes"
	"context"
	"errors"
	"maps"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/secgear/secgear/bench/echo"
	"github.com/secgear/secgear/bench/internal/drive"
	"github.com/secgear/secgear/bench/internal/peer"
	"github.com/secgear/secgear/sdk/host"
	"github.com/secgear/secgear/sdk/tee/all"
)

const (
	candidateRole = "secgear"
	dirVariable   = "SECGEAR_BENCH_DIR"
)

// candidate is the command that loads the image in dir and calls it, with its
// state in dir, too. In the end it removes dir, so that nothing is left if its
// driver was killed.
func candidate(dir string) *exec.Cmd {
	cmd := peer.Self(candidateRole)
	cmd.Env = append(cmd.Env, dirVariable+"="+dir, "SECGEAR_STATE="+filepath.Join(dir, "state"))
	return cmd
}

// load starts an enclave in the simulation, everything else by default.
// socket is where it can be attached to.
func load(ctx context.Context, socket string) (*host.Enclave, error) {
	return host.Load(ctx, filepath.Join(os.Getenv(dirVariable), imageFile), host.Options{Backends: all.Backends(), TEE: "sim", Socket: socket})
}

// runCandidate calls the enclave as its driver asks it to.
func runCandidate() (err error) {
	defer func() { err = errors.Join(err, os.RemoveAll(os.Getenv(dirVariable))) }()
	ctx := context.Background()
	e, err := load(ctx, filepath.Join(os.Getenv(dirVariable), socketFile))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, e.Close()) }()
	works, err := candidateWorks(ctx, e)
	if err != nil {
		return err
	}
	s := new(site)
	defer func() { err = errors.Join(err, s.close()) }()
	works[peer.SitePort] = func(time.Duration) ([]float64, error) { return s.open(ctx) }
	works["start"] = func(time.Duration) ([]float64, error) { return start(ctx) }
	return drive.Serve(os.Stdin, os.Stdout, works)
}

// start measures how long an enclave takes to be ready.
func start(ctx context.Context) ([]float64, error) {
	begin := time.Now()
	e, err := load(ctx, "none")
	took := time.Since(begin)
	if err != nil {
		return nil, err
	}
	return []float64{float64(took)}, e.Close()
}

// candidateWorks is all that is measured of a loaded enclave.
func candidateWorks(ctx context.Context, e *host.Enclave) (map[string]drive.Work, error) {
	c := caller{ctx, echo.NewEchoerClient(e)}
	zeroCopy, err := newInverter(c, e)
	if err != nil {
		return nil, err
	}
	pieces, err := newPipeline(c, e)
	if err != nil {
		return nil, err
	}
	works := map[string]drive.Work{
		"rtt64":          drive.Calls(32, c.echo64),
		"rtt4k":          drive.Calls(8, c.echo(peer.Medium)),
		"rtt1m":          drive.Calls(1, pieces.echo),
		"rtt1m_copied":   drive.Calls(1, c.echo(peer.Large)),
		"rtt1m_zerocopy": drive.Calls(1, zeroCopy.invert),
		"throughput16":   drive.Together(peer.Callers, 32, func(_, n int) error { return c.echo64(n) }),
		"batch16":        drive.Calls(4*batch, c.batches),
		"pauses_host":    c.hostPauses,
		"pauses_enclave": c.enclavePauses,
		"allocations":    c.allocations,
	}
	maps.Copy(works, peer.StreamWorks(func() (net.Conn, error) { return e.Dial(ctx, echo.Stream) }))
	return works, nil
}

var errDiffers = errors.New("the echo differs")

// caller makes the calls.
type caller struct {
	ctx context.Context
	to  echo.EchoerClient
}

// echo64 makes n calls, one after the other.
func (c caller) echo64(n int) error {
	data := [peer.Small]byte{0: 1, peer.Small - 1: 2}
	for i := range n {
		data[1] = byte(i)
		back, err := c.to.Echo64(c.ctx, data)
		if err != nil {
			return err
		}
		if back != data {
			return errDiffers
		}
	}
	return nil
}

// echo makes calls with size bytes. What came back is looked at after the last.
func (c caller) echo(size int) func(n int) error {
	data := make([]byte, size)
	for i := range data {
		data[i] = byte(i)
	}
	return func(n int) error {
		var back []byte
		for range n {
			var err error
			if back, err = c.to.Echo(c.ctx, data); err != nil {
				return err
			}
		}
		if !bytes.Equal(back, data) {
			return errDiffers
		}
		return nil
	}
}

// batch is how many calls are started before the first is waited for.
const batch = 16

// batches makes n calls in batches, n being a multiple of batch.
func (c caller) batches(n int) error {
	data := [peer.Small]byte{0: 1, peer.Small - 1: 2}
	var calls [batch]echo.EchoerEcho64Call
	for range n / batch {
		for i := range calls {
			data[1] = byte(i)
			calls[i] = c.to.StartEcho64(c.ctx, data)
		}
		var failed error
		for i := range calls {
			data[1] = byte(i)
			if back, err := calls[i].Wait(); err != nil {
				failed = err
			} else if back != data {
				failed = errDiffers
			}
		}
		if failed != nil {
			return failed
		}
	}
	return nil
}
