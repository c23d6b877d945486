// Package teetest is the conformance suite at the seam between secgear and a
// TEE: whatever implements [tee.Backend] passes it.
//
// A backend's tests bring a program that finds its platform and hands it to
// [testenclave.Serve], and call [Run] with its folder.
package teetest

import (
	"bytes"
	"crypto/ed25519"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"sync"
	"testing"

	"github.com/secgear/secgear/sdk/image"
	"github.com/secgear/secgear/sdk/image/imagefile"
	"github.com/secgear/secgear/sdk/tee"
)

// Suite is what the tests run on.
type Suite struct {
	// Backend is what is tested.
	Backend tee.Backend
	// Program is the test enclave, as from [Build].
	Program []byte
	// StateDir returns an empty state folder, mode 0700, that is removed at the
	// end of the test. If nil, it is one made by t.TempDir.
	StateDir func(t testing.TB) string
}

// Run runs the suite on b with the test enclave in folder dir. It skips, saying
// why, if the machine can't run b.
func Run(t *testing.T, b tee.Backend, dir string) {
	if s := b.Probe(); !s.Available {
		t.Skipf("%s can't run here: %+v", b.Name(), s.Missing)
	}
	Suite{Backend: b, Program: Build(t, dir)}.Run(t)
}

// Run runs every test.
func (s Suite) Run(t *testing.T) {
	if s.StateDir == nil {
		s.StateDir = func(t testing.TB) string { return t.TempDir() }
	}
	for _, test := range []struct {
		name string
		run  func(Suite, *testing.T)
	}{
		{"Lifecycle", Suite.testLifecycle},
		{"Control", Suite.testControl},
		{"Identity", Suite.testIdentity},
		{"LaunchCancelled", Suite.testLaunchCancelled},
		{"NotAnEnclave", Suite.testNotAnEnclave},
		{"Exit", Suite.testExit},
		{"Panic", Suite.testPanic},
		{"CloseEndsAll", Suite.testCloseEndsAll},
		{"Lane", Suite.testLane},
		{"LaneSizes", Suite.testLaneSizes},
		{"ManyLanes", Suite.testManyLanes},
		{"LaneEnds", Suite.testLaneEnds},
		{"SealingKeys", Suite.testSealingKeys},
		{"Evidence", Suite.testEvidence},
		{"Counters", Suite.testCounters},
		{"SecretMemory", Suite.testSecretMemory},
	} {
		t.Run(test.name, func(t *testing.T) { test.run(s, t) })
	}
}

// built holds the programs that were built by this process.
var built struct {
	sync.Mutex
	programs map[string][]byte
}

// Build builds the enclave program in folder dir as enclaves are built: static,
// without paths.
func Build(t testing.TB, dir string) []byte {
	t.Helper()
	return BuildFor(t, dir, runtime.GOARCH)
}

// BuildFor is [Build] for the architecture arch, a GOARCH.
func BuildFor(t testing.TB, dir, arch string) []byte {
	t.Helper()
	abs, err := filepath.Abs(dir)
	if err != nil {
		t.Fatal(err)
	}
	built.Lock()
	defer built.Unlock()
	key := arch + " " + abs
	if p := built.programs[key]; p != nil {
		return p
	}
	out := filepath.Join(t.TempDir(), "enclave")
	cmd := exec.Command("go", "build", "-trimpath", "-buildvcs=false", "-o", out, ".")
	cmd.Dir = abs
	cmd.Env = append(os.Environ(), "GOARCH="+arch, "CGO_ENABLED=0", "GOFLAGS=")
	if msg, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("building the test enclave in %s: %v\n%s", abs, err, msg)
	}
	p, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	if built.programs == nil {
		built.programs = map[string][]byte{}
	}
	built.programs[key] = p
	return p
}

// Image returns a signed image of program. Each signer has a key of its own.
func Image(t testing.TB, m image.Manifest, program []byte, signer byte) *image.Image {
	t.Helper()
	b, err := imagefile.Build(m, program)
	if err != nil {
		t.Fatal(err)
	}
	if b, err = imagefile.Sign(b, ed25519.NewKeyFromSeed(bytes.Repeat([]byte{signer}, ed25519.SeedSize))); err != nil {
		t.Fatal(err)
	}
	img, err := imagefile.Verify(b)
	if err != nil {
		t.Fatal(err)
	}
	return img
}
