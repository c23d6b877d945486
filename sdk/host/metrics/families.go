package metrics

import (
	"strconv"

	"github.com/secgear/secgear/sdk/host"
	"github.com/secgear/secgear/sdk/shm"
)

// family is one metric. Its name is part of the interface.
type family struct {
	name, kind, help string
	write            func(*page, *host.Stats, labels)
}

// families are the metrics, in the order in which they are written.
var families = []family{
	{"secgear_enclave_info", "gauge", "What runs; always 1.", func(p *page, s *host.Stats, l labels) {
		l = l.with("tee", s.TEE).with("digest", s.Digest.String()).with("security_version", strconv.FormatUint(uint64(s.SecurityVersion), 10))
		p.count(l.with("debug", strconv.FormatBool(s.Debug)), 1)
	}},
	{"secgear_enclave_start_time_seconds", "gauge", "When the enclave was loaded or attached to, since 1970.", func(p *page, s *host.Stats, l labels) {
		p.sample("", l, strconv.FormatFloat(float64(s.Started.UnixMilli())/1e3, 'f', 3, 64))
	}},
	{"secgear_calls_total", "counter", "Calls begun: to the enclave (ecall) and by it (ocall).", perMethod(func(p *page, m *shm.MethodStats, l labels) {
		p.count(l, m.Begun)
	})},
	{"secgear_calls_failed_total", "counter", "Calls that ended in an error.", perMethod(func(p *page, m *shm.MethodStats, l labels) {
		p.count(l, m.Failed)
	})},
	{"secgear_calls_in_flight", "gauge", "Calls that have begun and not ended.", perMethod(func(p *page, m *shm.MethodStats, l labels) {
		p.count(l, m.InFlight)
	})},
	{"secgear_call_bytes_total", "counter", "Bytes of arguments and results by the path they took; inline is estimated.", perMethod(func(p *page, m *shm.MethodStats, l labels) {
		p.count(l.with("path", "inline"), m.InlineBytes)
		p.count(l.with("path", "arena"), m.ArenaBytes)
		p.count(l.with("path", "bell"), m.BellBytes)
		p.count(l.with("path", "buffer"), m.BufferBytes)
	})},
	{"secgear_call_duration_seconds", "histogram", "How long calls took, estimated from those that were timed.", perMethod(func(p *page, m *shm.MethodStats, l labels) {
		p.histogram(l, m.Latency)
	})},
	{"secgear_spins_total", "counter", "Waits that kept a processor busy, by whether that paid.", func(p *page, s *host.Stats, l labels) {
		p.count(l.with("result", "paid"), s.SpinsPaid)
		p.count(l.with("result", "failed"), s.SpinsFailed)
	}},
	{"secgear_turns_total", "counter", "Waits in which callers took turns.", number(func(s *host.Stats) uint64 { return s.Turns })},
	{"secgear_parks_total", "counter", "Waits of a caller's goroutine on a channel.", number(func(s *host.Stats) uint64 { return s.Parks })},
	{"secgear_sleeps_total", "counter", "Sleeps of idle workers in the kernel.", number(func(s *host.Stats) uint64 { return s.Sleeps })},
	{"secgear_wakeups_total", "counter", "Wake-ups between the two sides.", func(p *page, s *host.Stats, l labels) {
		p.count(l.with("direction", "sent"), s.WakesSent)
		p.count(l.with("direction", "heard"), s.WakesHeard)
	}},
	{"secgear_stalls_total", "counter", "Times that the enclave took nothing for so long that a second worker was woken.", number(func(s *host.Stats) uint64 { return s.Stalls })},
	{"secgear_streams", "gauge", "Streams that are open.", number(func(s *host.Stats) uint64 { return uint64(s.Streams) })},
	{"secgear_streams_opened_total", "counter", "Streams opened, by either side.", number(func(s *host.Stats) uint64 { return s.StreamsOpened })},
	{"secgear_stream_bytes_total", "counter", "Bytes of streams, by whether the host read or wrote them.", func(p *page, s *host.Stats, l labels) {
		p.count(l.with("direction", "read"), s.StreamReadBytes)
		p.count(l.with("direction", "written"), s.StreamWrittenBytes)
	}},
	{"secgear_slots_in_use", "gauge", "Slots of the lane that calls hold.", number(func(s *host.Stats) uint64 { return uint64(s.SlotsInUse) })},
	{"secgear_slots", "gauge", "Slots of the lane.", number(func(s *host.Stats) uint64 { return uint64(s.Slots) })},
	{"secgear_workers", "gauge", "Goroutines on the host that serve the enclave's calls, or may.", number(func(s *host.Stats) uint64 { return uint64(s.Workers) })},
	{"secgear_workers_most", "gauge", "The most of them at a time.", number(func(s *host.Stats) uint64 { return uint64(s.WorkersMost) })},
	{"secgear_workers_limit", "gauge", "Handlers on the host that may run at a time.", number(func(s *host.Stats) uint64 { return uint64(s.WorkersAllowed) })},
	{"secgear_arena_bytes", "gauge", "Bytes of the host's arena in use.", number(func(s *host.Stats) uint64 { return uint64(s.ArenaNowBytes) })},
	{"secgear_arena_most_bytes", "gauge", "The most of them at a time.", number(func(s *host.Stats) uint64 { return uint64(s.ArenaMostBytes) })},
	{"secgear_arena_size_bytes", "gauge", "Size of the host's arena.", number(func(s *host.Stats) uint64 { return uint64(s.ArenaSizeBytes) })},
	{"secgear_lanes", "gauge", "Lanes of the enclave in use: this process's and those of processes attached to it.", number(func(s *host.Stats) uint64 { return uint64(s.Lanes) })},
	{"secgear_lanes_limit", "gauge", "Lanes that the manifest allows.", number(func(s *host.Stats) uint64 { return uint64(s.LanesAllowed) })},
}

// number is the value of an enclave's only sample.
func number(value func(*host.Stats) uint64) func(*page, *host.Stats, labels) {
	return func(p *page, s *host.Stats, l labels) { p.count(l, value(s)) }
}

// perMethod writes what write does for each method, in both directions.
func perMethod(write func(*page, *shm.MethodStats, labels)) func(*page, *host.Stats, labels) {
	return func(p *page, s *host.Stats, l labels) {
		for _, d := range []struct {
			name string
			list []shm.MethodStats
		}{{"ecall", s.Made}, {"ocall", s.Served}} {
			for i := range d.list {
				m := &d.list[i]
				write(p, m, l.with("direction", d.name).with("contract", m.Contract).with("method", m.Method))
			}
		}
	}
}
