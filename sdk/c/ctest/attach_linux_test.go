package ctest

import (
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/secgear/secgear/sdk/call"
	"github.com/secgear/secgear/sdk/enclavetest"
	"github.com/secgear/secgear/sdk/host"
	"github.com/secgear/secgear/sdk/image"
	"github.com/secgear/secgear/sdk/internal/rendezvous"
	"github.com/secgear/secgear/sdk/tee"
)

var (
	contract = &call.Contract{Name: "test.C", ID: 0xc0ffee, Methods: []call.Method{{Name: "Echo"}, {Name: "Block"}, {Name: "Sleep"}, {Name: "Out"}, {Name: "Fail"}, {Name: "Large"}}}
	outside  = &call.Contract{Name: "test.Outside", ID: 2, Methods: []call.Method{{Name: "Do"}}}
)

// do calls a method of the enclave.
func do(ctx context.Context, e call.Caller, method uint16, in string) (string, error) {
	var p call.Pending
	var enc call.Encoder
	p.Begin(ctx, e, contract, method, call.SizeString(in), &enc)
	enc.String(in)
	p.Start(&enc)
	var dec call.Decoder
	if err := p.Wait(&dec); err != nil {
		return "", err
	}
	out := dec.String()
	return out, p.End(&dec)
}

// answers registers the contract that the enclave calls, answering with text.
func answers(text string) func(*host.Enclave) {
	return func(r *host.Enclave) {
		r.Register(call.Service{Contract: outside, Dispatch: func(_ context.Context, _ uint16, q call.Request) error {
			var enc call.Encoder
			q.Results(call.SizeString(text), &enc)
			enc.String(text)
			return q.Send(&enc)
		}})
	}
}

// TestAttach: a second host has a lane of its own, of which nothing touches the
// first one's.
func TestAttach(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	owner := enclavetest.Start(t, nil, enclavetest.Sandboxed(), enclavetest.WithPackage("testdata/enclave"),
		enclavetest.WithServices(answers("the owner")),
		enclavetest.WithOptions(func(o *host.Options) { o.Socket = path }))
	e, err := host.Attach(t.Context(), path, host.Options{Services: answers("the second"), LaneMemory: 4 << 20})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	if e.Digest() != owner.Digest() || e.Signer() != owner.Signer() || e.TEE() != "sim" || e.Manifest().Name != "c-test" || len(e.Contracts()) != 1 {
		t.Errorf("it is told to be %v %v %s %v", e.Digest(), e.Signer(), e.TEE(), e.Manifest())
	}
	if len(e.Protections()) == 0 {
		t.Error("no protections are told")
	}
	for _, in := range []string{"", "text", strings.Repeat("x", 1<<20)} {
		if out, err := do(t.Context(), e, 0, in); err != nil || out != in {
			t.Errorf("echo of %d bytes: %d, %v", len(in), len(out), err)
		}
	}
	for c, want := range map[*host.Enclave]string{owner: "the owner", e: "the second"} {
		if out, err := do(t.Context(), c, 3, "who?"); err != nil || out != want {
			t.Errorf("%s was asked: %q, %v", want, out, err)
		}
	}
	if err := e.Close(); err != nil {
		t.Error(err)
	}
	if _, err := do(t.Context(), e, 0, "x"); !errors.Is(err, tee.ErrClosed) {
		t.Errorf("after Close: %v", err)
	}
	if out, err := do(t.Context(), owner, 0, "still here"); err != nil || out != "still here" {
		t.Errorf("the owner after it: %q, %v", out, err)
	}
}

func TestAttachEnds(t *testing.T) {
	owner, path := load(t)
	e, err := host.Attach(t.Context(), path, host.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	inFlight := make(chan error)
	go func() {
		_, err := do(context.Background(), e, 1, "x")
		inFlight <- err
	}()
	if err := owner.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-inFlight; !errors.Is(err, tee.ErrLost) {
		t.Errorf("a call in flight: %v", err)
	}
	<-e.Done()
	if err := e.Err(); !errors.Is(err, tee.ErrLost) {
		t.Errorf("Err: %v", err)
	}
	if _, err := host.Attach(t.Context(), path, host.Options{}); err == nil {
		t.Error("attached to an enclave that has ended")
	}
}

func TestAttachRefused(t *testing.T) {
	_, path := load(t)
	var none image.Digest
	none[0] = 1
	for name, o := range map[string]host.Options{
		"another digest": {Digests: []image.Digest{none}},
		"too small":      {LaneMemory: 4096},
		"too large":      {LaneMemory: 1 << 40},
		"negative":       {LaneMemory: -1},
	} {
		if e, err := host.Attach(t.Context(), path, o); err == nil {
			e.Close()
			t.Errorf("%s: attached", name)
		}
	}
	if _, err := host.Attach(t.Context(), "no-such-enclave", host.Options{}); !errors.Is(err, host.ErrNotRunning) {
		t.Errorf("no such enclave: %v", err)
	}
}

// TestCredentials: who is in the manifest's list attaches, and nobody else.
func TestCredentials(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("to be other users, the test must run as root")
	}
	// Other users may have no way to where temporary files are: they get the
	// program and the socket's folder as descriptors.
	program, err := os.Open(build(t, "-O2"))
	if err != nil {
		t.Fatal(err)
	}
	defer program.Close()
	const denied = "the enclave's manifest does not let this process attach\nok\n"
	me := func(uid, gid uint32, groups ...uint32) *syscall.Credential {
		return &syscall.Credential{Uid: uid, Gid: gid, Groups: groups}
	}
	for _, test := range []struct {
		name   string
		attach []string
		who    *syscall.Credential
		want   string
	}{
		{"owner", []string{"owner"}, me(0, 0), "success\nok\n"},
		{"nobody is listed", nil, me(0, 0), denied},
		{"root is not the owner of a list without it", []string{"uid:4711"}, me(0, 0), denied},
		{"user", []string{"uid:4711"}, me(4711, 4711), "success\nok\n"},
		{"another user", []string{"uid:4711"}, me(4712, 4711), denied},
		{"group", []string{"owner", "gid:27"}, me(4711, 27), "success\nok\n"},
		{"supplementary group", []string{"gid:27"}, me(4711, 4711, 5, 27), "success\nok\n"},
		{"no such group", []string{"gid:27"}, me(27, 4711, 5, 270), denied},
	} {
		t.Run(test.name, func(t *testing.T) {
			dir, err := os.MkdirTemp("", "sg")
			if err != nil {
				t.Fatal(err)
			}
			defer os.RemoveAll(dir)
			if err := os.Chmod(dir, 0o755); err != nil {
				t.Fatal(err)
			}
			path := filepath.Join(dir, "s")
			m := image.DefaultManifest("c-test")
			m.Attach = test.attach
			e := enclavetest.Start(t, nil, enclavetest.Sandboxed(), enclavetest.WithPackage("testdata/enclave"),
				enclavetest.WithManifest(m), enclavetest.WithOptions(func(o *host.Options) { o.Socket = path }))
			folder, err := os.Open(dir)
			if err != nil {
				t.Fatal(err)
			}
			defer folder.Close()
			cmd := exec.Command("/proc/self/fd/3", "attach", "/proc/self/fd/4/s")
			cmd.ExtraFiles = []*os.File{program, folder}
			cmd.SysProcAttr = &syscall.SysProcAttr{Credential: test.who}
			if out, err := cmd.CombinedOutput(); err != nil || string(out) != test.want {
				t.Errorf("%v: %q, %v", test.who, out, err)
			}
			if err := e.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestLanes: the manifest bounds how many attach, and room comes back.
func TestLanes(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	m := image.DefaultManifest("c-test")
	m.Attach, m.Lanes = []string{"owner"}, 3
	enclavetest.Start(t, nil, enclavetest.Sandboxed(), enclavetest.WithPackage("testdata/enclave"),
		enclavetest.WithManifest(m), enclavetest.WithOptions(func(o *host.Options) { o.Socket = path }))
	for range 20 {
		var list []*host.Enclave
		for len(list) < 2 {
			e, err := host.Attach(t.Context(), path, host.Options{LaneMemory: 1 << 20})
			if errors.Is(err, host.ErrAttach) {
				continue // the owner has not seen the last one go
			}
			if err != nil {
				t.Fatal(err)
			}
			list = append(list, e)
		}
		if e, err := host.Attach(t.Context(), path, host.Options{}); !errors.Is(err, host.ErrAttach) {
			t.Errorf("one more: %v, %v", e, err)
		}
		for _, e := range list {
			if out, err := do(t.Context(), e, 0, "x"); err != nil || out != "x" {
				t.Fatalf("%q, %v", out, err)
			}
			if err := e.Close(); err != nil {
				t.Error(err)
			}
		}
	}
}

// TestThousand: a thousand connects and kills leave the owner and one steady
// process alone, and nothing behind.
func TestThousand(t *testing.T) {
	owner, path := load(t)
	steady, err := host.Attach(t.Context(), path, host.Options{LaneMemory: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	defer steady.Close()
	files := descriptors(t)
	rounds := 1000
	if testing.Short() {
		rounds = 100
	}
	for i := range rounds {
		conn, err := rendezvous.Dial(t.Context(), path)
		if err != nil {
			t.Fatal(err)
		}
		frame := rendezvous.AppendFrame(nil, rendezvous.KindAttach, rendezvous.AttachRequest{Memory: 1 << 20}.Encode())
		_, err = conn.Write(frame[:i%(len(frame)+1)])
		if err != nil && !errors.Is(err, syscall.EPIPE) { // so many at a time are turned away
			t.Fatal(err)
		}
		if i%(len(frame)+1) == len(frame) && i%2 == 0 {
			conn.Read(make([]byte, 3)) // part of the answer; its descriptors are dropped
		}
		conn.Close()
		if i%50 == 0 {
			for _, e := range []*host.Enclave{owner, steady} {
				if out, err := do(t.Context(), e, 0, "x"); err != nil || out != "x" {
					t.Fatalf("%q, %v", out, err)
				}
			}
		}
	}
	for descriptors(t) > files {
		if t.Context().Err() != nil {
			t.Fatalf("%d descriptors, before there were %d", descriptors(t), files)
		}
		runtime.Gosched()
	}
}

func descriptors(t *testing.T) int {
	list, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(list)
}

// TestFalseDescriptors: an owner hands over what is no lane; neither library
// touches it.
func TestFalseDescriptors(t *testing.T) {
	program := build(t, "-O2")
	const size = 1 << 20
	memory := func(size int64, seals int) *os.File {
		fd, err := unix.MemfdCreate("lane", unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING)
		if err != nil {
			t.Fatal(err)
		}
		f := os.NewFile(uintptr(fd), "lane")
		t.Cleanup(func() { f.Close() })
		if err := f.Truncate(size); err != nil {
			t.Fatal(err)
		}
		if _, err := unix.FcntlInt(f.Fd(), unix.F_ADD_SEALS, seals); err != nil {
			t.Fatal(err)
		}
		return f
	}
	open := func(name string) *os.File {
		f, err := os.Open(name)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { f.Close() })
		return f
	}
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	bell, other := os.NewFile(uintptr(pair[0]), "bell"), os.NewFile(uintptr(pair[1]), "bell")
	defer bell.Close()
	defer other.Close()
	both := unix.F_SEAL_SHRINK | unix.F_SEAL_GROW
	good := memory(size, both)
	for name, files := range map[string][2]*os.File{
		"memory is a file":     {open("/proc/self/exe"), bell},
		"memory is not sealed": {memory(size, unix.F_SEAL_GROW), bell},
		"memory is smaller":    {memory(size-4096, both), bell},
		"memory is a socket":   {other, bell},
		"bell is a file":       {good, open("/dev/null")},
		"bell is memory":       {good, good},
	} {
		t.Run(name, func(t *testing.T) {
			path := pretend(t, func(r *rendezvous.Request) {
				r.AnswerAttached(rendezvous.Attached{Memory: size, About: []byte("{}")}, files[0], files[1])
				io.Copy(io.Discard, r.Conn)
			})
			if e, err := host.Attach(t.Context(), path, host.Options{}); err == nil {
				e.Close()
				t.Error("attached")
			}
			if out := run(t, program, "attach", path); strings.HasPrefix(out, "success") {
				t.Errorf("C: %s", out)
			}
		})
	}
}

// pretend serves a socket as an enclave's owner would.
func pretend(t *testing.T, attach func(*rendezvous.Request)) string {
	path := filepath.Join(t.TempDir(), "s")
	s, err := rendezvous.Listen(rendezvous.Config{Path: path, Log: discard, Handlers: map[rendezvous.Kind]func(*rendezvous.Request){rendezvous.KindAttach: attach}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return path
}

// TestHalfAnswers: an owner that stops in the middle.
func TestHalfAnswers(t *testing.T) {
	program := build(t, "-O2")
	whole := rendezvous.AppendFrame(nil, rendezvous.KindResult, rendezvous.Attached{Memory: 1 << 20, About: []byte("{}")}.Encode())
	for _, answer := range [][]byte{
		nil, whole[:1], whole[:4], whole[:5], whole[:80], whole,
		{0x80, 255, 255, 255, 255},
		{0x81, 0, 0, 0, 0},
		{7, 0, 0, 0, 0},
		rendezvous.AppendFrame(nil, rendezvous.KindRefused, (&rendezvous.Refused{Code: 99, Text: "\x1b[2J"}).Encode()),
	} {
		path := pretend(t, func(r *rendezvous.Request) { r.Conn.Write(answer) })
		if e, err := host.Attach(t.Context(), path, host.Options{}); err == nil {
			e.Close()
			t.Errorf("attached by %x", answer)
		} else if strings.Contains(err.Error(), "\x1b") {
			t.Errorf("a terminal is driven: %q", err)
		}
		if out := run(t, program, "attach", path); strings.HasPrefix(out, "success") {
			t.Errorf("C by %x: %s", answer, out)
		}
	}
}
