package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path"
	"regexp"
	"strings"
	"text/tabwriter"
)

// row is what became of the suite for one TEE and architecture.
type row struct {
	TEE    string   `json:"tee"`
	Arch   string   `json:"arch"`
	Groups []*group `json:"groups"`
	Why    string   `json:"skipped,omitempty"` // why nothing of it ran
}

// group counts the tests of one feature.
type group struct {
	Name    string   `json:"name"`
	Passed  int      `json:"passed"`
	Failed  int      `json:"failed"`
	Skipped int      `json:"skipped"`
	Why     []string `json:"why,omitempty"` // of those skipped

	// Unsupported: the TEE has none of it, and says so.
	Unsupported bool `json:"unsupported,omitempty"`
}

// event is a line of go test -json.
type event struct {
	Action, Package, Test, Output string
}

// read makes rows of what go test -json says, and collects what failed tests
// and packages said.
func read(r io.Reader) (rows []*row, failed string, err error) {
	said := map[string]string{}
	dec := json.NewDecoder(r)
	for {
		var e event
		if err := dec.Decode(&e); errors.Is(err, io.EOF) {
			return rows, failed, nil
		} else if err != nil {
			return rows, failed, err
		}
		key := e.Package + " " + e.Test
		switch e.Action {
		case "output":
			said[key] += e.Output
		case "pass", "fail", "skip":
			if e.Action == "fail" {
				failed += said[key]
			}
			rows = note(rows, e, said[key])
		}
	}
}

// note adds the end of a test, TestConformance/ARCH/GROUP/NAME.
func note(rows []*row, e event, said string) []*row {
	name := strings.Split(e.Test, "/")
	if name[0] != "TestConformance" || len(name) < 2 {
		return rows
	}
	rows, r := rowOf(rows, path.Base(e.Package), name[1])
	switch len(name) {
	case 2:
		if e.Action == "skip" {
			r.Why = reason(said)
		}
	case 4:
		g := r.group(strings.ReplaceAll(name[2], "_", " "))
		switch e.Action {
		case "pass":
			g.Passed++
			g.Unsupported = name[3] == "Unsupported"
		case "fail":
			g.Failed++
		case "skip":
			g.Skipped++
			g.Why = append(g.Why, name[3]+": "+reason(said))
		}
	}
	return rows
}

func rowOf(rows []*row, tee, arch string) ([]*row, *row) {
	for _, r := range rows {
		if r.TEE == tee && r.Arch == arch {
			return rows, r
		}
	}
	r := &row{TEE: tee, Arch: arch}
	return append(rows, r), r
}

func (r *row) group(name string) *group {
	for _, g := range r.Groups {
		if g.Name == name {
			return g
		}
	}
	g := &group{Name: name}
	r.Groups = append(r.Groups, g)
	return g
}

// position is where a test said something.
var position = regexp.MustCompile(`(?m)^\s+\w+\.go:\d+: `)

// reason is what a test said when it was skipped.
func reason(said string) string {
	at := position.FindStringIndex(said)
	if at == nil {
		return "no reason given"
	}
	text, _, _ := strings.Cut(said[at[1]:], "\n")
	return text
}

// print prints the table, and why tests were skipped. The groups are columns.
func print(w io.Writer, rows []*row) error {
	var columns []string
	for _, r := range rows {
		for _, g := range r.Groups {
			if !contains(columns, g.Name) {
				columns = append(columns, g.Name)
			}
		}
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintf(t, "TEE\tarch\t%s\n", strings.Join(columns, "\t"))
	for _, r := range rows {
		fmt.Fprintf(t, "%s\t%s", r.TEE, r.Arch)
		for _, name := range columns {
			fmt.Fprintf(t, "\t%s", r.group(name))
		}
		fmt.Fprintln(t)
	}
	if err := t.Flush(); err != nil {
		return err
	}
	for _, r := range rows {
		if r.Why != "" {
			fmt.Fprintf(w, "%s/%s was not tested: %s\n", r.TEE, r.Arch, r.Why)
		}
		for _, g := range r.Groups {
			for _, why := range g.Why {
				fmt.Fprintf(w, "skipped: %s/%s: %s: %s\n", r.TEE, r.Arch, g.Name, why)
			}
		}
	}
	return nil
}

// String is a cell of the table.
func (g *group) String() string {
	if g.Unsupported {
		return "unsupported"
	}
	var parts []string
	for _, p := range []struct {
		n    int
		word string
	}{{g.Passed, "ok"}, {g.Failed, "FAILED"}, {g.Skipped, "skipped"}} {
		if p.n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", p.n, p.word))
		}
	}
	if len(parts) == 0 {
		return "-"
	}
	return strings.Join(parts, ", ")
}

func contains(list []string, s string) bool {
	for _, x := range list {
		if x == s {
			return true
		}
	}
	return false
}
