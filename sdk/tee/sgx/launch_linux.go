package sgx

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/secgear/secgear/sdk/image"
	"github.com/secgear/secgear/sdk/tee"
)

// Gramine's programs.
const (
	sgxProgram    = "gramine-sgx"
	directProgram = "gramine-direct"
	signProgram   = "gramine-sgx-sign"
)

// memoryDir is where a launch's folder is: files in there are memory.
const memoryDir = "/dev/shm"

// Launch implements [tee.Backend].
func (b Backend) Launch(ctx context.Context, img *image.Image, cfg tee.LaunchConfig) (tee.Instance, error) {
	i, err := b.launch(ctx, img, cfg)
	if err != nil {
		return nil, fmt.Errorf("launching %s in %s: %w", img.Manifest.Name, b.Name(), err)
	}
	return i, nil
}

func (b Backend) launch(ctx context.Context, img *image.Image, cfg tee.LaunchConfig) (*instance, error) {
	libOS, err := FindLibOS(b.gramine())
	if err != nil {
		return nil, err
	}
	layout, err := Lay(img, b.Name(), libOS)
	if err != nil {
		return nil, err
	}
	dir, err := newFolder()
	if err != nil {
		return nil, err
	}
	if err := b.prepare(ctx, img, layout, dir.path); err != nil {
		return nil, errors.Join(err, dir.remove())
	}
	i, err := b.start(img, dir, cfg)
	if err != nil {
		return nil, errors.Join(err, dir.remove())
	}
	if err := i.greet(ctx); err != nil {
		return nil, errors.Join(err, i.Close())
	}
	return i, nil
}

func (b Backend) gramine() string {
	if b.Gramine == "" {
		return GramineDir
	}
	return b.Gramine
}

// signing returns where the signature is to come from: at most one is not empty.
func (b Backend) signing() (key, signed string) {
	if b.Key == "" && b.Signed == "" {
		if signed = os.Getenv(signedVariable); signed != "" {
			return "", signed
		}
		return os.Getenv(keyVariable), ""
	}
	if b.Signed != "" {
		return "", b.Signed
	}
	return b.Key, ""
}

// prepare writes what Gramine starts from into the folder dir.
func (b Backend) prepare(ctx context.Context, img *image.Image, l *Layout, dir string) error {
	if err := l.Write(dir); err != nil {
		return err
	}
	if err := os.Mkdir(filepath.Join(dir, lanesDir), 0o700); err != nil || b.Direct {
		return err
	}
	key, signed := b.signing()
	switch {
	case signed != "":
		s, err := ReadSigned(img, signed)
		if err != nil {
			return err
		}
		return errors.Join(
			os.WriteFile(filepath.Join(dir, signedFile), s.Manifest, 0o400),
			os.WriteFile(filepath.Join(dir, sigFile), s.Sigstruct.Encode(), 0o400))
	case key != "":
		return sign(ctx, img, dir, key)
	}
	return fmt.Errorf("there is neither a signed enclave nor a key to sign with: set %s or %s, see docs/sgx.md", signedVariable, keyVariable)
}

// sign has Gramine measure and sign what is in the folder dir.
func sign(ctx context.Context, img *image.Image, dir, key string) error {
	key, err := filepath.Abs(key)
	if err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, signProgram, "--key", key, "--manifest", manifestFile, "--output", signedFile, "--sigfile", sigFile, "--date", "0000-00-00")
	cmd.Dir = dir
	said, err := cmd.CombinedOutput()
	if err != nil {
		return fmt.Errorf("signing: %s: %w: %.500s", signProgram, err, strings.TrimSpace(string(said)))
	}
	_, err = ReadSigned(img, dir)
	return err
}

// start runs Gramine in its folder.
func (b Backend) start(img *image.Image, dir *folder, cfg tee.LaunchConfig) (*instance, error) {
	name := sgxProgram
	if b.Direct {
		name = directProgram
	}
	path, err := exec.LookPath(name)
	if err != nil {
		return nil, fmt.Errorf("finding Gramine: %w", err)
	}
	ours, theirs, err := socketPair()
	if err != nil {
		return nil, err
	}
	defer theirs.Close()
	stderr, output, err := os.Pipe()
	if err != nil {
		return nil, errors.Join(err, ours.Close())
	}
	defer output.Close()
	cmd := exec.Command(path, programFile)
	cmd.Dir, cmd.Env = dir.path, []string{"PATH=" + os.Getenv("PATH")}
	cmd.Stdin, cmd.Stdout, cmd.Stderr = theirs, theirs, output
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	proc, err := startProcess(cmd)
	if err != nil {
		return nil, errors.Join(err, ours.Close(), stderr.Close())
	}
	return newInstance(proc, b, img.Manifest, dir, ours, stderr, cfg.Log)
}

// process is a child that dies with this process.
type process struct {
	cmd  *exec.Cmd
	done chan struct{} // closed once err is set
	err  error         // of Wait
}

// startProcess starts cmd from a thread that stays as long as it: the kernel takes
// the end of the thread for that of the parent.
func startProcess(cmd *exec.Cmd) (*process, error) {
	p := &process{cmd: cmd, done: make(chan struct{})}
	started := make(chan error)
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		started <- err
		if err == nil {
			p.err = cmd.Wait()
			close(p.done)
		}
	}()
	if err := <-started; err != nil {
		return nil, err
	}
	return p, nil
}

// kill ends the process. It may be called again.
func (p *process) kill() error {
	if err := p.cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	return nil
}

// folder is the folder of one launch.
type folder struct {
	path    string
	janitor *exec.Cmd      // removes it when life ends
	life    io.WriteCloser // ends with this process, however that ends
}

// clean waits for the end of its standard input, and removes its argument.
const clean = `trap "" HUP INT TERM; read -r _; rm -rf -- "$1"`

// newFolder makes a folder that only this user can enter.
func newFolder() (*folder, error) {
	path, err := os.MkdirTemp(memoryDir, "secgear-sgx-")
	if err != nil {
		return nil, err
	}
	f := &folder{path: path, janitor: exec.Command("/bin/sh", "-c", clean, "sh", path)}
	f.janitor.Dir, f.janitor.Env = "/", []string{"PATH=/usr/bin:/bin"}
	f.janitor.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if f.life, err = f.janitor.StdinPipe(); err == nil {
		err = f.janitor.Start()
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("starting what will remove %s: %w", path, err), os.RemoveAll(path))
	}
	return f, nil
}

// remove removes the folder. It is called once.
func (f *folder) remove() error {
	f.life.Close()
	if err := f.janitor.Wait(); err != nil {
		return errors.Join(fmt.Errorf("removing %s: %w", f.path, err), os.RemoveAll(f.path))
	}
	return nil
}

// socketPair makes a pair of connected stream sockets. Gramine's end blocks, as
// standard input does.
func socketPair() (ours net.Conn, theirs *os.File, err error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, nil, fmt.Errorf("making a socket pair: %w", err)
	}
	theirs = os.NewFile(uintptr(fds[1]), "socket")
	f := os.NewFile(uintptr(fds[0]), "socket")
	defer f.Close()
	if ours, err = net.FileConn(f); err != nil {
		return nil, nil, errors.Join(err, theirs.Close())
	}
	return ours, theirs, nil
}
