package machine

import (
	"errors"
	"io/fs"

	"github.com/secgear/secgear/sdk/internal/tpm"
	"github.com/secgear/secgear/sdk/tee"
)

// LogDir is where the log of measurements is kept on a real machine: in memory,
// so that it ends with the registers' values.
const LogDir = "/run/secgear-measured"

// Parts of the protection, as reported.
const (
	ProtectedMemory = "memory protected from the machine's owner"
	TPMInside       = "TPM inside the TEE"
)

// MissingTPM says why t can't be used, and what to do.
func MissingTPM(t *tpm.TPM, err error) tee.Missing {
	m := tee.Missing{What: t.Path(), Why: err.Error(), Fix: "a TPM 2.0, enabled in the firmware's settings or the cloud's"}
	if errors.Is(err, fs.ErrPermission) {
		m.Fix = "add the user to the group tss: usermod -aG tss USER, and log in again"
	}
	return m
}

// MissingLogDir says that the folder for the log is missing, and what to do.
func MissingLogDir(dir string, err error) tee.Missing {
	why := "it is no folder"
	if err != nil {
		why = err.Error()
	}
	return tee.Missing{What: dir, Why: why, Fix: "as root: install -d -m 2770 -g tss " + dir + " (see docs/tpm.md to have it made at each start)"}
}
