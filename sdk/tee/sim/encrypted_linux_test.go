package sim

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/secgear/secgear/sdk/tee"
	"github.com/secgear/secgear/sdk/tee/teetest"
)

// launchEncrypted launches the test enclave from an encrypted image.
func launchEncrypted(t testing.TB) *teetest.Enclave {
	t.Helper()
	key := teetest.ImageKey(t, 1)
	img := teetest.EncryptedImage(t, teetest.Manifest(), testProgram(t), 1, key)
	return teetest.LaunchEncrypted(t, Backend{}, img, key, t.TempDir())
}

// protection returns what an enclave says of one piece.
func protection(t testing.TB, e *teetest.Enclave, name string) tee.Protection {
	t.Helper()
	for _, p := range e.Protections() {
		if p.Name == name {
			return p
		}
	}
	t.Fatalf("%s is not listed", name)
	return tee.Protection{}
}

// pins returns how much of decrypted programs this process keeps in memory, in
// KiB, and the permissions of the mappings that do.
func pins(t testing.TB) (total int, permissions string) {
	t.Helper()
	f, err := os.Open("/proc/self/smaps")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	program, resident, mode := false, 0, ""
	for s := bufio.NewScanner(f); s.Scan(); {
		fields := strings.Fields(s.Text())
		switch {
		case !strings.HasSuffix(fields[0], ":"):
			program, mode = strings.Contains(s.Text(), "memfd:secgear-program"), fields[1]
		case program && fields[0] == "Rss:":
			if resident, err = strconv.Atoi(fields[1]); err != nil {
				t.Fatal(err)
			}
		case program && fields[0] == "VmFlags:" && slices.Contains(fields, "lo"):
			total, permissions = total+resident, permissions+mode+" "
		}
	}
	return total, permissions
}

// TestEncryptedStaysInMemory: a decrypted program is kept out of swap as long as
// the enclave runs, by a mapping that can't be read.
func TestEncryptedStaysInMemory(t *testing.T) {
	e := launchEncrypted(t)
	if p := protection(t, e, partUnswapped); !p.Active {
		t.Skipf("this user can't lock so much memory: %s", p.Reason)
	}
	size := len(testProgram(t)) / 1024
	if n, permissions := pins(t); n < size || permissions != "---p " {
		t.Errorf("%d KiB of %d are pinned, in mappings %q", n, size, permissions)
	}
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	if n, permissions := pins(t); n != 0 || permissions != "" {
		t.Errorf("%d KiB are still pinned, in mappings %q", n, permissions)
	}
}

// TestEncryptedNotLocked: an ordinary user's limit on locked memory does not
// prevent a launch, but is told.
func TestEncryptedNotLocked(t *testing.T) {
	if os.Geteuid() == 0 {
		t.Skip("root has no limit; see TestAsOrdinaryUser")
	}
	var own unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_MEMLOCK, &own); err != nil {
		t.Fatal(err)
	}
	if err := unix.Setrlimit(unix.RLIMIT_MEMLOCK, &unix.Rlimit{Cur: 4096, Max: own.Max}); err != nil {
		t.Fatal(err)
	}
	e := launchEncrypted(t)
	if err := unix.Setrlimit(unix.RLIMIT_MEMLOCK, &own); err != nil {
		t.Fatal(err)
	}
	if p := protection(t, e, partUnswapped); p.Active || !strings.Contains(p.Reason, "ulimit -l") {
		t.Errorf("%+v", p)
	}
	if n, permissions := pins(t); n != 0 || permissions != "" {
		t.Errorf("%d KiB are pinned, in mappings %q", n, permissions)
	}
}

// TestEncryptedSaysWhereItIsDecrypted: not inside.
func TestEncryptedSaysWhereItIsDecrypted(t *testing.T) {
	if p := protection(t, launchEncrypted(t), partInside); p.Active || p.Reason == "" {
		t.Errorf("%+v", p)
	}
}

// TestEncryptedProgramIsNotShown: other users, and the one that the enclave
// itself runs as, read neither its program nor its memory. Root does. An ordinary
// user who launched it can't just open them, but is the master of its namespaces.
func TestEncryptedProgramIsNotShown(t *testing.T) {
	e := launchEncrypted(t)
	dir := fmt.Sprintf("/proc/%d/", pid(e))
	read := func(name string, uid uint32) error {
		cmd := exec.Command("head", "-c", "16", dir+name)
		if os.Geteuid() == 0 {
			cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uid, Gid: uid}}
		}
		out, err := cmd.CombinedOutput()
		if err != nil {
			return fmt.Errorf("%w: %s", err, out)
		}
		return nil
	}
	users := []uint32{nobody, 12345}
	files := []string{"exe", "maps", "smaps", "mem", "auxv", "environ", "map_files", "fd/3", "root/x"}
	if os.Geteuid() != 0 {
		users, files = []uint32{uint32(os.Geteuid())}, []string{"exe", "mem"}
	}
	for _, uid := range users {
		for _, name := range files {
			if err := read(name, uid); err == nil || !strings.Contains(err.Error(), "Permission denied") {
				t.Errorf("user %d reads %s: %v", uid, name, err)
			}
		}
	}
	if os.Geteuid() != 0 {
		return
	}
	if err := read("exe", 0); err != nil {
		t.Errorf("root, of which the threat model says that it can: %v", err)
	}
}

// TestEncryptedLeavesNothing: a launch that fails at the key, or after it, leaves
// neither memory nor descriptors.
func TestEncryptedLeavesNothing(t *testing.T) {
	before := openDescriptors(t)
	img := teetest.EncryptedImage(t, teetest.Manifest(), testProgram(t), 1, teetest.ImageKey(t, 1))
	for range 3 {
		if i, err := (Backend{}).Launch(t.Context(), img, teetest.Config(t.TempDir())); err == nil {
			i.Close()
			t.Fatal("launched without a key")
		}
		e := launchEncrypted(t)
		e.Control.Try("exit", 0)
		e.WaitDone(t)
		if err := e.Close(); err != nil {
			t.Error(err)
		}
	}
	if n, permissions := pins(t); n != 0 || permissions != "" {
		t.Errorf("%d KiB are pinned, in mappings %q", n, permissions)
	}
	if after := openDescriptors(t); after > before {
		t.Errorf("%d descriptors before, %d after", before, after)
	}
}

func openDescriptors(t testing.TB) int {
	t.Helper()
	fds, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(fds)
}
