//go:build !(linux || darwin)

package terminal

import (
	"errors"
	"fmt"
	"os"
	"runtime"
)

func isTerminal(*os.File) bool { return false }

func foreground() bool { return false }

func size(*os.File) (columns, lines int) { return 0, 0 }

func unbuffered(*os.File) (restore func() error, err error) {
	return nil, fmt.Errorf("terminals on %s: %w", runtime.GOOS, errors.ErrUnsupported)
}
