package main

import (
	"fmt"
	"runtime"
	"runtime/debug"
)

// versionInfo is what "secgear version --json" prints.
type versionInfo struct {
	Version string `json:"version"` // of the module, or "(devel)"
	Go      string `json:"go"`
	OS      string `json:"os"`
	Arch    string `json:"arch"`
}

func runVersion(i *invocation) error {
	asJSON := i.json()
	if _, err := i.parse(0, 0); err != nil {
		return err
	}
	v := versionInfo{moduleVersion(), runtime.Version(), runtime.GOOS, runtime.GOARCH}
	if *asJSON {
		return i.printJSON(v)
	}
	_, err := fmt.Fprintf(i.stdout, "secgear %s %s %s/%s\n", v.Version, v.Go, v.OS, v.Arch)
	return err
}

// moduleVersion is the version of the module that this command was built from.
func moduleVersion() string {
	info, ok := debug.ReadBuildInfo()
	if !ok || info.Main.Path != modulePath || info.Main.Version == "" {
		return "(devel)"
	}
	return info.Main.Version
}
