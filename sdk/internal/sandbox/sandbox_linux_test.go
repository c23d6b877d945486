package sandbox

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/secgear/secgear/sdk/tee/teetest"
)

// attempt is something that the test enclave tries.
type attempt struct {
	command string
	args    []any

	// byFilter tells that nothing but the seccomp filter refuses it: without
	// the filter it works, and does no harm behind the other parts.
	byFilter bool
}

func (a attempt) String() string {
	return strings.TrimSpace(a.command + " " + strings.Trim(fmt.Sprint(a.args), "[]"))
}

var forbidden = []attempt{
	{command: "open", args: []any{"/"}},
	{command: "open", args: []any{"/etc/passwd"}},
	{command: "open", args: []any{"/proc/self/status"}},
	{command: "open", args: []any{"/proc/1/mem"}},
	{command: "open", args: []any{"/dev/null"}},
	{command: "open", args: []any{"/sys/kernel"}},
	{command: "create", args: []any{"/file"}},
	{command: "create", args: []any{"/tmp/secgear-sandbox-test"}},
	{command: "mkdir", args: []any{"/folder"}},
	{command: "stat", args: []any{"/etc"}},
	{command: "inet"},
	{command: "unix"},
	{command: "netlink", byFilter: true}, // of its own network namespace
	{command: "socket", byFilter: true},
	{command: "socketpair", byFilter: true},
	{command: "ptrace", byFilter: true}, // lets its parent trace it, outside
	{command: "readv", byFilter: true},  // there is nobody to read but itself
	{command: "execve"},
	{command: "execveat"},
	{command: "execvefd"},
	{command: "fork", byFilter: true},
	{command: "clone3"},
	{command: "mmapexec", byFilter: true}, // zeros
	{command: "mmapwx"},
	{command: "mmapshared", byFilter: true},
	{command: "mprotectexec"},
	{command: "memfd", byFilter: true},
	{command: "mount"},
	{command: "remount"},
	{command: "umount"},
	{command: "chroot"},
	{command: "unshare"},
	{command: "sethostname"},
	{command: "setuid"},
	{command: "setgid"},
	{command: "setgroups"},
	{command: "killhost", args: []any{os.Getpid()}},
	{command: "signalhost", args: []any{os.Getpid()}},
	{command: "rlimit"},
	{command: "affinity"},
	{command: "bpf"},
	{command: "perf"},
	{command: "ambient"},
	{command: "newprivs"},
	{command: "ioctl"},
	{command: "iouring", byFilter: true},
	{command: "userfaultfd"},
	{command: "addkey", byFilter: true},
	{command: "dumpable", byFilter: true},
	{command: "killall"},
}

// TestSandboxRefuses: the enclave gets nowhere.
func TestSandboxRefuses(t *testing.T) {
	e := launchTest(t, Backend{}, teetest.Manifest())
	for _, a := range forbidden {
		t.Run(a.String(), func(t *testing.T) {
			r, err := e.Control.Try(a.command, a.args...)
			if err != nil {
				t.Fatal(err)
			}
			want := unix.EPERM
			switch a.command {
			case "clone3":
				want = unix.ENOSYS // so that a C library falls back to clone
			case "execvefd":
				want = unix.EBADF // the one descriptor that it may execute is beyond its limit
			}
			if !strings.HasSuffix(r.Error, want.Error()) {
				t.Errorf("result %q, error %q; want %q", r.Result, r.Error, want.Error())
			}
		})
	}
	if got := e.Control.Get("echo", "unharmed"); got != "unharmed" {
		t.Error("the enclave is not what it was")
	}
}

// TestSandboxWithoutFilter: the filter is not all that stands between the
// enclave and the machine.
func TestSandboxWithoutFilter(t *testing.T) {
	e := launchTest(t, Backend{without: partSeccomp}, teetest.Manifest())
	for _, a := range forbidden {
		if a.byFilter {
			continue
		}
		t.Run(a.String(), func(t *testing.T) {
			e.Control.Refused(a.command, a.args...)
		})
	}
}

// TestSandboxRootIsEmpty: with neither filter nor Landlock, there is nothing to
// open.
func TestSandboxRootIsEmpty(t *testing.T) {
	t.Run("by Landlock", func(t *testing.T) {
		e := launchTest(t, Backend{without: partSeccomp}, teetest.Manifest())
		r, err := e.Control.Try("open", "/")
		if err != nil || !strings.Contains(r.Error, "permission denied") {
			t.Errorf("%+v, %v", r, err)
		}
	})
	t.Run("the folders", func(t *testing.T) {
		e := launchTest(t, Backend{without: partSeccomp}, teetest.Manifest())
		for _, name := range []string{"/etc", "/proc", "/sys", "/dev", "/tmp", "/../etc", "/proc/self/root"} {
			r, err := e.Control.Try("stat", name)
			if err != nil || r.Error == "" {
				t.Errorf("%s is there: %+v, %v", name, r, err)
			}
		}
	})
}

// TestSandboxReachesNoSocket: an abstract Unix socket of the host, which no file
// system guards, is out of reach even without the filter.
func TestSandboxReachesNoSocket(t *testing.T) {
	name := fmt.Sprintf("secgear-test-%d", os.Getpid())
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	if err := unix.Bind(fd, &unix.SockaddrUnix{Name: "@" + name}); err != nil {
		t.Fatal(err)
	}
	if err := unix.Listen(fd, 1); err != nil {
		t.Fatal(err)
	}
	e := launchTest(t, Backend{without: partSeccomp}, teetest.Manifest())
	e.Control.Refused("abstract", name)
}

// TestSandboxMemory: an enclave can use what its manifest says and not much
// more; what it does not get kills it, and nobody else.
//
// Not emulated: QEMU, denied memory or a thread, stands still as often as it
// ends.
func TestSandboxMemory(t *testing.T) {
	m := teetest.Manifest()
	m.Memory, m.Debug = 64<<20, true
	e := launchTest(t, Backend{}, m)
	if got := e.Control.Get("alloc", 40); got != "40" {
		t.Errorf("within the limit: %s", got)
	}
	if r, err := e.Control.Try("alloc", 1024); err == nil {
		t.Errorf("1 GiB with a limit of 64 MiB: %+v", r)
	}
	e.WaitDone(t)
	if err := e.Err(); err == nil || !strings.Contains(err.Error(), "memory") {
		t.Errorf("Err: %v", err)
	}
}

// TestSandboxThreads: a bomb of threads ends with its enclave.
func TestSandboxThreads(t *testing.T) {
	m := teetest.Manifest()
	m.Workers, m.Lanes = 1, 1
	e := launchTest(t, Backend{}, m)
	if got := e.Control.Get("threads", 100); got != "made" {
		t.Errorf("some threads: %s", got)
	}
	if r, err := e.Control.Try("threads", 2000); err == nil {
		t.Errorf("2000 threads: %+v", r)
	}
	e.WaitDone(t)
	if e.Err() == nil {
		t.Error("no error")
	}
}

// TestConfined looks at the enclave's process from outside.
func TestConfined(t *testing.T) { everywhere(t, testConfined) }

func testConfined(t *testing.T, arch string) {
	e := launchFor(t, Backend{}, teetest.Manifest(), arch)
	dir := fmt.Sprintf("/proc/%d/", pid(e))
	b, err := os.ReadFile(dir + "status")
	if err != nil {
		t.Fatal(err)
	}
	status := map[string]string{}
	for line := range strings.Lines(string(b)) {
		name, value, _ := strings.Cut(line, ":")
		status[name] = strings.Join(strings.Fields(value), " ")
	}
	uid := os.Geteuid()
	if uid == 0 {
		uid = nobody
	}
	want := map[string]string{
		"NoNewPrivs": "1", "Seccomp": "2", "Seccomp_filters": "1",
		"CapInh": "0000000000000000", "CapPrm": "0000000000000000", "CapEff": "0000000000000000",
		"CapBnd": "0000000000000000", "CapAmb": "0000000000000000",
		"NSpid":       fmt.Sprintf("%d 1", pid(e)),
		"Uid":         strings.TrimSpace(strings.Repeat(fmt.Sprint(uid, " "), 4)),
		"CoreDumping": "0",
	}
	if os.Geteuid() == 0 {
		want["Groups"] = ""
	}
	for name, v := range want {
		if status[name] != v {
			t.Errorf("%s: %q, want %q", name, status[name], v)
		}
	}
	if os.Geteuid() != 0 {
		if f, err := os.Open(dir + "mem"); err == nil {
			f.Close()
			t.Error("another process of the same user can read its memory")
		}
		return
	}
	for _, ns := range namespaces {
		own, err1 := os.Readlink("/proc/self/ns/" + ns.file)
		its, err2 := os.Readlink(dir + "ns/" + ns.file)
		if err1 != nil || err2 != nil || own == its {
			t.Errorf("%s: %s here, %s there; %v, %v", ns.part, own, its, err1, err2)
		}
	}
	fds, err := os.ReadDir(dir + "fd")
	if err != nil {
		t.Fatal(err)
	}
	for _, fd := range fds {
		// Its own are those of the poller, an epoll and an eventfd.
		target, err := os.Readlink(dir + "fd/" + fd.Name())
		if err != nil {
			t.Error(err)
		}
		if !strings.HasPrefix(target, "socket:") && !strings.HasPrefix(target, "anon_inode:") && target != "/dev/null" {
			t.Errorf("descriptor %s is %s", fd.Name(), target)
		}
	}
}
