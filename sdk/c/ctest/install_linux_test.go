package ctest

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// TestInstall: a program finds the installed library by its pkg-config file.
func TestInstall(t *testing.T) {
	cc, err := compiler()
	if err != nil {
		t.Skip(err)
	}
	prefix := t.TempDir()
	install := exec.Command("../../../scripts/install-c")
	install.Env = append(os.Environ(), "PREFIX="+prefix, "CC="+cc)
	if out, err := install.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	program := filepath.Join(prefix, "test")
	flags := "-I" + prefix + "/include -L" + prefix + "/lib -lsecgear -pthread"
	if _, err := exec.LookPath("pkg-config"); err == nil {
		flags = "$(pkg-config --cflags --libs secgear)"
	}
	compile := exec.Command("sh", "-c", cc+" -o "+program+" testdata/test.c "+flags)
	compile.Env = append(os.Environ(), "PKG_CONFIG_PATH="+prefix+"/lib/pkgconfig")
	if out, err := compile.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	cmd := exec.Command(program, "attach", "no-such-enclave")
	cmd.Env = append(os.Environ(), "LD_LIBRARY_PATH="+prefix+"/lib")
	if out, err := cmd.CombinedOutput(); err != nil || string(out) != "no such enclave is running\nok\n" {
		t.Errorf("%q, %v", out, err)
	}
}
