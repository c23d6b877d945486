// Package build makes enclave images from Go packages, reproducibly: the same
// source, module versions, target and Go version give the same bytes on any
// machine, in any directory, with or without version control.
//
// It runs the go command, in an environment of its own: nothing that changes
// what the compiler and linker write is taken from the caller's environment or
// from "go env -w". Of the caller's settings only those hold that say where
// modules come from and where caches are. Workspaces (go.work) are not used:
// what an enclave is made of stands in its own go.mod.
package build

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"github.com/secgear/secgear/internal/gooutput"
	"github.com/secgear/secgear/internal/process"
	"github.com/secgear/secgear/internal/tempdir"
	"github.com/secgear/secgear/sdk/image"
	"github.com/secgear/secgear/sdk/image/imagefile"
)

// ManifestFile is the name of the manifest beside an enclave's source.
const ManifestFile = "secgear.json"

// ErrNoManifest: there is no manifest where one is looked for.
var ErrNoManifest = errors.New("no manifest")

// Options say what is built, and for which machine. The zero value builds the
// package in the current directory for the machine at hand.
type Options struct {
	// Dir is the directory of the enclave's package main.
	Dir string

	// Arch is the target's GOARCH: amd64, arm64 or riscv64; empty means this
	// machine's.
	Arch string

	// Tags are build tags.
	Tags []string

	// GoVersion, as "go1.26.8", selects the Go version to build with, which is
	// downloaded if need be. Empty takes the one that the go command selects in
	// Dir.
	GoVersion string

	// Manifest is the image's manifest; nil reads the file [ManifestFile] in
	// Dir. Zero fields take their defaults.
	Manifest *image.Manifest

	// Key, unless zero, encrypts the program: see [imagefile.Encrypt].
	Key image.Key

	// Output receives what the go command says while it works, downloads for
	// example. It may be nil. Compilers' errors are in the error as well.
	Output io.Writer
}

// Image builds the unsigned image of an enclave. When ctx ends, the go command
// is stopped. Nothing is left behind in any case, caches aside.
func Image(ctx context.Context, o Options) ([]byte, error) {
	m := o.Manifest
	if m == nil {
		read, err := ReadManifest(filepath.Join(o.Dir, ManifestFile))
		if err != nil {
			return nil, err
		}
		m = &read
	}
	if err := m.WithDefaults().Validate(); err != nil {
		return nil, fmt.Errorf("checking manifest: %w", err)
	}
	program, err := Program(ctx, o)
	if err != nil {
		return nil, err
	}
	img, err := imagefile.Build(*m, program)
	if err != nil || o.Key.IsZero() {
		return img, err
	}
	return imagefile.Encrypt(img, o.Key)
}

// ReadManifest reads the manifest in the named file and validates it. The
// error for a missing file matches [ErrNoManifest].
func ReadManifest(name string) (image.Manifest, error) {
	data, err := os.ReadFile(name)
	if errors.Is(err, os.ErrNotExist) {
		return image.Manifest{}, fmt.Errorf("reading manifest: %w: %w", ErrNoManifest, err)
	}
	if err != nil {
		return image.Manifest{}, fmt.Errorf("reading manifest: %w", err)
	}
	m, err := image.ParseManifest(data)
	if err != nil {
		return image.Manifest{}, fmt.Errorf("reading manifest %s: %w", name, err)
	}
	if err := m.WithDefaults().Validate(); err != nil {
		return image.Manifest{}, fmt.Errorf("checking manifest %s: %w", name, err)
	}
	return m, nil
}

// Program compiles the enclave's program without making an image of it.
func Program(ctx context.Context, o Options) ([]byte, error) {
	arch := o.Arch
	if arch == "" {
		arch = runtime.GOARCH
	}
	level, ok := levels[arch]
	if !ok {
		return nil, fmt.Errorf("compiling enclave: architecture %q is none of amd64, arm64, riscv64", arch)
	}
	tool, err := findTool(ctx, o)
	if err != nil {
		return nil, fmt.Errorf("compiling enclave: %w", err)
	}
	tool.env = append(tool.env, "GOARCH="+arch, level)
	program, err := tool.compile(ctx, o)
	if err != nil {
		return nil, fmt.Errorf("compiling enclave in %s: %w", dirName(o.Dir), err)
	}
	return program, nil
}

// levels pins the instruction set per GOARCH to what every such machine has.
var levels = map[string]string{
	"amd64":   "GOAMD64=v1",
	"arm64":   "GOARM64=v8.0",
	"riscv64": "GORISCV64=rva20u64",
}

// kept are the settings of the go command that don't change what it builds,
// but where it finds things.
var kept = []string{
	"GOAUTH", "GOCACHE", "GOCACHEPROG", "GOINSECURE", "GOMODCACHE", "GONOPROXY", "GONOSUMDB",
	"GOPATH", "GOPRIVATE", "GOPROXY", "GOSUMDB", "GOTMPDIR", "GOVCS",
}

// tool is a go command and the environment it runs in.
type tool struct {
	path string
	env  []string
	work string // the go.work file that is being ignored, or empty
}

// findTool asks the go command in PATH for the Go version to build with and
// for the caller's settings.
func findTool(ctx context.Context, o Options) (*tool, error) {
	path, err := exec.LookPath("go")
	if err != nil {
		return nil, fmt.Errorf("finding Go: %w", err)
	}
	ask := tool{path: path, env: os.Environ()}
	if o.GoVersion != "" {
		ask.env = append(ask.env, "GOTOOLCHAIN="+o.GoVersion)
	}
	out, err := ask.run(ctx, o, append([]string{"env", "-json", "GOROOT", "GOVERSION", "GOWORK"}, kept...)...)
	if err != nil {
		return nil, err
	}
	var settings map[string]string
	if err := json.Unmarshal(out, &settings); err != nil {
		return nil, fmt.Errorf("reading Go's settings: %w", err)
	}
	if v := settings["GOVERSION"]; o.GoVersion != "" && v != o.GoVersion {
		return nil, fmt.Errorf("selecting %s: the go command took %s", o.GoVersion, v)
	}
	return &tool{
		path: filepath.Join(settings["GOROOT"], "bin", "go"+exeSuffix()),
		env:  environment(os.Environ(), settings),
		work: settings["GOWORK"],
	}, nil
}

// environment returns what a reproducible build runs with: the caller's
// variables that are none of Go's, the settings that are kept, and every other
// one fixed.
func environment(caller []string, settings map[string]string) []string {
	env := slices.DeleteFunc(slices.Clone(caller), func(v string) bool {
		return strings.HasPrefix(v, "GO") || strings.HasPrefix(v, "CGO_")
	})
	for _, name := range kept {
		if settings[name] != "" {
			env = append(env, name+"="+settings[name])
		}
	}
	return append(env, "GOENV=off", "GOTOOLCHAIN=local", "GOWORK=off", "GO111MODULE=on", "GOFIPS140=off",
		"GOFLAGS=-trimpath", // not empty, lest a default of the installation count
		"GOOS=linux", "CGO_ENABLED=0")
}

// compile builds the package. When the build information names directories of
// this machine, it builds it again without them: compiled packages are cached,
// so that it costs one more linking.
func (t *tool) compile(ctx context.Context, o Options) ([]byte, error) {
	dir, err := tempdir.New("secgear-build-")
	if err != nil {
		return nil, err
	}
	defer dir.Remove() // a temporary directory
	out := filepath.Join(dir.Path, "program")
	here := *t
	here.env = append(slices.Clip(t.env), "GOTMPDIR="+dir.Path) // go leaves its files behind when interrupted
	t = &here
	if err := t.link(ctx, o, out, ""); err != nil {
		return nil, err
	}
	program, err := os.ReadFile(out)
	if err != nil {
		return nil, err
	}
	info, changed, err := portableInfo(program)
	if err != nil || !changed {
		return program, err
	}
	if err := t.link(ctx, o, out, info); err != nil {
		return nil, err
	}
	return os.ReadFile(out)
}

// link runs go build. If info is not empty it becomes the program's build
// information.
func (t *tool) link(ctx context.Context, o Options, out, info string) error {
	flags := "-s -w -buildid="
	if info != "" {
		quote := `'`
		if strings.Contains(info, quote) {
			quote = `"`
		}
		if strings.Contains(info, quote) {
			return errors.New("build information contains both kinds of quotes")
		}
		flags += " " + quote + "-X=runtime.modinfo=" + info + quote
	}
	args := []string{"build", "-o", out, "-trimpath", "-buildvcs=false", "-buildmode=exe", "-ldflags=" + flags}
	if len(o.Tags) > 0 {
		args = append(args, "-tags="+strings.Join(o.Tags, ","))
	}
	_, err := t.run(ctx, o, append(args, ".")...)
	return err
}

// run runs the go command in o.Dir and returns its standard output. What it
// says on standard error is in the error, if there is one.
func (t *tool) run(ctx context.Context, o Options, args ...string) ([]byte, error) {
	cmd := exec.Command(t.path, args...)
	cmd.Dir, cmd.Env = o.Dir, t.env
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if o.Output != nil {
		cmd.Stderr = io.MultiWriter(&stderr, o.Output)
	}
	err := process.Run(ctx, cmd)
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	if err != nil {
		return nil, t.explain(args[0], err, gooutput.From(o.Dir, stderr.String()))
	}
	return stdout.Bytes(), nil
}

// explain makes an error from what the go command said.
func (t *tool) explain(command string, err error, said string) error {
	err = fmt.Errorf("go %s: %w", command, err)
	if said = strings.TrimSpace(said); said != "" {
		err = fmt.Errorf("%w\n%s", err, said)
	}
	if t.work != "" && strings.Contains(said, "no required module provides package") {
		err = fmt.Errorf("%w\n(%s is not used for enclaves: write its replacements into go.mod)", err, t.work)
	}
	return err
}

// dirName returns dir as people know it.
func dirName(dir string) string {
	if dir == "" {
		return "."
	}
	return dir
}

func exeSuffix() string {
	if runtime.GOOS == "windows" {
		return ".exe"
	}
	return ""
}
