package main

import (
	"bytes"
	"encoding/binary"
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestWatchHostile: sockets behind which somebody lies, dribbles, is silent or dead
// hold up "secgear ps" and "secgear top" for no more than a look may take, drive no
// terminal, and are told by name.
func TestWatchHostile(t *testing.T) {
	frame := func(payload string) []byte {
		return append(binary.LittleEndian.AppendUint32([]byte{0x80}, uint32(len(payload))), payload...)
	}
	answers := map[string]func(net.Conn){
		"cut":     func(c net.Conn) { c.Write(frame("{}")[:3]) },
		"escape":  func(c net.Conn) { c.Write(frame(`{"name": "a\u001b[2J", "tee": "\u001b[31m", "pid": -1}`)) },
		"garbage": func(c net.Conn) { c.Write([]byte("HTTP/1.0 200 OK\r\n\r\n")) },
		"huge":    func(c net.Conn) { c.Write([]byte{0x80, 255, 255, 255, 127}) },
		"refused": func(c net.Conn) { c.Write(append([]byte{0x81, 8, 0, 0, 0, 1, 0, 0, 0}, "\x1b[2J"...)) },
		"dribble": func(c net.Conn) {
			for _, b := range frame(strings.Repeat(" ", 1<<16)) {
				if _, err := c.Write([]byte{b}); err != nil {
					return
				}
				time.Sleep(50 * time.Millisecond) // the attack
			}
		},
		"silent": func(c net.Conn) { c.Read(make([]byte, 1)) },
		"stuck":  nil, // nobody accepts
		"corpse": nil,
	}
	dir := t.TempDir()
	for name, answer := range answers {
		ln, err := net.Listen("unix", filepath.Join(dir, name+"-1-1.sock"))
		if err != nil {
			t.Fatal(err)
		}
		defer ln.Close()
		switch {
		case name == "corpse":
			ln.(*net.UnixListener).SetUnlinkOnClose(false)
			ln.Close()
		case answer != nil:
			go serveHostile(ln, answer)
		}
	}
	for _, args := range [][]string{{"ps"}, {"ps", "--json"}, {"top", "--json", "-n", "2", "--interval", "10ms"}} {
		cmd := exec.CommandContext(t.Context(), "secgear", args...)
		cmd.Env = append(os.Environ(), "SECGEAR_RUN="+dir)
		begun := time.Now()
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Errorf("%q: %v\n%s", args, err, out)
		}
		if d := time.Since(begun); d > 8*time.Second { // two looks of a second, on a machine that is busy
			t.Errorf("%q took %v", args, d)
		}
		if bytes.ContainsRune(out, 0x1b) {
			t.Errorf("%q drives the terminal: %q", args, out)
		}
		for name := range answers {
			if told := bytes.Contains(out, []byte(name)); told != (name != "corpse" && (name != "escape" || args[len(args)-1] != "ps")) {
				t.Errorf("%q: %s is told: %v\n%s", args, name, told, out)
			}
		}
	}
	if _, err := os.Lstat(filepath.Join(dir, "corpse-1-1.sock")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the dead one's socket is there: %v", err)
	}
}

// serveHostile has each connection answered.
func serveHostile(ln net.Listener, answer func(net.Conn)) {
	for {
		c, err := ln.Accept()
		if err != nil {
			return
		}
		go func() {
			defer c.Close()
			if _, err := c.Read(make([]byte, 1<<16)); err != nil { // the request
				return
			}
			answer(c)
		}()
	}
}
