package main

import (
	"bytes"
	"crypto"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"github.com/secgear/secgear/internal/atomicfile"
	"github.com/secgear/secgear/internal/gooutput"
	"github.com/secgear/secgear/internal/process"
	"github.com/secgear/secgear/internal/tempdir"
	"github.com/secgear/secgear/internal/terminal"
	"github.com/secgear/secgear/sdk/image"
	"github.com/secgear/secgear/sdk/image/build"
	"github.com/secgear/secgear/sdk/image/imagefile"
)

// Variables that tell a host program what to load.
const (
	imageVariable = "SECGEAR_IMAGE"
	teeVariable   = "SECGEAR_TEE"
	keyVariable   = "SECGEAR_IMAGE_KEY"
)

// project is where the two programs of a project are.
type project struct{ enclave, host string }

func runRun(i *invocation) error {
	tee := i.flags.String("tee", "", "run the enclave in the `TEE` of this name, or in the strongest there is: auto")
	keyFile := i.flags.String("image-key", "", "encrypt the enclave with the image key in `file`, and have the host load it with that")
	arch := i.flags.String("arch", runtime.GOARCH, "build the enclave for `architecture` amd64, arm64 or riscv64")
	hostDir := i.flags.String("host", "", "the host program is the package in `dir` (default: host, beside the enclave)")
	var hostArgs []string
	if n := slices.Index(i.args, "--"); n >= 0 {
		i.args, hostArgs = i.args[:n], i.args[n+1:]
	}
	args, err := i.parse(0, 1)
	if err != nil {
		return err
	}
	p, err := findProject(strings.Join(args, ""), *hostDir)
	if err != nil {
		return err
	}
	dir, err := tempdir.New("secgear-run-")
	if err != nil {
		return err
	}
	status, err := i.runProject(p, dir.Path, *arch, *tee, *keyFile, hostArgs)
	if left := dir.Remove(); err == nil && left != nil {
		err = fmt.Errorf("cleaning up: %w", left)
	}
	if err == nil && status != 0 {
		err = exitStatus(status)
	}
	return err
}

// findProject finds the enclave in dir, or in the directory "enclave" there, and
// the host program beside it.
func findProject(dir, host string) (project, error) {
	if dir == "" {
		dir = "."
	}
	p := project{enclave: filepath.Join(dir, "enclave"), host: host}
	if exists(filepath.Join(dir, build.ManifestFile)) {
		p.enclave = dir
	}
	if p.host == "" {
		p.host = filepath.Join(p.enclave, "..", "host")
	}
	if !exists(filepath.Join(p.enclave, build.ManifestFile)) {
		err := fmt.Errorf("finding the project in %s: no enclave: %s is missing", dir, filepath.Join(p.enclave, build.ManifestFile))
		return p, hint(err, "run this in a project's directory, or name it; secgear new makes one")
	}
	if !exists(p.host) {
		err := fmt.Errorf("finding the project in %s: no host program: %s is missing", dir, p.host)
		return p, hint(err, "name the host program's directory with --host")
	}
	return p, nil
}

func exists(name string) bool {
	_, err := os.Stat(name)
	return !errors.Is(err, fs.ErrNotExist)
}

// runProject builds both programs in the directory temp, runs the host and
// returns its exit status.
func (i *invocation) runProject(p project, temp, arch, tee, keyFile string, args []string) (int, error) {
	key, err := signingKey("dev")
	if err != nil {
		return 0, err
	}
	var imageKey image.Key
	if keyFile != "" {
		if imageKey, err = readImageKey(keyFile); err != nil {
			return 0, err
		}
		defer imageKey.Wipe()
		if keyFile, err = filepath.Abs(keyFile); err != nil { // the host may be at home elsewhere
			return 0, fmt.Errorf("naming the image key: %w", err)
		}
	}
	img, err := i.buildInto(temp, build.Options{Dir: p.enclave, Arch: arch, Key: imageKey}, key)
	if err != nil {
		return 0, err
	}
	program, err := i.buildHost(temp, p.host)
	if err != nil {
		return 0, err
	}
	cmd := exec.Command(program, args...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, i.stdout, i.stderr
	cmd.Env = append(os.Environ(), imageVariable+"="+img)
	if tee != "" {
		cmd.Env = append(cmd.Env, teeVariable+"="+tee)
	}
	if keyFile != "" {
		cmd.Env = append(cmd.Env, keyVariable+"="+keyFile)
	}
	return i.follow(cmd)
}

// buildInto builds the enclave, signs it and returns the image's name.
func (i *invocation) buildInto(temp string, o build.Options, key crypto.Signer) (string, error) {
	data, err := i.buildImage(o, key)
	if err != nil {
		return "", err
	}
	f, err := imagefile.Parse(data)
	if err != nil {
		return "", err
	}
	i.warnDebug(f)
	name := filepath.Join(temp, f.Manifest.Name+".sgi")
	return name, atomicfile.Write(name, data, 0o600)
}

// buildHost builds the host program and returns its name. It is an ordinary
// program: the caller's Go settings count.
func (i *invocation) buildHost(temp, dir string) (string, error) {
	done := terminal.Progress(i.stderr, "building the host")
	defer done()
	abs, err := filepath.Abs(dir)
	if err != nil {
		return "", fmt.Errorf("building the host: %w", err)
	}
	name := filepath.Join(temp, filepath.Base(abs))
	cmd := exec.Command("go", "build", "-o", name, ".")
	cmd.Dir = dir
	if os.Getenv("GOTMPDIR") == "" { // go leaves its files behind when interrupted
		cmd.Env = append(os.Environ(), "GOTMPDIR="+temp)
	}
	var said bytes.Buffer
	cmd.Stderr = &said
	if err := process.Run(i, cmd); err != nil {
		return "", fmt.Errorf("building the host in %s: go build: %w\n%s", dir, err, strings.TrimSpace(gooutput.From(dir, said.String())))
	}
	return name, nil
}

// follow runs cmd to its end, hands it the signals that arrive meanwhile, and
// returns its exit status. Where the kernel can, cmd does not outlive us.
func (i *invocation) follow(cmd *exec.Cmd) (int, error) {
	runtime.LockOSThread() // whose end the kernel takes for ours
	defer runtime.UnlockOSThread()
	endWithUs(cmd)
	signals := make(chan os.Signal, 16)
	signal.Notify(signals, forwarded...)
	defer signal.Stop(signals)
	if err := i.Err(); err != nil { // it arrived before we listened
		return 0, err
	}
	if err := cmd.Start(); err != nil {
		return 0, fmt.Errorf("running the host: %w", err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	for {
		select {
		case s := <-signals:
			if typed(s) && terminal.Foreground() {
				continue // the terminal sent it to both of us
			}
			if err := cmd.Process.Signal(s); err != nil && !errors.Is(err, os.ErrProcessDone) {
				fmt.Fprintf(i.stderr, "secgear: passing on %v: %v\n", s, err)
			}
		case err := <-ended:
			var exit *exec.ExitError
			if err == nil || errors.As(err, &exit) {
				return exitCode(cmd.ProcessState), nil
			}
			return 0, fmt.Errorf("running the host: %w", err)
		}
	}
}
