package goread

import (
	"fmt"
	"go/ast"
	"go/token"
	"strings"

	"github.com/secgear/secgear/sdk/idl/model"
)

// The directives, as they are written after the two slashes.
const (
	ecallDirective    = "secgear:ecall"
	ocallDirective    = "secgear:ocall"
	switchedDirective = "secgear:switched"
	errorDirective    = "secgear:error"
	checkDirective    = "secgear:check"
	privateDirective  = "secgear:private"
	allowDirective    = "secgear:allow"
)

// places tells where each directive belongs.
var places = map[string]string{
	ecallDirective:    "an interface type",
	ocallDirective:    "an interface type",
	switchedDirective: "a method of a contract",
	errorDirective:    "a var declaration of errors",
	checkDirective:    "a method of a contract, or a struct that one uses",
	privateDirective:  "a method that the enclave serves",
	allowDirective:    "a method that the host serves",
}

// examples are of the directives that take an argument.
var examples = map[string]string{
	checkDirective: "secgear:check len(data) == size",
	allowDirective: "secgear:allow Trusted.Confirm",
}

// directives are those of a package that no declaration has taken yet.
type directives map[*ast.Comment]directive

type directive struct {
	name  string
	args  string // of a check
	pos   token.Position
	taken bool
}

// collectDirectives finds the directives in src and reports those that are
// misspelt or in files that not every machine builds.
func collectDirectives(src *source, faults *model.Faults) directives {
	found := directives{}
	each(src, src.files, func(c *ast.Comment, pos token.Position) {
		name, wrong := parseDirective(c.Text)
		switch {
		case wrong != "":
			faults.Addf(pos, "%s", wrong)
		case name != "":
			_, args, _ := strings.Cut(c.Text, " ")
			found[c] = directive{name: name, args: strings.TrimSpace(args), pos: pos}
		}
	})
	each(src, src.excluded, func(c *ast.Comment, pos token.Position) {
		if name, wrong := parseDirective(c.Text); name != "" && wrong == "" {
			faults.Addf(pos, "//%s in a file that is a test or left out here by build constraints; a contract is the same on every machine", name)
		}
	})
	return found
}

func each(src *source, files []*ast.File, do func(*ast.Comment, token.Position)) {
	for _, f := range files {
		for _, group := range f.Comments {
			for _, c := range group.List {
				do(c, src.fset.Position(c.Pos()))
			}
		}
	}
}

// parseDirective returns the directive in a comment, or "" if it is none. If
// it is not quite one, wrong says so.
func parseDirective(comment string) (name, wrong string) {
	text, exact := strings.CutPrefix(comment, "//secgear:")
	if exact {
		word := strings.TrimSpace(text)
		if example := examples["secgear:"+word]; example != "" {
			return "", "//secgear:" + word + " takes an argument, as in //" + example
		}
		if _, known := places["secgear:"+word]; known {
			return "secgear:" + word, ""
		}
		word, rest, spaced := strings.Cut(word, " ")
		if _, takes := examples["secgear:"+word]; takes && spaced {
			return "secgear:" + word, ""
		}
		if _, known := places["secgear:"+word]; known && spaced {
			return "", fmt.Sprintf("//secgear:%s takes no arguments; remove %q", word, strings.TrimSpace(rest))
		}
		return "", "unknown directive //secgear:" + word + "; there are ecall, ocall, switched, check, private, allow and error"
	}
	loose := strings.ToLower(strings.TrimSpace(strings.Trim(comment, "/*")))
	if _, known := places[loose]; known {
		return "", "this is a comment; the directive is written //" + loose + ", without a space and in lower case"
	}
	return "", ""
}

// take reports whether doc holds the directive, which counts as found in its
// right place.
func (d directives) take(doc *ast.CommentGroup, name string) bool {
	if doc == nil {
		return false
	}
	has := false
	for _, c := range doc.List {
		if found, ok := d[c]; ok && found.name == name {
			found.taken = true
			d[c] = found
			has = true
		}
	}
	return has
}

// excuse takes the directives within a declaration that was refused: that they are
// out of place there follows from it. Its methods may be named elsewhere.
func (r *reader) excuse(spec *ast.TypeSpec) {
	r.refused[spec.Name.Name] = true
	for c, d := range r.directives {
		if spec.Pos() <= c.Pos() && c.Pos() < spec.End() {
			d.taken = true
			r.directives[c] = d
		}
	}
}

// leftover reports the directives that nothing has taken.
func (d directives) leftover(faults *model.Faults) {
	for _, left := range d {
		if !left.taken {
			faults.Addf(left.pos, "//%s belongs directly above %s, in its doc comment", left.name, places[left.name])
		}
	}
}
