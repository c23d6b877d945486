package host

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/secgear/secgear/sdk/image"
)

// TestDamagedVersions: a damaged file never reads as nothing seen.
func TestDamagedVersions(t *testing.T) {
	img := testImage(5)
	valid := string(formatVersions(map[versionKey]uint32{
		{img.Signer, "demo"}: 5, {img.Signer, "zeta"}: 1, {image.SignerID{}, "demo"}: 9,
	}))
	resum := func(body string) string { return body + checksumLine(body) }
	body := valid[:strings.Index(valid, "sha256")]
	lines := strings.SplitAfter(body, "\n")
	damaged := map[string]string{
		"empty":             "",
		"cut short":         valid[:len(valid)-1],
		"without checksum":  body,
		"lowered":           strings.Replace(valid, "demo 5", "demo 1", 1),
		"only a checksum":   checksumLine(""),
		"unknown header":    resum("secgear security versions 2\n"),
		"unsorted":          resum(lines[0] + lines[2] + lines[1] + lines[3]),
		"twice":             resum(lines[0] + lines[1] + lines[1]),
		"spelled otherwise": resum(lines[0] + strings.Replace(lines[1], "demo ", "demo 0", 1)),
		"not a number":      resum(lines[0] + strings.Replace(lines[1], "demo ", "demo x", 1)),
		"too large":         resum(lines[0] + strings.Replace(lines[1], "demo ", "demo 99999999999", 1)),
		"two fields":        resum(lines[0] + "demo 5\n"),
		"not a signer":      resum(lines[0] + "x demo 5\n"),
		"huge":              valid + strings.Repeat("x", maxVersions),
	}
	for name, text := range damaged {
		t.Run(name, func(t *testing.T) {
			f := &fakeTEE{}
			o := testOptions(t, f)
			file := filepath.Join(o.StateDir, versionsFile)
			if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			e, err := LoadImage(t.Context(), img, o)
			if err == nil {
				e.Close()
			}
			if err == nil || f.launched != 0 || !strings.Contains(err.Error(), file) {
				t.Errorf("launched %d times: %v", f.launched, err)
			}
			if after, err := os.ReadFile(file); err != nil || string(after) != text {
				t.Errorf("the file was changed: %v", err)
			}
		})
	}
	if _, err := parseVersions(valid); err != nil {
		t.Errorf("the valid one: %v", err)
	}
}

func FuzzVersions(f *testing.F) {
	f.Add(string(formatVersions(nil)))
	f.Add(string(formatVersions(map[versionKey]uint32{{image.SignerID{1}, "demo"}: 5, {image.SignerID{2}, "a.b"}: 1<<32 - 1})))
	f.Add("")
	f.Fuzz(func(t *testing.T, text string) {
		seen, err := parseVersions(text + checksumLine(text))
		if err == nil && string(formatVersions(seen)) != text+checksumLine(text) {
			t.Fatal("not canonical")
		}
		parseVersions(text)
	})
}

// TestVersionsConcurrently records from several goroutines and processes; the
// highest wins and nothing is lost.
func TestVersionsConcurrently(t *testing.T) {
	if dir := os.Getenv("SECGEAR_HOST_TEST_RECORD"); dir != "" {
		recordMany(t, dir)
		return
	}
	dir := t.TempDir()
	var wg sync.WaitGroup
	for range 3 {
		wg.Go(func() {
			cmd := exec.Command(os.Args[0], "-test.run=^TestVersionsConcurrently$")
			cmd.Env = append(os.Environ(), "SECGEAR_HOST_TEST_RECORD="+dir)
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Errorf("%v: %s", err, out)
			}
		})
		wg.Go(func() { recordMany(t, dir) })
	}
	wg.Wait()
	seen, err := versions{dir}.read()
	if err != nil {
		t.Fatal(err)
	}
	if len(seen) != 3 {
		t.Errorf("%d names, want 3", len(seen))
	}
	for key, version := range seen {
		if version != 10 {
			t.Errorf("%s: %d, want 10", key.name, version)
		}
	}
	left, err := filepath.Glob(filepath.Join(dir, ".new-*"))
	if err != nil || len(left) != 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

// recordMany records versions up to 10 of three names.
func recordMany(t *testing.T, dir string) {
	for version := uint32(1); version <= 10; version++ {
		for _, name := range []string{"a", "b", "c"} {
			img := testImage(version)
			img.Manifest.Name = name
			if err := (versions{dir}).record(img); err != nil && !errors.Is(err, ErrRollback) {
				t.Error(err)
			}
		}
	}
}
