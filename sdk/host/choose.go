package host

import (
	"errors"
	"fmt"
	"log/slog"
	"strings"

	"github.com/secgear/secgear/sdk/tee"
)

// auto is the name for the strongest TEE at hand.
const auto = "auto"

// simulation is the name of the TEE that is none.
const simulation = "sim"

// UnavailableError says why a TEE can't be used on this machine.
type UnavailableError struct {
	TEE     string
	Missing []tee.Missing
}

// Error names what is missing, why, and the fix.
func (e *UnavailableError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "TEE %s is not available here", e.TEE)
	for i, m := range e.Missing {
		sep := "; "
		if i == 0 {
			sep = ": "
		}
		b.WriteString(sep + m.What)
		if m.Why != "" {
			b.WriteString(": " + m.Why)
		}
		if m.Fix != "" {
			b.WriteString(" (to fix it: " + m.Fix + ")")
		}
	}
	return b.String()
}

// choose returns the backend of a name, or for auto the first available one,
// for a program of arch, and logs the choice. Its errors match
// [*UnavailableError].
func choose(backends []tee.Backend, name, arch string, log *slog.Logger) (tee.Backend, error) {
	var faults []error
	for _, b := range backends {
		if name != auto && name != b.Name() {
			continue
		}
		status := tee.ProbeFor(b, arch)
		if status.Available {
			logChoice(log, b.Name(), name == auto, status.Missing)
			return b, nil
		}
		faults = append(faults, &UnavailableError{b.Name(), status.Missing})
	}
	return nil, errors.Join(faults...)
}

// logChoice tells which TEE was taken and what protection it lacks here.
func logChoice(log *slog.Logger, name string, picked bool, missing []tee.Missing) {
	log.Info("TEE chosen", "tee", name, "auto", picked)
	if name == simulation {
		log.Warn("simulation: no protection against this machine", "tee", name)
	}
	for _, m := range missing {
		log.Warn("protection absent", "tee", name, "what", m.What, "why", m.Why, "fix", m.Fix)
	}
}
