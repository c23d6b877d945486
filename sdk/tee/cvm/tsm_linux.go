package cvm

import (
	"github.com/google/go-configfs-tsm/configfs/configfsi"
	"github.com/google/go-configfs-tsm/configfs/linuxtsm"
)

// openTSM finds what makes reports.
func openTSM() (configfsi.Client, error) {
	return linuxtsm.MakeClient()
}
