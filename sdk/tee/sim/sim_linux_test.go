package sim

import (
	"os"
	"runtime"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/secgear/secgear/sdk/tee"
	"github.com/secgear/secgear/sdk/tee/sim/evidence"
	"github.com/secgear/secgear/sdk/tee/teetest"
)

// TestConformance runs the suite for each architecture that this machine has or
// emulates.
func TestConformance(t *testing.T) {
	for _, arch := range []string{"amd64", "arm64", "riscv64"} {
		t.Run(arch, func(t *testing.T) {
			if s := (Backend{}).ProbeArch(arch); !s.Available {
				t.Skipf("%s can't run here: %+v", arch, s.Missing)
			}
			teetest.Suite{
				Backend: Backend{}, EvidencePrefix: evidence.Magic,
				Program: teetest.BuildFor(t, "testdata/testenclave", arch), Callee: teetest.BuildCallee(t, arch),
				Kill: func(i tee.Instance) error {
					return unix.Kill(i.(interface{ Pid() int }).Pid(), unix.SIGKILL)
				},
				Short: arch != runtime.GOARCH && os.Getenv("SECGEAR_TEST_TEES") != "all",
			}.Run(t)
		})
	}
}
