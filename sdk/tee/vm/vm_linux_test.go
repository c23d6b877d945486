package vm

import (
	"os"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/secgear/secgear/sdk/tee"
	"github.com/secgear/secgear/sdk/tee/teetest"
	"github.com/secgear/secgear/sdk/tee/vm/internal/qemu"
)

// machines are those that the tests launch.
var machines = []struct{ name, arch, machine string }{
	{"amd64-q35", "amd64", qemu.Q35},
	{"amd64-microvm", "amd64", qemu.MicroVM},
	{"arm64-virt", "arm64", qemu.Virt},
}

// everywhere runs test for each machine that can be launched here.
func everywhere(t *testing.T, test func(t *testing.T, b Backend, arch string)) {
	for _, m := range machines {
		t.Run(m.name, func(t *testing.T) {
			if !all && m.machine != qemu.Q35 {
				t.Skip("left out to be short: make test-tees runs it")
			}
			b := Backend{Machine: m.machine}
			if s := b.ProbeArch(m.arch); !s.Available {
				t.Skipf("can't run here: %+v", s.Missing)
			}
			test(t, b, m.arch)
		})
	}
}

// all tells whether everything is to be tested, which takes minutes.
var all = os.Getenv("SECGEAR_TEST_TEES") == "all"

func testProgram(t testing.TB, arch string) []byte {
	return teetest.BuildFor(t, "testdata/testenclave", arch)
}

// pid is QEMU's process.
func pid(i tee.Instance) int { return i.(*instance).proc.Pid }

func TestConformance(t *testing.T) {
	everywhere(t, func(t *testing.T, b Backend, arch string) {
		s := teetest.Suite{
			Backend: b, Program: testProgram(t, arch), Callee: teetest.BuildCallee(t, arch),
			Kill:  func(i tee.Instance) error { return unix.Kill(pid(i), unix.SIGKILL) },
			Short: !all, Share: true,
			Lacks: []string{"encrypted images", "sealing", "evidence", "counters", "secret memory"},
		}
		s.Run(t)
	})
}
