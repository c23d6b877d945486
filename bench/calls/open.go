package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/secgear/secgear/bench/internal/cpu"
	"github.com/secgear/secgear/bench/internal/drive"
	"github.com/secgear/secgear/bench/internal/limit"
	"github.com/secgear/secgear/bench/internal/peer"
)

// cast collects what must be ended, in the order of its beginning.
type cast struct{ ends []func() error }

func (c *cast) add(end func() error) { c.ends = append(c.ends, end) }

// end ends all, the last first.
func (c *cast) end() error {
	var err error
	for i := len(c.ends) - 1; i >= 0; i-- {
		err = errors.Join(err, c.ends[i]())
	}
	return err
}

// open starts all contenders. What it returns beside the stage ends them and
// leaves nothing behind.
func open(ctx context.Context, stderr io.Writer) (*stage, func() error, error) {
	c := new(cast)
	s := &stage{peers: make(map[string][]contender), stderr: stderr, progress: progress(stderr), times: realTimes}
	if err := s.open(ctx, c); err != nil {
		return nil, nil, errors.Join(err, c.end())
	}
	return s, c.end, nil
}

func (s *stage) open(ctx context.Context, c *cast) error {
	allowed, err := cpu.Allowed()
	if err != nil {
		return err
	}
	a, b, err := cpu.Pair(allowed)
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "secgear-bench-")
	if err != nil {
		return fmt.Errorf("making a directory for the benchmark: %w", err)
	}
	c.add(func() error { return os.RemoveAll(dir) })
	if err := s.openLimit(ctx, c, dir, a, b); err != nil {
		return err
	}
	if err := s.openPeers(c, a, b); err != nil {
		return err
	}
	s.progress("building the enclave")
	if err := buildImages(ctx, dir); err != nil {
		return err
	}
	p, err := drive.Start(ours, candidate(dir), []int{a, b})
	if err != nil {
		return err
	}
	c.add(p.Close)
	s.secgear = p
	return errors.Join(s.openSites(ctx, c, p, a, b), s.openAttached(ctx, c, dir, a, b))
}

// openSites starts clients of the same web site inside an enclave and outside.
func (s *stage) openSites(ctx context.Context, c *cast, candidate *drive.Process, a, b int) error {
	server, err := peer.SiteServer([]int{a, b})
	if err != nil {
		return err
	}
	c.add(server.Close)
	for name, of := range map[string]contender{siteInside: candidate, siteOutside: server} {
		port, err := of.Run(ctx, peer.SitePort, 0)
		if err != nil {
			return err
		}
		client, err := peer.SiteClient(name, int(port[0]), []int{a, b})
		if err != nil {
			return err
		}
		c.add(client.Close)
		s.peers[name] = []contender{client}
	}
	return nil
}

// openLimit builds and starts the C program. Without a compiler the benchmark
// goes on, and says so in the line that it is missed in.
func (s *stage) openLimit(ctx context.Context, c *cast, dir string, a, b int) error {
	bin, err := limit.Build(ctx, dir)
	if errors.Is(err, limit.ErrNoCompiler) {
		s.noLimit = err
		fmt.Fprintf(s.stderr, "calls: %v; the limit is not measured, and regimes can't be told apart\n", err)
		return nil
	}
	if err != nil {
		return err
	}
	p, err := drive.Start("limit", limit.Command(bin, a, b), nil)
	if err != nil {
		return err
	}
	c.add(p.Close)
	s.limit = p
	return nil
}

// openPeers starts every peer in every placement, and a burner per processor.
func (s *stage) openPeers(c *cast, a, b int) error {
	for name, start := range map[string]func(peer.Placement) (*peer.Peer, error){socket: peer.Socket, rpc: peer.GRPC} {
		for _, at := range peer.Placements(a, b) {
			p, err := start(at)
			if err != nil {
				return err
			}
			c.add(p.Close)
			s.peers[name] = append(s.peers[name], p)
		}
	}
	for _, at := range []int{a, b} {
		p, err := peer.Burner(at)
		if err != nil {
			return err
		}
		c.add(p.Close)
		s.burners = append(s.burners, p)
	}
	return nil
}
