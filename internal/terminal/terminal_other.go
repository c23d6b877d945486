//go:build !(linux || darwin)

package terminal

import "os"

func isTerminal(*os.File) bool { return false }

func foreground() bool { return false }
