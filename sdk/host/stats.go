package host

import (
	"os"
	"slices"
	"time"

	"github.com/secgear/secgear/sdk/image"
	"github.com/secgear/secgear/sdk/internal/interior"
	"github.com/secgear/secgear/sdk/shm"
)

// Stats are an enclave's numbers since it was loaded, or attached to, as this
// process sees them: its own calls (Made), and the calls that the enclave made
// to it (Served). The names of fields in JSON are stable; units are in them.
type Stats struct {
	Name            string         `json:"name"`
	TEE             string         `json:"tee"`
	Digest          image.Digest   `json:"digest"`
	Signer          image.SignerID `json:"signer"`
	SecurityVersion uint32         `json:"security_version"`
	Debug           bool           `json:"debug"`

	PID      int       `json:"pid"` // of this process
	Started  time.Time `json:"started"`
	UptimeNS int64     `json:"uptime_ns"`

	Lanes              int    `json:"lanes"`                // in use: this process's, and those of processes attached to it
	LanesAllowed       int    `json:"lanes_allowed"`        // by the manifest
	LaneBytes          int    `json:"lane_bytes"`           // size of this process's
	MemoryAllowedBytes uint64 `json:"memory_allowed_bytes"` // to the enclave, by the manifest

	// Inside is what the enclave said of itself, where that was asked for.
	Inside *Inside `json:"inside,omitempty"`

	shm.Stats
}

// Stats returns the enclave's numbers. It asks nobody, waits for nobody and may
// be called at any time, after Close too. What the enclave itself has to tell is
// [Enclave.Inside].
func (e *Enclave) Stats() Stats {
	m := e.id.Manifest
	s := Stats{
		Name: m.Name, TEE: e.tee, Digest: e.id.Digest, Signer: e.id.Signer,
		SecurityVersion: m.SecurityVersion, Debug: m.Debug,
		PID: os.Getpid(), Started: e.started, UptimeNS: int64(time.Since(e.started)),
		LanesAllowed: m.Lanes, MemoryAllowedBytes: m.Memory,
		Stats: shm.Stats{Made: []shm.MethodStats{}, Served: []shm.MethodStats{}},
	}
	if l := e.lane.Load(); l != nil {
		s.Stats, s.LaneBytes = l.Stats(), l.Size()
		s.Made = slices.DeleteFunc(s.Made, func(m shm.MethodStats) bool { return m.ContractID == interior.ID })
		s.Lanes = e.guests.count()
		if l.Err() == nil {
			s.Lanes++
		}
	}
	return s
}
