package gowrite

import (
	"go/token"
	"maps"
	"path"
	"slices"
	"strings"
)

// The packages that generated code imports.
const (
	callPath         = "github.com/secgear/secgear/sdk/call"
	shmPath          = "github.com/secgear/secgear/sdk/shm"
	boundarytestPath = "github.com/secgear/secgear/sdk/boundarytest"
)

// imports are those of one generated file.
type imports struct {
	taken map[string]token.Position // identifiers of the package
	names map[string]string         // import path → name in the file
}

// name returns what the package at importPath is called in the file, and
// imports it.
func (i *imports) name(importPath string) string {
	if name, ok := i.names[importPath]; ok {
		return name
	}
	name := path.Base(importPath)
	for {
		if _, ok := i.taken[name]; !ok {
			break
		}
		name += "pkg"
	}
	i.names[importPath] = name
	return name
}

// specs returns the import declaration's lines, the standard library first.
func (i *imports) specs() []string {
	var std, others []string
	for _, p := range slices.Sorted(maps.Keys(i.names)) {
		spec := `"` + p + `"`
		if name := i.names[p]; name != path.Base(p) {
			spec = name + " " + spec
		}
		if strings.Contains(p, ".") {
			others = append(others, spec)
		} else {
			std = append(std, spec)
		}
	}
	return append(append(std, ""), others...)
}
