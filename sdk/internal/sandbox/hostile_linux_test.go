package sandbox

import (
	"encoding/hex"
	"strings"
	"testing"

	"github.com/secgear/secgear/sdk/internal/sandbox/wire"
	"github.com/secgear/secgear/sdk/tee/teetest"
)

// TestBrokenRules: an enclave that does not keep to the rules of the platform
// socket is ended, and the host says why.
func TestBrokenRules(t *testing.T) {
	for name, tt := range map[string]struct {
		message []byte
		times   int
	}{
		"unknown message": {[]byte{99}, 1},
		"host's message":  {wire.Lane(1, 4096), 1},
		"ready again":     {[]byte{byte(wire.KindReady), '[', ']'}, 1},
		"unknown request": {[]byte{byte(wire.KindRequest), 77}, 1},
		"cut request":     {[]byte{byte(wire.KindRequest), byte(wire.OpSealingKey), 1}, 1},
		"cut lane reply":  {[]byte{byte(wire.KindLaneReply), 1}, 1},
		"too long":        {[]byte{byte(wire.KindRequest)}, wire.MaxMessage + 1},
	} {
		t.Run(name, func(t *testing.T) {
			e := launchTest(t, Backend{}, teetest.Manifest())
			e.Control.Try("packet", hex.EncodeToString(tt.message), tt.times) // it may not live to answer
			e.WaitDone(t)
			if err := e.Err(); err == nil || !strings.Contains(err.Error(), "malformed") {
				t.Errorf("Err: %v", err)
			}
		})
	}
}

// TestPrintsNoEscapes: what a debug image prints at its end reaches logs and
// errors without what drives a terminal.
func TestPrintsNoEscapes(t *testing.T) {
	m := teetest.Manifest()
	m.Debug = true
	e := launchTest(t, Backend{}, m)
	e.Control.Try("panic", "a\x1b[2Jb\u202ec") // it does not live to answer
	e.WaitDone(t)
	if err := e.Err(); err == nil || strings.ContainsAny(err.Error(), "\x1b\u202e") || !strings.Contains(err.Error(), "a [2Jb c") {
		t.Errorf("Err: %q", err)
	}
}

// TestUnaskedLaneReply: an answer to a lane that nobody opens, or whose opener
// gave up, is nothing.
func TestUnaskedLaneReply(t *testing.T) {
	e := launchTest(t, Backend{}, teetest.Manifest())
	for range 100 {
		e.Control.Get("packet", hex.EncodeToString(wire.LaneReply(1, nil)), 1)
	}
	_, bell := e.Lane(t, 1<<20)
	if got := bell.Get("echo", "a"); got != "a" {
		t.Errorf("echo: %q", got)
	}
}

// TestFlood: an enclave that asks without end and reads no answer holds up
// itself alone.
func TestFlood(t *testing.T) {
	e := launchTest(t, Backend{}, teetest.Manifest())
	other := launchTest(t, Backend{}, teetest.Manifest())
	request := hex.EncodeToString(wire.Request{Op: wire.OpEvidence}.Encode())
	for range 2000 {
		if r, err := e.Control.Try("packet", request, 1); err != nil || r.Error != "" {
			break // the socket is full, or the answers broke the enclave's platform
		}
	}
	if got := other.Control.Get("evidence", "a"); len(got) == 0 {
		t.Error("no evidence")
	}
	if err := e.Close(); err != nil {
		t.Error(err)
	}
}
