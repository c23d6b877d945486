package all

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/secgear/secgear/sdk/image"
	"github.com/secgear/secgear/sdk/internal/detect"
	"github.com/secgear/secgear/sdk/tee"
)

// fake is a backend that finds what it is told.
type fake struct {
	name   string
	status tee.Status
}

func (f fake) Name() string      { return f.name }
func (f fake) Probe() tee.Status { return f.status }

func (f fake) Launch(context.Context, *image.Image, tee.LaunchConfig) (tee.Instance, error) {
	return nil, errors.ErrUnsupported
}

// bare is a machine with nothing.
var bare = detect.Machine{Root: fstest.MapFS{}, Arch: "amd64", Access: func(string) error { return nil }}

func found(t *testing.T, name string, backends ...tee.Backend) Found {
	t.Helper()
	list := lookAt(bare, backends)
	i := slices.IndexFunc(list, func(f Found) bool { return f.TEE == name })
	if i < 0 {
		t.Fatalf("%s is not listed: %+v", name, list)
	}
	return list[i]
}

func whats(f Found) string {
	var list []string
	for _, m := range f.Missing {
		list = append(list, m.What)
	}
	return strings.Join(list, ", ")
}

func TestDetect(t *testing.T) {
	lacks := tee.Status{Missing: []tee.Missing{{What: "/dev/sgx_enclave", Why: "the backend's own words"}, {What: "gramine-sgx"}}}
	works := tee.Status{Available: true, Confidential: true, Missing: []tee.Missing{{What: "evidence"}}}
	plain := tee.Status{Available: true}
	for name, tt := range map[string]struct {
		tee     string
		backend tee.Backend
		want    Found
		missing string
	}{
		"no backend":         {"sgx", nil, Found{Hardware: Absent}, "backend, SGX, /dev/sgx_enclave"},
		"nothing is needed":  {"sim", nil, Found{Hardware: NotNeeded}, "backend"},
		"backend lacks much": {"sgx", fake{"sgx", lacks}, Found{Supported: true, Hardware: Absent}, "/dev/sgx_enclave, gramine-sgx, SGX"},
		"backend works":      {"sgx", fake{"sgx", works}, Found{Supported: true, Available: true, Confidential: true, Hardware: Absent}, "evidence"},
		"emulated":           {"nitro", fake{"nitro", plain}, Found{Supported: true, Available: true, Hardware: Absent}, ""},
		"not to be had":      {"tdx", fake{"tdx", tee.Status{Confidential: true}}, Found{Supported: true, Hardware: Absent}, "TDX, /dev/kvm, kvm_intel.tdx"},
		"unheard of":         {"new", fake{"new", plain}, Found{Supported: true, Available: true, Hardware: NotNeeded}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			var backends []tee.Backend
			if tt.backend != nil {
				backends = append(backends, tt.backend)
			}
			got := found(t, tt.tee, backends...)
			if got.Inside != "no" || got.Supported != tt.want.Supported || got.Available != tt.want.Available ||
				got.Confidential != tt.want.Confidential || got.Hardware != tt.want.Hardware {
				t.Errorf("%+v, want %+v", got, tt.want)
			}
			if whats(got) != tt.missing {
				t.Errorf("missing %s, want %s", whats(got), tt.missing)
			}
		})
	}
}

// TestEveryBackendIsDetected: on this machine, whatever it is.
func TestEveryBackendIsDetected(t *testing.T) {
	list := Detect()
	for _, b := range Backends() {
		i := slices.IndexFunc(list, func(f Found) bool { return f.TEE == b.Name() })
		if i < 0 || !list[i].Supported || list[i].About == "" {
			t.Errorf("%s: %+v", b.Name(), list)
		}
	}
}

// TestNamesAreStable: scripts read them.
func TestNamesAreStable(t *testing.T) {
	b, err := json.Marshal(Found{Missing: []tee.Missing{{}}})
	const want = `{"tee":"","about":"","supported":false,"available":false,"confidential":false,"hardware":"","inside":"","missing":[{"what":"","why":"","fix":""}]}`
	if err != nil || string(b) != want {
		t.Errorf("%s, %v; want %s", b, err, want)
	}
}
