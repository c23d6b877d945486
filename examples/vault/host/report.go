package main

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/secgear/secgear/examples/vault"
	"github.com/secgear/secgear/sdk/host"
	"github.com/secgear/secgear/sdk/image"
	"github.com/secgear/secgear/sdk/tee"
)

// report is what the program has to tell: as text, part by part as it becomes
// known, or as one JSON object at the end.
type report struct {
	out    io.Writer
	asJSON bool
	err    error // the first one in writing

	result
}

// result is the JSON object.
type result struct {
	TEE        string `json:"tee"`
	Simulation bool   `json:"simulation"` // no protection against this machine

	// The measurement: what runs in the enclave.
	Enclave         string         `json:"enclave"`
	SecurityVersion uint32         `json:"security_version"`
	Digest          image.Digest   `json:"digest"`
	Signer          image.SignerID `json:"signer"`

	Protections []tee.Protection `json:"protections"`
	StartMillis float64          `json:"start_ms"`

	// The file. That it was opened the same again is true, or there is no
	// report.
	File         string  `json:"file"`
	Bytes        int64   `json:"bytes"`
	SealedBytes  int64   `json:"sealed_bytes"`
	SealSpeed    float64 `json:"seal_mib_per_s"`
	OpenSpeed    float64 `json:"open_mib_per_s"`
	OpenedIsSame bool    `json:"opened_is_same"`
	TemporaryKey bool    `json:"temporary_key"` // it was lost with the enclave: the TEE has no sealing keys

	// The comparison: medians over so many rounds, quantiles over all calls.
	Rounds            int     `json:"rounds"`
	ZeroCopySpeed     float64 `json:"zero_copy_mib_per_s"`
	CopiedSpeed       float64 `json:"copied_mib_per_s"`
	SwitchedSpeed     float64 `json:"switched_mib_per_s"`
	ZeroSwitchLatency latency `json:"zero_switch_call"`
	SwitchedLatency   latency `json:"switched_call"`
}

// latency of calls, in microseconds.
type latency struct {
	P50 float64 `json:"p50_us"`
	P90 float64 `json:"p90_us"`
}

func newLatency(calls []time.Duration) latency {
	us := func(d time.Duration) float64 { return float64(d.Nanoseconds()) / 1000 }
	return latency{us(quantile(calls, 0.5)), us(quantile(calls, 0.9))}
}

// printf writes a part of the text.
func (r *report) printf(format string, args ...any) {
	if r.asJSON || r.err != nil {
		return
	}
	_, r.err = fmt.Fprintf(r.out, format, args...)
}

// loaded tells what was loaded, and how well it is protected.
func (r *report) loaded(e *host.Enclave, took time.Duration) {
	r.TEE, r.Simulation = e.TEE(), e.TEE() == "sim"
	r.Enclave, r.SecurityVersion = e.Manifest().Name, e.Manifest().SecurityVersion
	r.Digest, r.Signer, r.Protections = e.Digest(), e.Signer(), e.Protections()
	r.StartMillis = float64(took.Microseconds()) / 1000

	what := ""
	if r.Simulation {
		what = ": a simulation, without protection against whoever controls this machine"
	}
	r.printf("TEE          %s%s\n", r.TEE, what)
	r.printf("enclave      %s, security version %d, ready after %.0f ms\n", r.Enclave, r.SecurityVersion, r.StartMillis)
	r.printf("  digest     %v\n", r.Digest)
	r.printf("  signer     %v\n", r.Signer)
	r.printf("  in force   %s\n", wrap(inForce(r.Protections), 65, "\n             "))
	for _, p := range r.Protections {
		if !p.Active {
			r.printf("  missing    %s: %s\n", p.Name, p.Reason)
		}
	}
}

// inForce lists the protections that are.
func inForce(all []tee.Protection) string {
	var names []string
	for _, p := range all {
		if p.Active {
			names = append(names, p.Name)
		}
	}
	if names == nil {
		return "nothing"
	}
	return strings.Join(names, ", ")
}

// wrap breaks text at spaces into lines of at most width bytes.
func wrap(text string, width int, newline string) string {
	var b strings.Builder
	column := 0
	for i, word := range strings.Fields(text) {
		switch {
		case i == 0:
		case column+1+len(word) > width:
			b.WriteString(newline)
			column = 0
		default:
			b.WriteByte(' ')
			column++
		}
		b.WriteString(word)
		column += len(word)
	}
	return b.String()
}

// sealed tells that the file was sealed, opened and found to be the same.
func (r *report) sealed(f *source, j job) {
	took := j.took
	r.TemporaryKey = j.temporary
	r.File, r.Bytes, r.SealedBytes, r.OpenedIsSame = f.name, f.size, sealedSize(f.size), true
	r.SealSpeed, r.OpenSpeed = speed(f.size, took.seal), speed(f.size, took.open)
	r.printf("\nfile         %s, %s\n", f.name, size(f.size))
	r.printf("sealed       in chunks of %s, %.0f MiB/s\n", size(vault.ChunkSize), r.SealSpeed)
	if r.TemporaryKey {
		r.printf("             with a key that is lost with the enclave: TEE %s has no sealing keys\n", r.TEE)
	}
	r.printf("opened       every byte is the same again, %.0f MiB/s\n", r.OpenSpeed)
}

// compared tells how fast the ways to call are.
func (r *report) compared(m *measured) {
	r.Rounds = len(m.switched)
	r.SwitchedSpeed, r.SwitchedLatency = quantile(m.switched, 0.5), newLatency(m.bySwitch)
	shared := len(m.zeroCopy) > 0
	if shared {
		r.ZeroCopySpeed, r.CopiedSpeed = quantile(m.zeroCopy, 0.5), quantile(m.copied, 0.5)
		r.ZeroSwitchLatency = newLatency(m.zeroSwitch)
	}
	r.printf("\nthroughput of sealing and opening, in turn, median of %d rounds\n", r.Rounds)
	if r.Bytes < 1<<20 {
		r.printf("  (the file is too small for it to mean much)\n")
	}
	if !shared {
		r.printf("  (TEE %s shares no memory with its host: every call is switched)\n", r.TEE)
	} else {
		r.printf("  zero-copy    %7.0f MiB/s   chunks in shared memory\n", r.ZeroCopySpeed)
		r.printf("  copied       %7.0f MiB/s   chunks as arguments and results\n", r.CopiedSpeed)
	}
	r.printf("  switched     %7.0f MiB/s   the same through a socket\n", r.SwitchedSpeed)
	r.printf("latency of a call           p50          p90\n")
	if shared {
		r.printf("  zero-switch  %9.2f µs %9.2f µs   through shared memory\n", r.ZeroSwitchLatency.P50, r.ZeroSwitchLatency.P90)
	}
	r.printf("  switched     %9.2f µs %9.2f µs   through a socket\n", r.SwitchedLatency.P50, r.SwitchedLatency.P90)
}

// end writes the report if it is JSON, and returns what went wrong in writing it.
func (r *report) end() error {
	if r.asJSON {
		enc := json.NewEncoder(r.out)
		enc.SetIndent("", "  ")
		r.err = enc.Encode(r.result)
	}
	if r.err != nil {
		return fmt.Errorf("writing the report: %w", r.err)
	}
	return nil
}

// size writes a number of bytes.
func size(n int64) string {
	switch {
	case n < 1<<10:
		return fmt.Sprintf("%d bytes", n)
	case n < 1<<20:
		return fmt.Sprintf("%d KiB", n>>10)
	}
	return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20))
}

// quantile is the value below which the share q of the values lies, of which there
// is one at least.
func quantile[T float64 | time.Duration](values []T, q float64) T {
	sorted := slices.Sorted(slices.Values(values))
	return sorted[min(int(q*float64(len(sorted))), len(sorted)-1)]
}
