//go:build !unix

package main

import "os"

// forwarded are the signals that "secgear run" hands to the host program.
var forwarded = []os.Signal{os.Interrupt}

// typed tells whether s is a signal that terminals send.
func typed(os.Signal) bool { return true }

// exitCode returns a process's status.
func exitCode(state *os.ProcessState) int { return state.ExitCode() }
