package main

import (
	"bufio"
	"errors"
	"fmt"
	"regexp"
	"strings"
)

// claim is a row of the README's table of TEEs.
type claim struct {
	line string   // as it stands there
	tees []string // names in code style in the first cell
	runs bool     // it says that launching was run
}

// header is how the table begins.
const header = "| TEE | launch, calls, streams |"

var (
	name   = regexp.MustCompile("`([a-z0-9-]+)`")
	notRun = regexp.MustCompile(`^(not yet|no|as above|written, never run|never run)$`)
)

// readClaims finds the table.
func readClaims(readme string) (claims []claim, err error) {
	lines := bufio.NewScanner(strings.NewReader(readme))
	for inside := false; lines.Scan(); {
		line := lines.Text()
		switch {
		case strings.HasPrefix(line, header):
			inside = true
		case inside && !strings.HasPrefix(line, "|"):
			return claims, nil
		case inside && !strings.HasPrefix(line, "|---"):
			claims = append(claims, readClaim(line))
		}
	}
	if claims == nil {
		return nil, errors.New("the README has no table of TEEs, or its head has changed")
	}
	return claims, lines.Err()
}

func readClaim(line string) claim {
	cells := strings.Split(strings.Trim(line, "|"), "|")
	c := claim{line: line}
	for _, m := range name.FindAllStringSubmatch(cells[0], -1) {
		c.tees = append(c.tees, m[1])
	}
	c.runs = len(cells) > 1 && !notRun.MatchString(strings.TrimSpace(cells[1]))
	return c
}

// drift names where claims and what was run part. A TEE of which nothing could be
// run here says nothing.
func drift(claims []claim, rows []*row) (faults []string) {
	passed, seen := map[string]bool{}, map[string]bool{}
	for _, r := range rows {
		seen[r.TEE] = true
		for _, g := range r.Groups {
			passed[r.TEE] = passed[r.TEE] || g.Passed > 0
		}
	}
	claimed := map[string]bool{}
	for _, c := range claims {
		for _, t := range c.tees {
			claimed[t] = claimed[t] || c.runs
			if c.runs && !seen[t] {
				faults = append(faults, fmt.Sprintf("the README says that %s was run, but it has no conformance test: %s", t, c.line))
			}
		}
	}
	for _, r := range rows {
		if passed[r.TEE] && !claimed[r.TEE] {
			faults = append(faults, fmt.Sprintf("%s was run, but no row of the README's table says so", r.TEE))
			claimed[r.TEE] = true // once
		}
	}
	return faults
}
