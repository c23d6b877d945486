//go:build !linux

package cvm

import (
	"errors"

	"github.com/google/go-configfs-tsm/configfs/configfsi"
)

// openTSM fails: it is Linux that has reports.
func openTSM() (configfsi.Client, error) { return nil, errors.ErrUnsupported }
