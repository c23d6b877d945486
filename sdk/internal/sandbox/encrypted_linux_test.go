package sandbox

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/secgear/secgear/sdk/image"
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

// TestEncryptedSideBySide: launches don't get in each other's way. (Another one's
// fork once took along the mapping that the program is decrypted into, and the
// memory file could not be sealed.)
func TestEncryptedSideBySide(t *testing.T) {
	img := teetest.EncryptedImage(t, teetest.Manifest(), testProgram(t), 1, teetest.ImageKey(t, 1))
	dir := t.TempDir()
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 10 {
				cfg := teetest.Config(dir)
				cfg.ImageKey = func(context.Context) (image.Key, error) { return teetest.ImageKey(t, 1), nil }
				i, err := Backend{}.Launch(t.Context(), img, cfg)
				if err != nil {
					t.Error(err)
					return
				}
				if err := i.Close(); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
}

// lookAtOwnMemory has the test program launch an encrypted image, and tell where
// in its own memory the program is to be found in clear.
const lookAtOwnMemory = "look"

// invert makes a pattern of bytes its inverse: whoever searches its own memory
// for something must not have it there.
//
//go:norace
func invert(b []byte) {
	for i := range b {
		b[i] = ^b[i]
	}
}

// TestEncryptedIsNowhereElse: the launching process has no copy of the decrypted
// program, but for the memory file that is executed. A kilobyte is looked for:
// what registers hold, 128 bytes, a signal may have saved anywhere.
func TestEncryptedIsNowhereElse(t *testing.T) {
	sum := sha256.Sum256([]byte("a program's secret"))
	pattern := bytes.Repeat(sum[:], 1<<10/len(sum))
	program := append(bytes.Clone(testProgram(t)), bytes.Repeat(pattern, 300)...)
	inverse := bytes.Clone(pattern)
	invert(inverse)
	key := teetest.ImageKey(t, 1)
	img := teetest.EncryptedImage(t, teetest.Manifest(), program, 1, key)
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_MEMLOCK, &limit); err != nil || os.Geteuid() != 0 && limit.Cur < uint64(len(program))+1<<20 {
		t.Skipf("this user can't lock the program in memory: %d, %v", limit.Cur, err)
	}
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = []string{
		asHost + "=" + lookAtOwnMemory, "STATE=" + t.TempDir(), fmt.Sprintf("PATTERN=%x", inverse), fmt.Sprintf("KEY=%x", key.Secret()),
		fmt.Sprintf("SIZE=%d", img.Encrypted.Size), "KEYID=" + img.Encrypted.KeyID.String(), "ARCH=" + img.Arch,
	}
	cmd.ExtraFiles = []*os.File{memoryFile(t, img.Encrypted.Ciphertext)}
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	// It is found where it must be, so that the search is known to work.
	if got := strings.TrimSpace(string(out)); got != "memfd:secgear-program" {
		t.Errorf("the program is in %s", got)
	}
}

// plaintextInMemory launches the image in descriptor 3 and returns the names of
// this process's mappings that have the pattern, each once.
func plaintextInMemory() string {
	ciphertext, err := inheritedPrograms[0]()
	fail := func(err error) {
		if err != nil {
			panic(err)
		}
	}
	fail(err)
	unhex := func(name string) []byte {
		b, err := hex.DecodeString(os.Getenv(name))
		fail(err)
		return b
	}
	size, err := strconv.Atoi(os.Getenv("SIZE"))
	fail(err)
	id, err := image.ParseKeyID(os.Getenv("KEYID"))
	fail(err)
	img := &image.Image{
		Manifest: teetest.Manifest(), Arch: os.Getenv("ARCH"),
		Encrypted: &image.Encrypted{KeyID: id, Size: size, Ciphertext: ciphertext},
	}
	cfg := teetest.Config(os.Getenv("STATE"))
	cfg.ImageKey = func(context.Context) (image.Key, error) { return image.NewKey(unhex("KEY")) }
	i, err := Backend{}.Launch(context.Background(), img, cfg)
	fail(err)
	found := searchMemory(unhex("PATTERN"))
	fail(i.Close())
	return strings.Join(found, " ")
}

// searchMemory returns the names of this process's mappings that hold the inverse
// of pattern.
func searchMemory(pattern []byte) (found []string) {
	maps, err := os.ReadFile("/proc/self/maps")
	if err != nil {
		panic(err)
	}
	mem, err := os.Open("/proc/self/mem")
	if err != nil {
		panic(err)
	}
	defer mem.Close()
	buf := make([]byte, 1<<20)
	for line := range strings.Lines(string(maps)) {
		var from, to int64
		// One page is the kernel's own. What is huge is the race detector's.
		if _, err := fmt.Sscanf(line, "%x-%x", &from, &to); err != nil || to-from > 256<<20 {
			continue
		}
		fields, name := strings.Fields(line), "anonymous memory"
		if len(fields) > 5 {
			name = strings.TrimPrefix(fields[5], "/")
		} else if strings.HasPrefix(fields[1], "---") {
			continue // reserved, and never used
		}
		// By pieces that overlap, as the pattern may lie across two.
		for at := from; at < to; at += int64(len(buf) - len(pattern)) {
			n, _ := mem.ReadAt(buf[:min(int64(len(buf)), to-at)], at) // some can't be read
			invert(buf[:n])
			if bytes.Contains(buf[:n], pattern) && !slices.Contains(found, name) {
				found = append(found, name)
			}
			clear(buf) // lest an inverse of the inverse be found in it
		}
	}
	return found
}
