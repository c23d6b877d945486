package spawn

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// mode is the variable that has the test program do something else than test.
const mode = "SPAWN_TEST_MODE"

func TestMain(m *testing.M) {
	switch os.Getenv(mode) {
	case "":
		os.Exit(m.Run())
	case "tell":
		entries, _ := os.ReadDir("/proc/self/fd")
		fmt.Println(len(entries)-1, os.Args, len(os.Environ())) // one is the folder
	case "wait":
		fmt.Println("waiting")
		select {}
	}
}

const executeAs = 200

// newPlan returns a plan to execute the test program with its output going to
// out.
func newPlan(t *testing.T) (p *Plan, out *bufio.Reader) {
	t.Helper()
	p, err := New()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	self, err := os.Open("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	defer self.Close()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	defer w.Close()
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	if err := p.Files(int(null.Fd()), int(w.Fd()), int(w.Fd())); err != nil {
		t.Fatal(err)
	}
	if err := p.Executable(int(self.Fd()), executeAs); err != nil {
		t.Fatal(err)
	}
	return p, bufio.NewReader(r)
}

// program is the test program in the given mode.
func program(how string) Program {
	return Program{Args: []string{"a", "b c", ""}, Env: []string{mode + "=" + how, "X=1"}}
}

func start(t *testing.T, p *Plan, prog Program) (*Process, []Failure) {
	t.Helper()
	proc, failures, err := p.Start(t.Context(), prog)
	if err != nil {
		t.Fatal(err)
	}
	p.Close()
	t.Cleanup(func() {
		proc.Kill()
		<-proc.Done()
	})
	return proc, failures
}

func TestStart(t *testing.T) {
	p, out := newPlan(t)
	proc, failures := start(t, p, program("tell"))
	if len(failures) != 0 {
		t.Errorf("failures: %v", failures)
	}
	line, err := out.ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	// 0 to 2, and what the runtime's poller opens for reading the folder.
	if want := "[a b c ] 2\n"; !strings.HasSuffix(line, want) || line[0] > '7' {
		t.Errorf("the program says %q, want few descriptors and %q", line, want)
	}
	<-proc.Done()
	if status, err := proc.Status(); err != nil || !status.Exited() || status.ExitStatus() != 0 {
		t.Errorf("status %v, %v", status, err)
	}
	if err := proc.Kill(); err != nil {
		t.Errorf("Kill after the end: %v", err)
	}
}

// fails is a call that fails with EBADF.
func fails(part string) Call {
	return Call{Part: part, Trap: unix.SYS_FCHDIR, Args: [6]uintptr{^uintptr(0)}}
}

// say is a call that writes to the program's output.
func say(p *Plan, part, text string) Call {
	return Call{Part: part, Trap: unix.SYS_WRITE, Args: [6]uintptr{1, p.Bytes([]byte(text)), uintptr(len(text))}, Result: uintptr(len(text))}
}

// TestParts: after a failure the rest of the part is left out, and nothing else.
func TestParts(t *testing.T) {
	p, out := newPlan(t)
	p.Add(say(p, "one", "1"), fails("two"), say(p, "two", "2"), say(p, "three", "3"), fails("four"), say(p, "five", "5\n"))
	_, failures := start(t, p, program("tell"))
	line, err := out.ReadString('\n')
	if err != nil || line != "135\n" {
		t.Errorf("%q, %v", line, err)
	}
	want := []Failure{{"two", unix.EBADF}, {"four", unix.EBADF}}
	if fmt.Sprint(failures) != fmt.Sprint(want) {
		t.Errorf("failures %v, want %v", failures, want)
	}
}

// TestEssential: the program does not run without an essential part.
func TestEssential(t *testing.T) {
	getpid := Call{Part: "x", Essential: true, Trap: unix.SYS_GETPID}
	for name, change := range map[string]func(*Call){
		"it fails":              func(c *Call) { *c = fails("x"); c.Essential = true },
		"another result":        func(c *Call) { c.Result = 1 << 30 },
		"it should have failed": func(c *Call) { c.Fails = unix.EPERM },
		"another error":         func(c *Call) { *c = fails("x"); c.Essential = true; c.Fails = unix.EPERM },
		"no such call":          func(c *Call) { c.Trap = 100000 },
	} {
		t.Run(name, func(t *testing.T) {
			p, out := newPlan(t)
			c := getpid
			change(&c)
			p.Add(c, say(p, "y", "y"))
			proc, _, err := p.Start(t.Context(), program("tell"))
			if err == nil || proc != nil || !strings.HasPrefix(err.Error(), "x: ") {
				t.Errorf("%v, %v", proc, err)
			}
			p.Close()
			if b, err := io.ReadAll(out); len(b) != 0 {
				t.Errorf("output %q, %v", b, err)
			}
		})
	}
}

func TestNotExecutable(t *testing.T) {
	p, err := New()
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	fd, err := unix.MemfdCreate("text", unix.MFD_CLOEXEC)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	if _, err := unix.Write(fd, []byte("hello")); err != nil {
		t.Fatal(err)
	}
	if err := p.Executable(fd, executeAs); err != nil {
		t.Fatal(err)
	}
	if _, _, err := p.Start(t.Context(), Program{}); !errors.Is(err, unix.ENOEXEC) {
		t.Errorf("error: %v", err)
	}
}

func TestNoProgram(t *testing.T) {
	p, err := New()
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	p.Add(fails("x"))
	proc, failures := start(t, p, Program{})
	<-proc.Done()
	if status, err := proc.Status(); err != nil || status.ExitStatus() != 0 || len(failures) != 1 {
		t.Errorf("%v, %v, %v", status, err, failures)
	}
}

func TestKill(t *testing.T) {
	p, out := newPlan(t)
	proc, _ := start(t, p, program("wait"))
	if _, err := out.ReadString('\n'); err != nil {
		t.Fatal(err)
	}
	select {
	case <-proc.Done():
		t.Fatal("it has ended")
	default:
	}
	if err := proc.Kill(); err != nil {
		t.Fatal(err)
	}
	<-proc.Done()
	if status, err := proc.Status(); err != nil || status.Signal() != syscall.SIGKILL {
		t.Errorf("%v, %v", status, err)
	}
}

// TestReapedByOthers: a program that has the kernel reap its children learns of
// the end all the same, and kills nobody else.
func TestReapedByOthers(t *testing.T) {
	signal.Ignore(unix.SIGCHLD)
	// Reset would leave it ignored.
	defer signal.Notify(make(chan os.Signal, 1), unix.SIGCHLD)
	p, _ := newPlan(t)
	proc, _ := start(t, p, program("wait"))
	if err := proc.Kill(); err != nil {
		t.Fatal(err)
	}
	<-proc.Done()
	if _, err := proc.Status(); err == nil {
		t.Error("the status is known: the test does not test what it should")
	}
	if err := proc.Kill(); err != nil {
		t.Error(err)
	}
}

// TestContext: the context ends the process until the program runs, and not
// after that.
func TestContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	p, out := newPlan(t)
	proc, _, err := p.Start(ctx, program("wait"))
	if err != nil {
		t.Fatal(err)
	}
	cancel()
	p.Close()
	if line, err := out.ReadString('\n'); err != nil || line != "waiting\n" {
		t.Errorf("%q, %v", line, err)
	}
	proc.Kill()
	<-proc.Done()

	p, _ = newPlan(t)
	if _, _, err := p.Start(ctx, program("wait")); !errors.Is(err, context.Canceled) {
		t.Errorf("an ended context: %v", err)
	}

	p, _ = newPlan(t)
	forever := p.Bytes(make([]byte, 16)) // an empty poll
	p.Add(Call{Part: "x", Trap: unix.SYS_PPOLL, Args: [6]uintptr{forever, 0, 0, 0, 8}})
	short, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if _, _, err := p.Start(short, program("wait")); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a process that hangs: %v", err)
	}
}

// TestPrepare: the process waits for its preparation, and dies if that fails.
func TestPrepare(t *testing.T) {
	p, out := newPlan(t)
	prog := program("tell")
	prog.Prepare = func(pid int) error {
		if err := unix.Kill(pid, 0); err != nil {
			t.Errorf("no process: %v", err)
		}
		return io.ErrUnexpectedEOF
	}
	_, _, err := p.Start(t.Context(), prog)
	if !errors.Is(err, ErrRefused) || !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("error: %v", err)
	}
	p.Close()
	if b, err := io.ReadAll(out); len(b) != 0 {
		t.Errorf("output %q, %v", b, err)
	}
}

// TestRefused: namespaces that can't be had are recognised.
func TestRefused(t *testing.T) {
	p, _ := newPlan(t)
	prog := program("tell")
	prog.Namespaces = unix.CLONE_NEWNS | unix.CLONE_FS // contradicts itself: EINVAL
	if _, _, err := p.Start(t.Context(), prog); !errors.Is(err, ErrRefused) {
		t.Errorf("error: %v", err)
	}
}
