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

// choose returns the backend of a name, or for auto the strongest available one,
// for a program of arch, and logs the choice. Its errors match
// [*UnavailableError].
func choose(backends []tee.Backend, name, arch string, log *slog.Logger) (tee.Backend, error) {
	var best *candidate
	var faults []error
	for _, b := range backends {
		if name != auto && name != b.Name() {
			continue
		}
		c := &candidate{b, tee.ProbeFor(b, arch)}
		if !c.status.Available {
			faults = append(faults, &UnavailableError{b.Name(), c.status.Missing})
		} else if best == nil || c.strength() > best.strength() {
			best = c
		}
		if best != nil && best.strength() == strongest {
			break
		}
	}
	if best == nil {
		return nil, errors.Join(faults...)
	}
	logChoice(log, best.backend.Name(), name == auto, best.status)
	return best.backend, nil
}

// Strongest returns the name of the TEE that auto takes for a program of arch, a
// GOARCH or "" for this machine's; "" if none of backends can be used.
func Strongest(backends []tee.Backend, arch string) string {
	b, err := choose(backends, auto, arch, slog.New(slog.DiscardHandler))
	if err != nil {
		return ""
	}
	return b.Name()
}

// candidate is a backend that was asked what it finds.
type candidate struct {
	backend tee.Backend
	status  tee.Status
}

// strongest is the greatest strength.
const strongest = 2

// strength orders backends for auto, which takes the first one of the greatest:
// what keeps the machine's owner out comes before what does not, and there the
// simulation before others that only look like more.
func (c *candidate) strength() int {
	switch {
	case c.status.Confidential:
		return strongest
	case c.backend.Name() == simulation:
		return 1
	}
	return 0
}

// logChoice tells which TEE was taken and what protection it lacks here.
func logChoice(log *slog.Logger, name string, picked bool, s tee.Status) {
	log.Info("TEE chosen", "tee", name, "auto", picked)
	switch {
	case name == simulation:
		log.Warn("simulation: no protection against this machine", "tee", name)
	case !s.Confidential:
		log.Warn("no protection against this machine's owner", "tee", name)
	}
	for _, m := range s.Missing {
		log.Warn("protection absent", "tee", name, "what", m.What, "why", m.Why, "fix", m.Fix)
	}
}
