package fromedl

import (
	"encoding/binary"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/secgear/secgear/sdk/enclave"
	"github.com/secgear/secgear/sdk/enclavetest"
	"github.com/secgear/secgear/sdk/host"
	"github.com/secgear/secgear/sdk/idl/internal/fromedl/calls"
	"github.com/secgear/secgear/sdk/idl/internal/fromedl/served"
)

// program compiles the generated C with the program that uses it and the stand-in
// for the C library.
func program(t *testing.T) string {
	t.Helper()
	return compile(t, "gcc", "testdata")
}

// compile does so with a compiler, and the library in a folder.
func compile(t *testing.T, cc, library string) string {
	t.Helper()
	cc, err := exec.LookPath(cc)
	if err != nil {
		t.Skip(err)
	}
	out := filepath.Join(t.TempDir(), "main")
	compile := exec.Command(cc, "-std=c11", "-Wall", "-Wextra", "-Werror", "-O1", "-g", "-I"+library, "-Ic", "-Itestdata", "-o", out,
		"testdata/main.c", filepath.Join(library, "secgear.c"), "c/calls_u.c", "-pthread")
	if text, err := compile.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	return out
}

// converse runs the C program and gives each of its calls to answer.
func converse(t *testing.T, name string, args []string, answer func(contract uint32, method uint16, args []byte) (status uint32, results []byte)) error {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), name, args...)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var head [12]byte
	for {
		if _, err := io.ReadFull(out, head[:]); err != nil {
			break
		}
		args := make([]byte, binary.LittleEndian.Uint32(head[8:]))
		if _, err := io.ReadFull(out, args); err != nil {
			t.Errorf("reading arguments: %v", err)
			break
		}
		status, results := answer(binary.LittleEndian.Uint32(head[:]), uint16(binary.LittleEndian.Uint32(head[4:])), args)
		reply := binary.LittleEndian.AppendUint32(nil, status)
		reply = append(binary.LittleEndian.AppendUint32(reply, uint32(len(results))), results...)
		if _, err := in.Write(reply); err != nil {
			t.Errorf("answering: %v", err)
			break
		}
	}
	return errors.Join(in.Close(), cmd.Wait())
}

// TestC: a program in C calls each function of the EDL in an enclave; what it
// does wrong is not sent.
func TestC(t *testing.T) {
	main := program(t)
	e := enclavetest.Start(t, func(e *enclave.Enclave) error {
		calls.RegisterTrusted(e, served.Trusted{Host: calls.NewUntrustedClient(e)})
		return nil
	})
	lane, err := e.Lane(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	err = converse(t, main, nil, func(contract uint32, method uint16, args []byte) (uint32, []byte) {
		n++
		c, err := lane.Begin(t.Context(), contract, method, false, len(args))
		if err != nil {
			t.Error(err)
			return 1, nil
		}
		copy(c.Args(), args)
		if err := c.Start(); err != nil {
			t.Error(err)
			return 1, nil
		}
		a, err := c.Wait(c.Ticket())
		if err != nil {
			t.Error(err)
			return 1, nil
		}
		defer c.End()
		if a.Status != 0 {
			t.Errorf("method %d: %s", method, a.Payload)
		}
		return a.Status, append([]byte(nil), a.Payload...)
	})
	if err != nil {
		t.Error(err)
	}
	if n != 12 {
		t.Errorf("%d calls were made", n)
	}
}

// TestCInSandbox: the same program, with the C library, calls an enclave that
// another process has loaded.
func TestCInSandbox(t *testing.T) {
	for _, cc := range []string{"gcc", "clang"} {
		t.Run(cc, func(t *testing.T) {
			main := compile(t, cc, "../../../c")
			path := filepath.Join(t.TempDir(), "s")
			enclavetest.Start(t, nil, enclavetest.Sandboxed(), enclavetest.WithPackage("testdata/enclave"),
				enclavetest.WithOptions(func(o *host.Options) { o.Socket = path }))
			if out, err := exec.CommandContext(t.Context(), main, "attach", path).CombinedOutput(); err != nil {
				t.Errorf("%s, %v", out, err)
			}
		})
	}
}

// TestCAnswers: what an enclave answers beyond what it may is refused, and does
// not get beyond the memory that is there for it.
func TestCAnswers(t *testing.T) {
	main := program(t)
	le := binary.LittleEndian
	result := func(parts ...[]byte) []byte {
		out := make([]byte, 4)
		for _, p := range parts {
			out = append(out, p...)
		}
		return out
	}
	u32 := func(n uint32) []byte { return le.AppendUint32(nil, n) }
	u64 := func(n uint64) []byte { return le.AppendUint64(nil, n) }
	text := func(s string) []byte { return append(u32(uint32(len(s))), s...) }
	message := func(count uint64, parts ...[]byte) []byte {
		out := append(append(make([]byte, 8), u64(count)...), u32(uint32(len(parts)))...)
		for _, p := range parts {
			out = append(out, p...)
		}
		return append(out, u64(0)...)
	}
	part := func(size uint64, data string) []byte { return append(u64(size), text(data)...) }
	tests := []struct {
		name, call string
		results    []byte
	}{
		{"nothing", "fill", nil},
		{"half a result", "fill", []byte{0, 0}},
		{"no buffer", "fill", result()},
		{"longer than asked for", "fill", result(text("12345"))},
		{"much longer", "fill", result(u32(1 << 31))},
		{"longest", "fill", result(u32(1<<32 - 1))},
		{"longer than it is", "fill", result(u32(4), []byte("123"))},
		{"more than results", "fill", result(text("1234"), []byte{0})},
		{"longer string", "upper", result(text("abcd"))},
		{"string with a NUL", "upper", result(text("a\x00c"))},
		{"more parts", "relay", result(message(2, part(0, ""), part(0, "")))},
		{"another number of parts", "relay", result(message(1))},
		{"a longer part", "relay", result(message(1, part(5, "12345")))},
		{"another size of a part", "relay", result(message(1, part(3, "1234")))},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			err := converse(t, main, []string{tt.call}, func(uint32, uint16, []byte) (uint32, []byte) { return 0, tt.results })
			if err != nil {
				t.Error(err)
			}
		})
	}
}
