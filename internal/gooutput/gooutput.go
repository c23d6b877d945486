// Package gooutput makes what the go command says fit for people who stand in
// another folder than it did.
package gooutput

import (
	"path/filepath"
	"regexp"
)

// place is a file as the go command names it, relative to where it runs, before the
// number of a line.
var place = regexp.MustCompile(`(?m)^(\s*(?:vet: )?)(\.{1,2}[/\\][^:\n]+)(:\d+)`)

// From returns text, which the go command said in dir, with its files named from
// here: "./main.go:3:1" becomes "enclave/main.go:3:1".
func From(dir, text string) string {
	return place.ReplaceAllStringFunc(text, func(s string) string {
		m := place.FindStringSubmatch(s)
		return m[1] + filepath.Join(dir, m[2]) + m[3]
	})
}
