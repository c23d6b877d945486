package main

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"

	"github.com/secgear/secgear/bench/echo"
	"github.com/secgear/secgear/bench/internal/drive"
	"github.com/secgear/secgear/bench/internal/limit"
)

// socketFile is the enclave's socket in the benchmark's directory.
const socketFile = "socket"

// openAttached builds and starts the C program whose processes attach to the
// enclave. Without a compiler its lines are missed, and say why.
func (s *stage) openAttached(ctx context.Context, c *cast, dir string, a, b int) error {
	cc, err := limit.Compiler()
	if errors.Is(err, limit.ErrNoCompiler) {
		return nil // openLimit has said so
	}
	if err != nil {
		return err
	}
	source, err := sourceDir(ctx, images[imageFile])
	if err != nil {
		return err
	}
	root := filepath.Join(source, "..", "..", "..")
	library, bin := filepath.Join(root, "sdk", "c"), filepath.Join(dir, "attached")
	out, err := exec.CommandContext(ctx, cc, "-std=c11", "-O2", "-I", library, "-o", bin,
		filepath.Join(root, "bench", "calls", "c", "attached.c"), filepath.Join(library, "secgear.c"), "-lpthread").CombinedOutput()
	if err != nil {
		return fmt.Errorf("compiling the C program with %s: %w\n%s", cc, err, out)
	}
	p, err := drive.Start(attachedC, exec.Command(bin, filepath.Join(dir, socketFile), fmt.Sprint(echo.ContractID())), []int{a, b})
	if err != nil {
		return err
	}
	c.add(p.Close)
	s.peers[attachedC] = []contender{p}
	return nil
}
