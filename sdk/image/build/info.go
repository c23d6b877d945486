package build

import (
	"bytes"
	"debug/buildinfo"
	"fmt"
	"runtime/debug"
)

// infoFrame stands in for the 16 bytes that enclose the build information in a
// program. Its readers take them off unseen; those that cmd/go writes contain
// a NUL, which no argument can.
const infoFrame = "secgear modules\n"

// Info returns what program says about the Go version and the modules that it
// was built with.
func Info(program []byte) (*debug.BuildInfo, error) {
	info, err := buildinfo.Read(bytes.NewReader(program))
	if err != nil {
		return nil, fmt.Errorf("reading build information: %w", err)
	}
	return info, nil
}

// portableInfo returns the build information for program as the linker takes
// it, without the names of directories that modules were replaced by, and
// whether there were any.
func portableInfo(program []byte) (info string, changed bool, err error) {
	b, err := Info(program)
	if err != nil {
		return "", false, err
	}
	for _, dep := range b.Deps {
		if r := dep.Replace; r != nil && (r.Version == "" || r.Version == "(devel)") {
			dep.Version, dep.Sum, dep.Replace = "(devel)", "", nil
			changed = true
		}
	}
	b.GoVersion = "" // kept elsewhere
	return infoFrame + b.String() + infoFrame, changed, nil
}
