package build_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/secgear/secgear/sdk/image"
	"github.com/secgear/secgear/sdk/image/build"
	"github.com/secgear/secgear/sdk/image/imagefile"
)

// write makes the files of a tree.
func write(t *testing.T, dir string, files map[string]string) {
	t.Helper()
	for name, text := range files {
		name = filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// project makes a module with an enclave package and a module beside it that
// replaces a dependency, the way "secgear new" names the checkout: by an
// absolute path. It returns the enclave's directory.
func project(t *testing.T) string {
	t.Helper()
	root := t.TempDir()
	write(t, root, map[string]string{
		"dep/go.mod": "module example.com/dep\n\ngo 1.26\n",
		"dep/dep.go": "package dep\n\nimport \"runtime\"\n\n// Where returns this file's name.\n" +
			"func Where() string { _, file, _, _ := runtime.Caller(0); return file }\n",
		"demo/go.mod": "module example.com/demo\n\ngo 1.26\n\nrequire example.com/dep v0.0.0\n\n" +
			"replace example.com/dep => " + filepath.ToSlash(filepath.Join(root, "dep")) + "\n",
		"demo/enclave/secgear.json": `{"name": "demo", "security_version": 3}`,
		"demo/enclave/main.go": "package main\n\nimport \"example.com/dep\"\n\n" +
			"func main() { println(word, dep.Where()) }\n",
		"demo/enclave/word.go":  "//go:build !other\n\npackage main\n\nconst word = \"one\"\n",
		"demo/enclave/other.go": "//go:build other\n\npackage main\n\nconst word = \"two\"\n",
	})
	return filepath.Join(root, "demo", "enclave")
}

func build1(t *testing.T, o build.Options) *imagefile.File {
	t.Helper()
	data, err := build.Image(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	f, err := imagefile.Parse(data)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// TestReproducible builds the same source in several directories and
// environments.
func TestReproducible(t *testing.T) {
	first := build1(t, build.Options{Dir: project(t)})
	if first.Manifest.Name != "demo" || first.Manifest.SecurityVersion != 3 || first.Manifest.Lanes != image.DefaultLanes {
		t.Errorf("manifest %+v", first.Manifest)
	}
	if first.Arch != runtime.GOARCH {
		t.Errorf("architecture %s", first.Arch)
	}
	same := func(t *testing.T, dir string) {
		t.Helper()
		if f := build1(t, build.Options{Dir: dir}); f.Digest != first.Digest {
			t.Errorf("digest %v instead of %v", f.Digest, first.Digest)
		}
	}
	t.Run("other directory", func(t *testing.T) { same(t, project(t)) })
	t.Run("current directory", func(t *testing.T) {
		t.Chdir(project(t))
		same(t, "")
	})
	t.Run("under git", func(t *testing.T) {
		if _, err := exec.LookPath("git"); err != nil {
			t.Skip("git is missing")
		}
		dir := project(t)
		for _, args := range [][]string{{"init", "-q"}, {"add", "."}, {"-c", "user.name=x", "-c", "user.email=x@example.com", "commit", "-qm", "x"}, {"tag", "v1.2.3"}} {
			cmd := exec.Command("git", args...)
			cmd.Dir = filepath.Dir(dir)
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Fatalf("git %v: %v\n%s", args, err, out)
			}
		}
		same(t, dir)
	})
	t.Run("environment", func(t *testing.T) {
		goenv := filepath.Join(t.TempDir(), "env")
		write(t, "", map[string]string{goenv: "GOAMD64=v2\nGOFLAGS=-tags=other\nCGO_ENABLED=1\n"})
		t.Setenv("GOENV", goenv)
		same(t, project(t))
		for name, value := range map[string]string{
			"GOFLAGS": "-tags=other -gcflags=-N", "GOAMD64": "v3", "GOARM64": "v8.1", "GOEXPERIMENT": "jsonv2", "GOOS": "windows",
			"GOARCH": "386", "CGO_ENABLED": "1", "GOFIPS140": "latest", "GODEBUG": "panicnil=1",
		} {
			t.Setenv(name, value)
		}
		same(t, project(t))
	})
	t.Run("workspace", func(t *testing.T) {
		dir := project(t)
		write(t, filepath.Dir(dir), map[string]string{
			"go.work":       "go 1.26\n\nuse .\n\nreplace example.com/dep => ./other\n",
			"other/go.mod":  "module example.com/dep\n\ngo 1.26\n",
			"other/dep.go":  "package dep\n\n// Where returns nothing.\nfunc Where() string { return \"\" }\n",
			"other/more.go": "package dep\n",
		})
		same(t, dir)
	})
	t.Run("encrypted", func(t *testing.T) {
		key, err := image.NewKey(bytes.Repeat([]byte{1}, image.KeySize))
		if err != nil {
			t.Fatal(err)
		}
		a, b := build1(t, build.Options{Dir: project(t), Key: key}), build1(t, build.Options{Dir: project(t), Key: key})
		if a.Digest != b.Digest || a.Digest == first.Digest || a.Encrypted == nil || a.Encrypted.KeyID != imagefile.KeyIDOf(key) {
			t.Errorf("digests %v and %v, in clear %v", a.Digest, b.Digest, first.Digest)
		}
		got := make([]byte, a.Encrypted.Size)
		if err := imagefile.Decrypt(&image.Image{Manifest: a.Manifest, Encrypted: a.Encrypted, Arch: a.Arch}, key, got); err != nil || !bytes.Equal(got, first.Program) {
			t.Errorf("the program is another one than in clear: %v", err)
		}
	})
	t.Run("tags differ", func(t *testing.T) {
		if f := build1(t, build.Options{Dir: project(t), Tags: []string{"other"}}); f.Digest == first.Digest {
			t.Error("the digest does not")
		}
	})
}

// TestNothingOfThisMachine looks into the program for names of directories.
func TestNothingOfThisMachine(t *testing.T) {
	dir := project(t)
	f := build1(t, build.Options{Dir: dir})
	goroot, err := exec.Command("go", "env", "GOROOT").Output()
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{filepath.Dir(filepath.Dir(dir)), strings.TrimSpace(string(goroot)), os.TempDir() + "/"} {
		if bytes.Contains(f.Program, []byte(name)) {
			t.Errorf("the program contains %q", name)
		}
	}
	info, err := build.Info(f.Program)
	if err != nil {
		t.Fatal(err)
	}
	if info.GoVersion != runtime.Version() || info.Main.Path != "example.com/demo" {
		t.Errorf("build information %+v", info)
	}
	if len(info.Deps) != 1 || info.Deps[0].Path != "example.com/dep" || info.Deps[0].Version != "(devel)" || info.Deps[0].Replace != nil {
		t.Errorf("dependencies %+v", info.Deps)
	}
}

func TestRuns(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("enclaves run on Linux")
	}
	f := build1(t, build.Options{Dir: project(t)})
	name := filepath.Join(t.TempDir(), "program")
	if err := os.WriteFile(name, f.Program, 0o755); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command(name).CombinedOutput()
	if err != nil || string(out) != "one example.com/dep@v0.0.0/dep.go\n" {
		t.Errorf("%s, %v", out, err)
	}
}

func TestArchitectures(t *testing.T) {
	if testing.Short() {
		t.Skip("compiles the standard library for other machines; not in short mode")
	}
	dir := project(t)
	for _, arch := range []string{"amd64", "arm64", "riscv64"} {
		if f := build1(t, build.Options{Dir: dir, Arch: arch}); f.Arch != arch {
			t.Errorf("architecture %s instead of %s", f.Arch, arch)
		}
	}
}

func TestErrors(t *testing.T) {
	m := image.DefaultManifest("demo")
	for _, c := range []struct {
		name  string
		files map[string]string
		o     build.Options
		want  string
	}{
		{"no manifest", map[string]string{"secgear.json": ""}, build.Options{}, "no manifest"},
		{"bad manifest", map[string]string{"secgear.json": `{"name": "Demo", "lanes": -1}`}, build.Options{}, "lanes: -1"},
		{"broken manifest", map[string]string{"secgear.json": `{"name": "demo"`}, build.Options{}, "secgear.json: line 1"},
		{"bad manifest given", nil, build.Options{Manifest: &image.Manifest{}}, "name: missing"},
		{"no package", map[string]string{"main.go": "", "word.go": "", "other.go": ""}, build.Options{Manifest: &m}, "no Go files"},
		{"not main", map[string]string{"main.go": "package demo\n", "word.go": "", "other.go": ""}, build.Options{Manifest: &m}, "requires exactly one main package"},
		{"does not compile", map[string]string{"word.go": "package main\n"}, build.Options{Manifest: &m}, "main.go:5:23: undefined: word"},
		{"architecture", nil, build.Options{Arch: "386"}, `architecture "386"`},
		{"Go version", nil, build.Options{GoVersion: "go1.0.0-none"}, "go1.0.0-none"},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.o.Dir = project(t)
			for name, text := range c.files {
				if text == "" {
					if err := os.Remove(filepath.Join(c.o.Dir, name)); err != nil {
						t.Fatal(err)
					}
					continue
				}
				write(t, c.o.Dir, map[string]string{name: text})
			}
			data, err := build.Image(t.Context(), c.o)
			if err == nil || !strings.Contains(err.Error(), c.want) || data != nil {
				t.Errorf("%d bytes, error %v, want %q", len(data), err, c.want)
			}
			if got, want := errors.Is(err, build.ErrNoManifest), c.name == "no manifest"; got != want {
				t.Errorf("ErrNoManifest %v", got)
			}
		})
	}
}

// TestCancelled checks that a build ends with its context and leaves no
// temporary directory.
func TestCancelled(t *testing.T) {
	temp := t.TempDir()
	t.Setenv("TMPDIR", temp)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := build.Image(ctx, build.Options{Dir: project(t)}); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
	left, err := filepath.Glob(filepath.Join(temp, "secgear-*"))
	if err != nil || len(left) != 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

// TestBuildSettings makes the settings behind a digest visible: whoever changes
// them changes every digest.
func TestBuildSettings(t *testing.T) {
	info, err := build.Info(build1(t, build.Options{Dir: project(t), Arch: "amd64"}).Program)
	if err != nil {
		t.Fatal(err)
	}
	got := fmt.Sprint(info.Settings)
	want := "[{-buildmode exe} {-compiler gc} {-trimpath true} {CGO_ENABLED 0} {GOARCH amd64} {GOOS linux} {GOAMD64 v1}]"
	if got != want {
		t.Errorf("settings\n got %s\nwant %s", got, want)
	}
}
