package main

import (
	"fmt"
	"io"
	"text/tabwriter"

	"github.com/secgear/secgear/sdk/host"
	"github.com/secgear/secgear/sdk/tee/all"
)

// teeList is what "secgear tee --json" prints. Its names are stable.
type teeList struct {
	Auto string      `json:"auto"` // the TEE that auto takes, "" if there is none
	TEEs []all.Found `json:"tees"`
}

func runTEE(i *invocation) error {
	asJSON := i.json()
	args, err := i.parse(0, 1)
	if err != nil {
		return err
	}
	list := teeList{host.Strongest(all.Backends(), ""), all.Detect()}
	if len(args) == 1 {
		if list.TEEs, err = oneTEE(list.TEEs, args[0]); err != nil {
			return err
		}
	}
	if *asJSON {
		return i.printJSON(list)
	}
	return list.print(i.stdout)
}

// oneTEE leaves the TEE of that name.
func oneTEE(list []all.Found, name string) ([]all.Found, error) {
	for _, f := range list {
		if f.TEE == name {
			return []all.Found{f}, nil
		}
	}
	return nil, hint(fmt.Errorf("there is no TEE %q", name), "secgear tee lists them")
}

// print shows a table to people, and what is missing below it.
func (l *teeList) print(w io.Writer) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprint(t, "TEE\tLAUNCH\tOWNER\tHARDWARE\tINSIDE\tWHAT IT IS\n")
	for _, f := range l.TEEs {
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\n", f.TEE, launchable(f), ownerIs(f), f.Hardware, f.Inside, f.About)
	}
	if err := t.Flush(); err != nil {
		return err
	}
	if l.Auto == "" {
		fmt.Fprint(w, "\nauto finds none that works here\n")
	} else {
		fmt.Fprintf(w, "\nauto takes %s\n", l.Auto)
	}
	for _, f := range l.TEEs {
		if err := printMissing(w, f); err != nil {
			return err
		}
	}
	return nil
}

func launchable(f all.Found) string {
	switch {
	case f.Available:
		return "yes"
	case f.Supported:
		return "no"
	}
	return "not yet"
}

// ownerIs says what becomes of the machine's owner.
func ownerIs(f all.Found) string {
	switch {
	case !f.Available:
		return "-"
	case f.Confidential:
		return "kept out"
	}
	return "sees all"
}

// printMissing says what a TEE lacks here and what to do.
func printMissing(w io.Writer, f all.Found) error {
	if len(f.Missing) == 0 {
		return nil
	}
	title := "is not to be had here"
	if f.Available {
		title = "works, without all it could have"
	}
	_, err := fmt.Fprintf(w, "\n%s %s:\n", f.TEE, title)
	for _, m := range f.Missing {
		fmt.Fprintf(w, "  %s", printable(m.What))
		if m.Why != "" {
			fmt.Fprintf(w, ": %s", printable(m.Why))
		}
		fmt.Fprintln(w)
		if m.Fix != "" {
			_, err = fmt.Fprintf(w, "    to fix it: %s\n", printable(m.Fix))
		}
	}
	return err
}
