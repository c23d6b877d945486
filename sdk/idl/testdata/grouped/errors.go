// Package grouped has its declarations in groups and in several files.
package grouped

import (
	"errors"
	"fmt"
)

var (
	// ErrFirst crosses.
	//
	//secgear:error
	ErrFirst = errors.New("first")
	// ErrMine does not.
	ErrMine = errors.New("mine")
	//secgear:error
	ErrSecond, ErrThird = errors.New("second"), fmt.Errorf("third: %w", ErrMine)
)
