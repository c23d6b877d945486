package sgx

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/secgear/secgear/sdk/tee/sgx/sigstruct"
)

// The test program plays Gramine's programs when it is called by their names. It
// reads the manifest as far as it must, and runs the program as an ordinary process
// whose root is the launch's folder: what a program in Gramine would see of the
// lanes, of its identity and of /dev/attestation is there, too. Memory, processor,
// measurement and evidence are nobody's.
func TestMain(m *testing.M) {
	play := map[string]func() error{
		directProgram: func() error { return playGramine(manifestFile) },
		sgxProgram:    func() error { return playGramine(signedFile) },
		signProgram:   playSigner,
	}[filepath.Base(os.Args[0])]
	if play == nil {
		os.Exit(m.Run())
	}
	if err := play(); err != nil {
		var exit *exec.ExitError
		if errors.As(err, &exit) && exit.ExitCode() > 0 {
			os.Exit(exit.ExitCode())
		}
		fmt.Fprintln(os.Stderr, "pretended Gramine:", err)
		os.Exit(1)
	}
}

var envLine = regexp.MustCompile(`(?m)^loader\.env\.(\w+) = "(.*)"$`)

func playGramine(manifest string) error {
	text, err := os.ReadFile(manifest)
	if err != nil {
		return err
	}
	if strings.HasSuffix(manifest, ".sgx") {
		if err := pretendAttestation(); err != nil {
			return err
		}
	}
	dir, err := os.Getwd()
	if err != nil {
		return err
	}
	cmd := exec.Command("/" + programFile)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.Env = []string{}
	for _, m := range envLine.FindAllStringSubmatch(string(text), -1) {
		cmd.Env = append(cmd.Env, m[1]+"="+m[2])
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Chroot: dir, Pdeathsig: syscall.SIGKILL}
	if os.Geteuid() != 0 {
		cmd.SysProcAttr.Cloneflags = syscall.CLONE_NEWUSER
		cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}}
		cmd.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}}
	}
	runtime.LockOSThread() // else its end would be taken for ours
	return cmd.Run()
}

// pretendAttestation answers at /dev/attestation until this process ends.
func pretendAttestation() error {
	dir := "dev/attestation/"
	if err := os.MkdirAll(dir+"keys", 0o700); err != nil {
		return err
	}
	for name, content := range map[string]string{"attestation_type": "dcap\n", "keys/_sgx_mrenclave": "0123456789abcdef", "keys/_sgx_mrsigner": "fedcba9876543210"} {
		if err := os.WriteFile(dir+name, []byte(content), 0o400); err != nil {
			return err
		}
	}
	for _, name := range []string{"user_report_data", "quote"} {
		if err := unix.Mkfifo(dir+name, 0o600); err != nil {
			return err
		}
	}
	go func() {
		for {
			data, err := os.ReadFile(dir + "user_report_data")
			if err == nil {
				err = os.WriteFile(dir+"quote", pretendedQuote(data), 0)
			}
			if err != nil {
				fmt.Fprintln(os.Stderr, "pretended attestation:", err)
				return
			}
		}
	}()
	return nil
}

// pretendedQuote has the form of a quote, and nobody's signature.
func pretendedQuote(data []byte) []byte {
	q := make([]byte, 48+384+100)
	q[0] = 3
	copy(q[48+320:48+384], data)
	return q
}

var (
	prodID = regexp.MustCompile(`(?m)^sgx\.isvprodid = (\d+)$`)
	svn    = regexp.MustCompile(`(?m)^sgx\.isvsvn = (\d+)$`)
	debug  = regexp.MustCompile(`(?m)^sgx\.debug = true$`)
)

// playSigner signs as gramine-sgx-sign does, with an MRENCLAVE that is the hash of
// the manifest alone.
func playSigner() error {
	args := map[string]string{}
	for i := 1; i+1 < len(os.Args); i += 2 {
		args[os.Args[i]] = os.Args[i+1]
	}
	text, err := os.ReadFile(args["--manifest"])
	if err != nil {
		return err
	}
	b := sigstruct.Body{Attributes: sigstruct.Attributes{Flags: sigstruct.FlagMode64, XFRM: 3}, MRENCLAVE: sha256.Sum256(text)}
	if debug.Match(text) {
		b.Attributes.Flags |= sigstruct.FlagDebug
	}
	for _, f := range []struct {
		to   *uint16
		line *regexp.Regexp
	}{{&b.ProdID, prodID}, {&b.SVN, svn}} {
		m := f.line.FindSubmatch(text)
		if m == nil {
			return fmt.Errorf("the manifest lacks %s", f.line)
		}
		n, err := strconv.ParseUint(string(m[1]), 10, 16)
		if err != nil {
			return err
		}
		*f.to = uint16(n)
	}
	key, err := os.ReadFile(args["--key"])
	if err != nil {
		return err
	}
	block, _ := pem.Decode(key)
	if block == nil {
		return errors.New("no key")
	}
	private, err := x509.ParsePKCS1PrivateKey(block.Bytes)
	if err != nil {
		return err
	}
	s, err := sigstruct.Sign(b, private)
	if err != nil {
		return err
	}
	return errors.Join(os.WriteFile(args["--output"], text, 0o400), os.WriteFile(args["--sigfile"], s.Encode(), 0o400))
}

// pretend puts programs with Gramine's names first in PATH, and returns a folder
// with a library OS.
func pretend(t *testing.T) (gramine string) {
	t.Helper()
	if err := mayPretend(); err != nil {
		t.Skipf("a process with a root of its own can't be made here: %v", err)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	bin, lib := t.TempDir(), t.TempDir()
	for _, name := range []string{directProgram, sgxProgram, signProgram} {
		if err := os.Symlink(self, filepath.Join(bin, name)); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("PATH", bin+":"+os.Getenv("PATH"))
	t.Setenv(keyVariable, "")
	t.Setenv(signedVariable, "")
	if err := os.WriteFile(filepath.Join(lib, libOSFile), []byte("a library OS"), 0o400); err != nil {
		t.Fatal(err)
	}
	return lib
}

// mayPretend tells whether programs can be run in /dev/shm with a root there.
func mayPretend() error {
	var st unix.Statfs_t
	if err := unix.Statfs(memoryDir, &st); err != nil {
		return err
	}
	if st.Flags&unix.ST_NOEXEC != 0 {
		return fmt.Errorf("%s is mounted noexec", memoryDir)
	}
	cmd := exec.Command("/bin/true")
	cmd.SysProcAttr = &syscall.SysProcAttr{Chroot: "/"}
	if os.Geteuid() != 0 {
		cmd.SysProcAttr.Cloneflags = syscall.CLONE_NEWUSER
		cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}}
	}
	return cmd.Run()
}

// leftovers lists the folders of launches.
func leftovers(t *testing.T) []string {
	t.Helper()
	list, err := filepath.Glob(filepath.Join(memoryDir, "secgear-sgx-*"))
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// exists tells whether there is such a file.
func exists(name string) bool {
	_, err := os.Lstat(name)
	return !errors.Is(err, fs.ErrNotExist)
}
