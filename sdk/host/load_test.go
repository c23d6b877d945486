package host

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/secgear/secgear/sdk/image"
	"github.com/secgear/secgear/sdk/image/imagefile"
	"github.com/secgear/secgear/sdk/internal/control"
	"github.com/secgear/secgear/sdk/tee"
)

func TestLoadFileErrors(t *testing.T) {
	garbage := filepath.Join(t.TempDir(), "x.sgi")
	if err := os.WriteFile(garbage, make([]byte, 200), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]error{"/nowhere/x.sgi": fs.ErrNotExist, garbage: imagefile.ErrFormat} {
		if _, err := Load(t.Context(), name, Options{}); !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v", name, err, want)
		}
	}
}

func TestOptionsFaultsAreAllListed(t *testing.T) {
	f := &fakeTEE{name: "a"}
	o := Options{
		Backends:   []tee.Backend{f, f, nil},
		TEE:        "sgx",
		Signers:    []image.SignerID{{}},
		Digests:    []image.Digest{{}},
		LaneMemory: 1 << 40,
		Workers:    9,
		Spin:       time.Second,
		Cores:      []int{1, 1, -1},
		Grace:      -1,
		StateDir:   t.TempDir(),
	}
	_, err := LoadImage(t.Context(), testImage(1), o)
	if err == nil {
		t.Fatal("loaded")
	}
	for _, want := range []string{
		`Backends: "a" is given twice`, "Backends: number 3 is nil", `TEE: there is no "sgx" here: --tee, SECGEAR_TEE and Options.TEE take one of auto, a, a`,
		"Signers: number 1", "Digests: number 1", "LaneMemory: ", "Workers: 9 is more", "Spin: 1s is more",
		"Cores: 1 is given twice", "Cores: -1 is negative", "Grace: -1ns is negative",
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("missing %q in %v", want, err)
		}
	}
	_, err = LoadImage(t.Context(), testImage(1), Options{LaneMemory: -1, Workers: -1, StateDir: t.TempDir()})
	for _, want := range []string{"Backends: there are none", "LaneMemory: 0 is less", "Workers: -1"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("missing %q in %v", want, err)
		}
	}
	if f.launched != 0 {
		t.Error("launched all the same")
	}
}

// archTEE is a fakeTEE that runs other architectures, too.
type archTEE struct {
	*fakeTEE
	status tee.Status
	asked  string
}

func (a *archTEE) ProbeArch(arch string) tee.Status { a.asked = arch; return a.status }

// TestForeignArchitecture: auto takes the first TEE that runs the image's
// architecture, and what is missing for it is named.
func TestForeignArchitecture(t *testing.T) {
	foreign := testImage(1)
	foreign.Arch = "arm64"
	if runtime.GOARCH == foreign.Arch {
		foreign.Arch = "amd64"
	}
	native := testImage(1)
	native.Arch = runtime.GOARCH
	missing := tee.Missing{What: "emulator", Why: "not there", Fix: "install it"}
	for name, tt := range map[string]struct {
		img  *image.Image
		able tee.Status
		want string // TEE
		err  string // part of the error
	}{
		"native":      {native, tee.Status{}, "plain", ""},
		"foreign":     {foreign, tee.Status{Available: true}, "able", ""},
		"no emulator": {foreign, tee.Status{Missing: []tee.Missing{missing}}, "", "TEE able is not available here: emulator: not there (to fix it: install it)"},
	} {
		t.Run(name, func(t *testing.T) {
			plain, able := &fakeTEE{name: "plain"}, &archTEE{fakeTEE: &fakeTEE{name: "able"}, status: tt.able}
			o := testOptions(t, plain)
			testOptions(t, able.fakeTEE)
			o.Backends = append(o.Backends, able)
			e, err := LoadImage(t.Context(), tt.img, o)
			if tt.err != "" {
				var u *UnavailableError
				if !errors.As(err, &u) || !strings.Contains(err.Error(), tt.err) ||
					!strings.Contains(err.Error(), "TEE plain is not available here: "+foreign.Arch+" processor") {
					t.Errorf("error %v, want %q", err, tt.err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			defer e.Close()
			if e.TEE() != tt.want {
				t.Errorf("TEE %s, want %s", e.TEE(), tt.want)
			}
			if asked := able.asked; asked != "" && asked != foreign.Arch || (asked == "") != (tt.img == native) {
				t.Errorf("asked for %q", asked)
			}
		})
	}
}

func TestChoose(t *testing.T) {
	gone := []tee.Missing{{What: "/dev/x", Why: "no such file", Fix: "buy one"}, {What: "luck"}}
	tests := []struct {
		name     string
		tee, env string
		backends []*fakeTEE
		want     string // TEE, or part of the error
		missing  bool   // the error is an UnavailableError
	}{
		{"only one", "", "", []*fakeTEE{{name: "a"}}, "a", false},
		{"strongest", "auto", "", []*fakeTEE{{name: "a"}, {name: "b"}}, "a", false},
		{"strongest available", "", "", []*fakeTEE{{name: "a", unavailable: true}, {name: "b"}}, "b", false},
		{"one that keeps the owner out", "", "", []*fakeTEE{{name: "sim"}, {name: "vm"}, {name: "a", confidential: true}, {name: "b", confidential: true}}, "a", false},
		{"one that keeps the owner out, but is not here", "", "", []*fakeTEE{{name: "a", confidential: true, unavailable: true}, {name: "vm"}, {name: "sim"}}, "sim", false},
		{"no more than a simulation", "", "", []*fakeTEE{{name: "vm"}, {name: "nitro"}, {name: "sim"}}, "sim", false},
		{"no simulation", "", "", []*fakeTEE{{name: "vm"}, {name: "sim", unavailable: true}}, "vm", false},
		{"plain by name", "vm", "", []*fakeTEE{{name: "a", confidential: true}, {name: "vm"}}, "vm", false},
		{"by name", "b", "a", []*fakeTEE{{name: "a"}, {name: "b"}}, "b", false},
		{"by environment", "", "b", []*fakeTEE{{name: "a"}, {name: "b"}}, "b", false},
		{"no fallback", "a", "", []*fakeTEE{{name: "a", unavailable: true, missing: gone}, {name: "b"}}, "TEE a is not available here: /dev/x: no such file (to fix it: buy one); luck", true},
		{"none", "", "", []*fakeTEE{{name: "a", unavailable: true, missing: gone}, {name: "b", unavailable: true}}, "TEE b is not available", true},
		{"unknown", "c", "", []*fakeTEE{{name: "a"}}, `no "c" here: --tee, SECGEAR_TEE and Options.TEE take one of auto, a`, false},
		{"unknown in environment", "", "c", []*fakeTEE{{name: "a"}}, `no "c" here: --tee, SECGEAR_TEE and Options.TEE take one of auto, a`, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Setenv("SECGEAR_TEE", tt.env)
			o := Options{TEE: tt.tee, StateDir: t.TempDir(), LaneMemory: 1 << 20}
			for _, b := range tt.backends {
				o.Backends = append(o.Backends, b)
			}
			e, err := LoadImage(t.Context(), testImage(1), o)
			if err != nil {
				var missing *UnavailableError
				if !strings.Contains(err.Error(), tt.want) || errors.As(err, &missing) != tt.missing {
					t.Errorf("got %v, want %s", err, tt.want)
				}
				return
			}
			defer e.Close()
			if e.TEE() != tt.want {
				t.Errorf("chose %s, want %s", e.TEE(), tt.want)
			}
		})
	}
}

func TestChoiceIsLogged(t *testing.T) {
	rec := new(recorder)
	o := testOptions(t, &fakeTEE{name: "sim", missing: []tee.Missing{{What: "memfd_secret"}}})
	o.Log = rec.logger()
	mustLoad(t, o).Close()
	for _, want := range []string{"TEE chosen tee=sim auto=true", "no protection against this machine", "protection absent tee=sim what=memfd_secret"} {
		if !strings.Contains(rec.text(), want) {
			t.Errorf("missing %q in %s", want, rec.text())
		}
	}
}

// TestUnprotectedChoiceIsLogged: whoever asks for a TEE that keeps nobody out is
// told.
func TestUnprotectedChoiceIsLogged(t *testing.T) {
	for _, confidential := range []bool{false, true} {
		rec := new(recorder)
		o := testOptions(t, &fakeTEE{name: "vm", confidential: confidential})
		o.Log = rec.logger()
		mustLoad(t, o).Close()
		if told := strings.Contains(rec.text(), "no protection against this machine's owner"); told == confidential {
			t.Errorf("confidential %t: %s", confidential, rec.text())
		}
	}
}

func TestStrongest(t *testing.T) {
	for want, backends := range map[string][]tee.Backend{
		"":    {&fakeTEE{name: "a", unavailable: true}},
		"sim": {&fakeTEE{name: "vm"}, &fakeTEE{name: "sim"}},
		"a":   {&fakeTEE{name: "sim"}, &fakeTEE{name: "a", confidential: true}},
	} {
		if got := Strongest(backends, ""); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

func TestAllowed(t *testing.T) {
	img := testImage(1)
	tests := []struct {
		name    string
		signers []image.SignerID
		digests []image.Digest
		ok      bool
	}{
		{"signer", []image.SignerID{{1}, img.Signer}, nil, true},
		{"another signer", []image.SignerID{{1}}, nil, false},
		{"digest", nil, []image.Digest{{1}, img.Digest}, true},
		{"another digest", []image.SignerID{img.Signer}, []image.Digest{{1}}, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f := &fakeTEE{}
			o := testOptions(t, f)
			o.Signers, o.Digests = tt.signers, tt.digests
			e, err := LoadImage(t.Context(), img, o)
			if err == nil {
				e.Close()
			}
			if tt.ok && err != nil || !tt.ok && (!errors.Is(err, ErrNotAllowed) || f.launched != 0) {
				t.Errorf("launched %d times: %v", f.launched, err)
			}
		})
	}
}

func TestServicesBeforeLaunch(t *testing.T) {
	f := &fakeTEE{launchErr: errFake}
	o := testOptions(t, f)
	if _, err := LoadImage(t.Context(), testImage(1), o); !errors.Is(err, errFake) || !strings.Contains(err.Error(), "loading enclave demo: launching in TEE fake") {
		t.Errorf("launch failed: %v", err)
	}
}

// TestLoadFails lists what an enclave can do wrong before it is ready. Nothing
// is left of it, and its version isn't recorded.
func TestLoadFails(t *testing.T) {
	tests := []struct {
		name string
		live func(*fakeEnclave)
		want error
		text string
	}{
		{"dies at once", func(e *fakeEnclave) { e.err = errFake }, tee.ErrLost, errFake.Error()},
		{"dies after greeting", func(e *fakeEnclave) { e.hear(); e.err = errFake }, tee.ErrLost, errFake.Error()},
		{"ends well but too early", func(e *fakeEnclave) { e.hear(); e.open() }, tee.ErrLost, "ended by itself"},
		{"hangs up", func(e *fakeEnclave) { e.hear(); e.control.Close(); <-e.killed }, tee.ErrLost, "before it was ready"},
		{"setup fails", func(e *fakeEnclave) { e.hear(); e.say(&control.Failed{Text: "no\x1b[2Jkey"}); <-e.killed }, ErrSetup, "no [2Jkey"},
		{"setup fails, dies", func(e *fakeEnclave) { e.hear(); e.open(); e.say(&control.Failed{Text: "no key"}) }, ErrSetup, "no key"},
		{"other version", func(e *fakeEnclave) { e.hear(); e.say(&control.Ready{Version: 77}); <-e.killed }, nil, "version 77"},
		{"garbage", func(e *fakeEnclave) { e.hear(); e.control.Write([]byte("GET / HTTP/1.0\r\n\r\n")); <-e.killed }, tee.ErrLost, control.ErrProtocol.Error()},
		{"greets back", func(e *fakeEnclave) { e.hear(); e.say(&control.Hello{Version: 1}); <-e.killed }, tee.ErrLost, "out of order"},
		{"stops unasked", func(e *fakeEnclave) { e.hear(); e.say(&control.Stopped{}); <-e.killed }, tee.ErrLost, "out of order"},
		{"never hears", func(e *fakeEnclave) { e.err = errFake; e.control.Close() }, tee.ErrLost, errFake.Error()},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			o := testOptions(t, &fakeTEE{live: tt.live})
			_, err := LoadImage(t.Context(), testImage(1), o)
			if err == nil || tt.want != nil && !errors.Is(err, tt.want) || !strings.Contains(err.Error(), tt.text) {
				t.Errorf("got %v, want %v with %q", err, tt.want, tt.text)
			}
			if _, err := os.Stat(filepath.Join(o.StateDir, versionsFile)); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("security version recorded: %v", err)
			}
		})
	}
}

func TestOpenLaneFails(t *testing.T) {
	o := testOptions(t, &fakeTEE{laneErr: errFake})
	if _, err := LoadImage(t.Context(), testImage(1), o); !errors.Is(err, errFake) {
		t.Errorf("got %v", err)
	}
}

func TestLoadCancelled(t *testing.T) {
	for _, when := range []string{"before it hears", "after it hears"} {
		t.Run(when, func(t *testing.T) {
			ctx, cancel := context.WithCancelCause(t.Context())
			o := testOptions(t, &fakeTEE{live: func(e *fakeEnclave) {
				if when == "after it hears" {
					e.hear()
				}
				cancel(errFake)
				<-e.killed
			}})
			if _, err := LoadImage(ctx, testImage(1), o); !errors.Is(err, errFake) {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestRollback(t *testing.T) {
	f := &fakeTEE{}
	o := testOptions(t, f)
	load := func(img *image.Image) error {
		e, err := LoadImage(t.Context(), img, o)
		if err == nil {
			err = e.Close()
		}
		return err
	}
	otherName, otherSigner := testImage(1), testImage(1)
	otherName.Manifest.Name = "other"
	otherSigner.Signer = image.SignerID{1}
	steps := []struct {
		name string
		img  *image.Image
		want error
	}{
		{"first", testImage(2), nil},
		{"same again", testImage(2), nil},
		{"lower", testImage(1), ErrRollback},
		{"higher", testImage(3), nil},
		{"lower than that", testImage(2), ErrRollback},
		{"another name", otherName, nil},
		{"another signer", otherSigner, nil},
		{"still", testImage(3), nil},
	}
	for _, s := range steps {
		launched := f.launched
		if err := load(s.img); !errors.Is(err, s.want) {
			t.Errorf("%s: %v, want %v", s.name, err, s.want)
		}
		if s.want != nil {
			if err := load(s.img); err == nil || !strings.Contains(err.Error(), filepath.Join(o.StateDir, versionsFile)) || !strings.Contains(err.Error(), "SECGEAR_STATE") {
				t.Errorf("%s: how to get out is not told: %v", s.name, err)
			}
		}
		if s.want != nil && f.launched != launched {
			t.Errorf("%s: was launched", s.name)
		}
	}
	o.StateDir = t.TempDir()
	if err := load(testImage(1)); err != nil {
		t.Errorf("another machine: %v", err)
	}
}

func TestDefaultStateDir(t *testing.T) {
	tests := []struct{ state, xdg, home, want string }{
		{"/a", "/b", "/c", "/a"},
		{"", "/b", "/c", "/b/secgear"},
		{"", "", "/c", "/c/.local/state/secgear"},
	}
	for _, tt := range tests {
		t.Setenv("SECGEAR_STATE", tt.state)
		t.Setenv("XDG_STATE_HOME", tt.xdg)
		t.Setenv("HOME", tt.home)
		if got, err := DefaultStateDir(); err != nil || got != tt.want {
			t.Errorf("%+v: %q, %v", tt, got, err)
		}
	}
}

// TestStateDirIsPrivate: a folder that Load makes is the owner's alone.
func TestStateDirIsPrivate(t *testing.T) {
	o := testOptions(t, &fakeTEE{})
	o.StateDir = filepath.Join(o.StateDir, "deep", "state")
	mustLoad(t, o)
	info, err := os.Stat(o.StateDir)
	if err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("%v, %v", info, err)
	}
}

func TestDescribes(t *testing.T) {
	img := testImage(1)
	e := mustLoad(t, testOptions(t, &fakeTEE{live: func(e *fakeEnclave) {
		e.hear()
		e.open()
		e.say(&control.Ready{Version: control.Version, Contracts: []control.Contract{{ID: 1, Name: "a.B\n"}}})
		e.hear()
		e.say(&control.Stopped{})
	}}))
	if e.Digest() != img.Digest || e.Signer() != img.Signer || e.Manifest().Name != "demo" || e.Identity().Digest != img.Digest {
		t.Errorf("identity %+v", e.Identity())
	}
	if !slices.Equal(e.Contracts(), []string{"a.B "}) {
		t.Errorf("contracts %q", e.Contracts())
	}
	if len(e.Protections()) != 1 {
		t.Errorf("protections %v", e.Protections())
	}
}
