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
	"slices"
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
	// Callee is the enclave for tests of calls, as from [BuildCallee]. Without
	// it these tests are skipped.
	Callee []byte
	// StateDir returns an empty state folder, mode 0700, that is removed at the
	// end of the test. If nil, it is one made by t.TempDir.
	StateDir func(t testing.TB) string
	// Kill ends an enclave behind its back, as kill -9 ends a process. If nil,
	// what follows from that is not tested.
	Kill func(tee.Instance) error
	// EvidencePrefix is what the backend's evidence begins with.
	EvidencePrefix string
	// Short leaves out all but the first test of each group.
	Short bool
	// Lacks are the groups of features that the TEE does not have: that it says so,
	// by [errors.ErrUnsupported], is tested in their tests' place.
	Lacks []string
	// Share has tests of calls that leave their enclave as it was share one, for
	// TEEs that take long to launch.
	Share bool

	shared *shared
}

// Run runs the suite on b with the test enclave in folder dir. It skips, saying
// why, if the machine can't run b.
func Run(t *testing.T, b tee.Backend, dir string) {
	if s := b.Probe(); !s.Available {
		t.Skipf("%s can't run here: %+v", b.Name(), s.Missing)
	}
	Suite{Backend: b, Program: Build(t, dir), Callee: BuildCallee(t, runtime.GOARCH)}.Run(t)
}

// group is tests of one feature: a column of the table that make test-tees
// prints.
type group struct {
	name  string
	tests []test
}

type test struct {
	name string
	run  func(Suite, *testing.T)
}

var groups = []group{
	{"launch", []test{
		{"Lifecycle", Suite.testLifecycle},
		{"Control", Suite.testControl},
		{"Cancelled", Suite.testLaunchCancelled},
		{"NotAnEnclave", Suite.testNotAnEnclave},
	}},
	{"identity", []test{{"Identity", Suite.testIdentity}}},
	{"images", []test{{"Refused", Suite.testRefusedImages}, {"Rollback", Suite.testRollback}}},
	{"encrypted images", []test{{"Encrypted", Suite.testEncrypted}, {"Refused", Suite.testEncryptedRefused}}},
	{"calls", []test{
		{"Calls", Suite.testCalls},
		{"Nested", Suite.testNested},
		{"Payloads", Suite.testPayloads},
		{"Concurrent", Suite.testConcurrent},
		{"Cancel", Suite.testCancel},
		{"Deadline", Suite.testDeadline},
	}},
	{"buffers", []test{{"Buffers", Suite.testBuffers}}},
	{"streams", []test{{"Streams", Suite.testStreams}}},
	{"lanes", []test{
		{"Lane", Suite.testLane}, {"Sizes", Suite.testLaneSizes}, {"Many", Suite.testManyLanes}, {"Ends", Suite.testLaneEnds},
	}},
	{"sealing", []test{{"Seal", Suite.testSeal}, {"Keys", Suite.testSealingKeys}}},
	{"evidence", []test{{"Names", Suite.testEvidenceNames}, {"Nonce", Suite.testEvidence}}},
	{"counters", []test{{"Count", Suite.testCount}, {"Counters", Suite.testCounters}}},
	{"random", []test{{"Random", Suite.testRandom}}},
	{"secret memory", []test{{"SecretMemory", Suite.testSecretMemory}}},
	{"log", []test{{"Log", Suite.testLog}}},
	{"end", []test{
		{"Killed", Suite.testKilled},
		{"Closed", Suite.testClosed},
		{"CloseEndsAll", Suite.testCloseEndsAll},
		{"Exit", Suite.testExit},
		{"Panic", Suite.testPanic},
	}},
}

// Run runs the tests of each group.
func (s Suite) Run(t *testing.T) {
	if s.StateDir == nil {
		s.StateDir = func(t testing.TB) string { return t.TempDir() }
	}
	s.shared = &shared{t: t}
	for _, g := range groups {
		t.Run(g.name, func(t *testing.T) {
			if slices.Contains(s.Lacks, g.name) {
				t.Run("Unsupported", func(t *testing.T) { lacking[g.name](s, t) })
				return
			}
			for i, test := range g.tests {
				t.Run(test.name, func(t *testing.T) {
					if s.Short && i > 0 {
						t.Skip("left out to be short: make test-tees runs it")
					}
					test.run(s, t)
				})
			}
		})
	}
}

// BuildCallee builds the enclave for tests of calls, for the architecture arch.
// It knows every platform that secgear's enclaves do.
func BuildCallee(t testing.TB, arch string) []byte {
	t.Helper()
	return build(t, ".", calleePackage, arch)
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
	return build(t, abs, ".", arch)
}

// build builds package pkg, as it is named in folder dir.
func build(t testing.TB, dir, pkg, arch string) []byte {
	t.Helper()
	built.Lock()
	defer built.Unlock()
	key := arch + " " + dir + " " + pkg
	if p := built.programs[key]; p != nil {
		return p
	}
	out := filepath.Join(t.TempDir(), "enclave")
	cmd := exec.Command("go", "build", "-trimpath", "-buildvcs=false", "-o", out, pkg)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GOARCH="+arch, "CGO_ENABLED=0", "GOFLAGS=")
	if msg, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("building the test enclave %s in %s: %v\n%s", pkg, dir, err, msg)
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
	return signed(t, b, signer)
}

// signed signs and verifies an image.
func signed(t testing.TB, b []byte, signer byte) *image.Image {
	t.Helper()
	b, err := imagefile.Sign(b, ed25519.NewKeyFromSeed(bytes.Repeat([]byte{signer}, ed25519.SeedSize)))
	if err != nil {
		t.Fatal(err)
	}
	img, err := imagefile.Verify(b)
	if err != nil {
		t.Fatal(err)
	}
	return img
}
