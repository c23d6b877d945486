package main

import (
	"os"
	"strings"
	"testing"
)

const readme = "text\n\n" + header + ` sealing |
|---|---|---|
| ` + "`sim`" + ` | simulation | simulation |
| ` + "`sim`" + `, arm64 | in emulation | no |
| ` + "`tdx`, `sev-snp`" + ` | written, never run | no |
| TrustZone | not yet | not yet |
| ` + "`vm`" + ` | in emulation | no |

| another | table |
`

func TestDrift(t *testing.T) {
	claims, err := readClaims(readme)
	if err != nil || len(claims) != 5 {
		t.Fatalf("%+v, %v", claims, err)
	}
	ran := func(tee string, passed int) *row {
		return &row{TEE: tee, Groups: []*group{{Name: "calls", Passed: passed}}}
	}
	for name, tt := range map[string]struct {
		rows []*row
		want string // parts of the faults
	}{
		"as it says":          {[]*row{ran("sim", 3), ran("vm", 1)}, ""},
		"nothing to run with": {[]*row{ran("sim", 3), {TEE: "vm", Why: "no QEMU"}}, ""},
		"no test any more":    {[]*row{ran("sim", 3)}, "vm was run, but it has no conformance test"},
		"not told":            {[]*row{ran("sim", 3), ran("vm", 1), ran("nitro", 1), ran("nitro", 1)}, "nitro was run, but no row"},
		"more than told":      {[]*row{ran("sim", 3), ran("vm", 1), ran("tdx", 1)}, "tdx was run, but no row"},
	} {
		got := drift(claims, tt.rows)
		if tt.want == "" && len(got) > 0 || tt.want != "" && (len(got) != 1 || !strings.Contains(got[0], tt.want)) {
			t.Errorf("%s: %q, want %q", name, got, tt.want)
		}
	}
	if _, err := readClaims("no table"); err == nil {
		t.Error("a README without a table was taken")
	}
}

// TestREADME: its table can be read, and has the TEEs that nobody ran.
func TestREADME(t *testing.T) {
	text, err := os.ReadFile("../../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	claims, err := readClaims(string(text))
	if err != nil {
		t.Fatal(err)
	}
	for _, tee := range []string{"SGX", "TrustZone", "Penglai, Keystone"} {
		found := false
		for _, c := range claims {
			cell, _, _ := strings.Cut(strings.TrimPrefix(c.line, "|"), "|")
			if strings.Contains(cell, tee) {
				found = true
				if c.runs {
					t.Errorf("nobody ran %s: %s", tee, c.line)
				}
			}
		}
		if !found {
			t.Errorf("there is no row for %s", tee)
		}
	}
}
