package tpmtest

import (
	"bytes"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"sync"
	"syscall"
	"testing"
	"time"
)

// patience is how long the emulator may take to begin, and to end.
const patience = 20 * time.Second

// Emulator is a TPM that runs.
type Emulator struct {
	// Socket is where it answers.
	Socket string

	t     testing.TB
	state string
	stop  func()
}

// Start runs a new TPM until the end of the test. It skips the test where swtpm
// is not installed.
func Start(t testing.TB) *Emulator {
	t.Helper()
	dir, err := os.MkdirTemp("", "swtpm") // t.TempDir's names are too long for sockets
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return StartIn(t, dir)
}

// StartIn runs the TPM whose state is in dir, a new one if there is none.
func StartIn(t testing.TB, dir string) *Emulator {
	t.Helper()
	if _, err := exec.LookPath("swtpm"); err != nil {
		t.Skip("swtpm, which emulates a TPM, is not installed: scripts/setup tpm does it")
	}
	e := &Emulator{Socket: filepath.Join(dir, "tpm.sock"), t: t, state: dir}
	e.start()
	t.Cleanup(func() { e.stop() })
	return e
}

// AzureReport makes what is in the TPMs of Azure's VMs, as far as its form goes,
// with a kind of report: 1 is of virtualization alone, 2 SEV-SNP, 4 TDX.
func AzureReport(kind byte) []byte {
	b := bytes.Repeat([]byte{7}, 1300) // the emulator has less room than Azure's
	copy(b, "HCLA")
	copy(b[1224:], []byte{kind, 0, 0, 0})
	return b
}

// Reset turns the TPM off and on, as a machine's restart does: counters and
// seeds stay, registers begin anew.
func (e *Emulator) Reset() {
	e.t.Helper()
	e.stop()
	e.start()
}

func (e *Emulator) start() {
	e.t.Helper()
	cmd := exec.Command("swtpm", "socket", "--tpm2", "--tpmstate", "dir="+e.state,
		"--server", "type=unixio,path="+e.Socket, "--flags", "not-need-init,startup-clear")
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	started, ended, kill := make(chan error, 1), make(chan struct{}), make(chan struct{})
	go func() {
		runtime.LockOSThread() // whose end kills the emulator
		defer close(ended)
		err := cmd.Start()
		started <- err
		if err == nil {
			go func() { <-kill; cmd.Process.Kill() }()
			cmd.Wait()
		}
	}()
	e.stop = sync.OnceFunc(func() { close(kill); <-ended; os.Remove(e.Socket) })
	if err := <-started; err != nil {
		e.t.Fatal(err)
	}
	for begin := time.Now(); ; {
		c, err := net.Dial("unix", e.Socket)
		if err == nil {
			c.Close()
			return
		}
		select {
		case <-ended:
			e.t.Fatalf("swtpm ended: %s", said.Bytes())
		case <-time.After(time.Millisecond):
		}
		if time.Since(begin) > patience {
			e.stop()
			e.t.Fatalf("swtpm does not begin: %v\n%s", err, said.Bytes())
		}
	}
}
