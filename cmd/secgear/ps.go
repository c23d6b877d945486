package main

import (
	"fmt"
	"time"
)

// psLook is how long "secgear ps" watches to tell how many calls there are.
const psLook = 500 * time.Millisecond

// runningList is what "secgear ps --json" prints.
type runningList struct {
	Enclaves []sighting `json:"enclaves"`
}

func runPS(i *invocation) error {
	asJSON := i.json()
	if _, err := i.parse(0, 0); err != nil {
		return err
	}
	var w watcher
	list, err := w.look(i)
	if err == nil && len(list) > 0 {
		select {
		case <-time.After(psLook):
			list, err = w.look(i)
		case <-i.Done():
			err = i.Err()
		}
	}
	if err != nil {
		return err
	}
	if *asJSON {
		return i.printJSON(runningList{list})
	}
	if len(list) == 0 {
		fmt.Fprintln(i.stderr, "secgear: no enclave of yours is running")
		return nil
	}
	for _, l := range table(list, 0) {
		if _, err := fmt.Fprintln(i.stdout, l); err != nil {
			return err
		}
	}
	return nil
}
