package shm

import (
	"context"
	"encoding/json"
	"slices"
	"sync"
	"testing"
	"time"
)

func doSwitched(ctx context.Context, l *Lane, method uint16, args []byte, switched bool) ([]byte, error) {
	c, err := start(ctx, l, method, switched, args)
	if err != nil {
		return nil, err
	}
	return finish(c, c.Ticket())
}

// methodOf returns the numbers of one method.
func methodOf(t *testing.T, list []MethodStats, name string) MethodStats {
	t.Helper()
	for _, m := range list {
		if m.Method == name {
			return m
		}
	}
	t.Fatalf("no method %q in %+v", name, list)
	return MethodStats{}
}

func TestStatsCount(t *testing.T) {
	p := newPair(t, Config{TimeEvery: 1})
	ctx := t.Context()
	for range 10 {
		if _, err := do(ctx, p.host, echo, pattern(50)); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := do(ctx, p.host, echo, pattern(100_000)); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if _, err := do(ctx, p.host, fail, nil); err == nil {
			t.Fatal("no error")
		}
	}
	if _, err := p.host.Begin(ctx, 1, echo, false, 3<<20); err == nil {
		t.Fatal("a call larger than the arena has begun")
	}
	made, served := p.host.Stats(), p.enclave.Stats()
	for _, tt := range []struct {
		name string
		m    MethodStats
		want MethodStats
	}{
		{"echo, made", methodOf(t, made.Made, "echo"), MethodStats{Begun: 12, Failed: 1, InlineBytes: 1000, ArenaBytes: 200_000}},
		{"fail, made", methodOf(t, made.Made, "fail"), MethodStats{Begun: 3, Failed: 3}},
		{"echo, served", methodOf(t, served.Served, "echo"), MethodStats{Begun: 11, InlineBytes: 1000, ArenaBytes: 200_000}},
		{"fail, served", methodOf(t, served.Served, "fail"), MethodStats{Begun: 3, Failed: 3}},
	} {
		m := tt.m
		if m.Begun != tt.want.Begun || m.Failed != tt.want.Failed || m.InFlight != 0 ||
			m.InlineBytes != tt.want.InlineBytes || m.ArenaBytes != tt.want.ArenaBytes {
			t.Errorf("%s: %+v", tt.name, m)
		}
		if m.Latency.Count != tt.want.Begun || m.Latency.SampledEvery != 1 || m.Latency.MaxNS == 0 ||
			m.Latency.P50NS > m.Latency.P99NS || m.Latency.P99NS > m.Latency.MaxNS {
			t.Errorf("%s: latency %+v", tt.name, m.Latency)
		}
	}
	if made.ArenaSizeBytes == 0 || made.ArenaMostBytes < 100_000 || made.ArenaNowBytes != 0 {
		t.Errorf("arena: %+v", made)
	}
	if served.Workers == 0 || served.WorkersMost < served.Workers || served.WorkersAllowed != defaultWorkers {
		t.Errorf("workers: %+v", served)
	}
	if made.SpinsPaid+made.SpinsFailed+made.Turns == 0 {
		t.Errorf("nobody waited: %+v", made)
	}
}

// TestStatsInFlight: what waits shows in the slots, over the memory and the
// bell.
func TestStatsInFlight(t *testing.T) {
	p := newPair(t, Config{})
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	for _, switched := range []bool{false, false, true} {
		wg.Go(func() { doSwitched(ctx, p.host, gate, nil, switched) })
	}
	p.await(3)
	if m := methodOf(t, p.enclave.Stats().Served, "gate"); m.InFlight != 3 || m.Begun != 3 {
		t.Errorf("served: %+v", m)
	}
	s := p.host.Stats()
	if m := s.Made[0]; m.InFlight != 3 || s.SlotsInUse != 3 || m.MethodID != gate {
		t.Errorf("made: %+v, %d slots", m, s.SlotsInUse)
	}
	close(p.gate)
	wg.Wait()
	cancel()
	if m := p.host.Stats().Made[0]; m.InFlight != 0 || m.Failed != 0 || m.Begun != 3 {
		t.Errorf("after: %+v", m)
	}
}

// TestStatsCancelled: a call that its caller gave up has failed, once its slot
// is free.
func TestStatsCancelled(t *testing.T) {
	for _, switched := range []bool{false, true} {
		p := newPair(t, Config{})
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() {
			_, err := doSwitched(ctx, p.host, block, nil, switched)
			done <- err
		}()
		p.await(1)
		cancel()
		if err := <-done; err == nil {
			t.Fatal("no error")
		}
		if _, err := do(t.Context(), p.host, echo, nil); err != nil {
			t.Fatal(err)
		}
		for m := p.host.Stats(); m.SlotsInUse != 0; m = p.host.Stats() {
			if _, err := do(t.Context(), p.host, echo, nil); err != nil {
				t.Fatal(err)
			}
		}
		m := p.host.Stats().Made
		i := slices.IndexFunc(m, func(m MethodStats) bool { return m.MethodID == block })
		if m[i].Begun != 1 || m[i].Failed != 1 || m[i].InFlight != 0 {
			t.Errorf("switched %v: %+v", switched, m[i])
		}
	}
}

// TestStatsUnknown: numbers that the other side makes up take no memory of
// their own.
func TestStatsUnknown(t *testing.T) {
	p := newPair(t, Config{})
	for contract := range uint32(200) {
		c, err := p.host.Begin(t.Context(), contract+2, uint16(contract)+100, contract%2 == 0, 0)
		if err != nil {
			t.Fatal(err)
		}
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		if _, err := c.Wait(c.Ticket()); err == nil {
			c.End()
		}
	}
	s := p.enclave.Stats()
	if len(s.Served) != 1 || s.Served[0].Method != "" || s.Served[0].Begun != 200 {
		t.Errorf("served: %+v", s.Served)
	}
	if n := len(p.enclave.served.list); n > Slots+1 {
		t.Errorf("%d tallies", n)
	}
}

// TestStatsWhileCalling: reading while calls go on races with nothing, and
// nothing counts backwards.
func TestStatsWhileCalling(t *testing.T) {
	p := newPair(t, Config{TimeEvery: 2})
	var wg sync.WaitGroup
	const callers, calls = 4, 300
	for range callers {
		wg.Go(func() {
			for i := range calls {
				if _, err := doSwitched(t.Context(), p.host, echo, pattern(i*20), i%50 == 0); err != nil {
					t.Error(err)
				}
			}
		})
	}
	ended := make(chan struct{})
	go func() { wg.Wait(); close(ended) }()
	var last uint64
	for over := false; !over; {
		select {
		case <-ended:
			over = true
		default:
		}
		s := p.enclave.Stats()
		p.host.Stats()
		if len(s.Served) == 0 {
			continue
		}
		if s.Served[0].Begun < last {
			t.Fatalf("%d calls, then %d", last, s.Served[0].Begun)
		}
		last = s.Served[0].Begun
	}
	if last != callers*calls {
		t.Errorf("%d calls counted, want %d", last, callers*calls)
	}
}

func TestStatsBuffers(t *testing.T) {
	p := newPair(t, Config{})
	b, err := p.host.NewBuffer(t.Context(), 5000)
	if err != nil {
		t.Fatal(err)
	}
	c, err := p.host.Begin(t.Context(), 1, echo, false, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Lend(b); err != nil {
		t.Fatal(err)
	}
	if s := p.host.Stats(); s.Made[0].BufferBytes != 5000 || s.ArenaNowBytes < 5000 {
		t.Errorf("%+v", s)
	}
	c.Abort()
	if s := p.host.Stats(); s.Made[0].Failed != 1 {
		t.Errorf("%+v", s)
	}
	if err := b.Free(); err != nil {
		t.Fatal(err)
	}
}

func TestStatsPlus(t *testing.T) {
	one := Stats{Made: []MethodStats{{Contract: "c", Method: "m", ContractID: 1, Begun: 2, Failed: 1}}, Parks: 3, ArenaSizeBytes: 10}
	other := Stats{Made: []MethodStats{{ContractID: 1, Begun: 5}, {ContractID: 2, Begun: 1}}, Parks: 4, ArenaSizeBytes: 10}
	sum := one.Plus(other)
	if len(sum.Made) != 2 || sum.Parks != 7 || sum.ArenaSizeBytes != 20 {
		t.Fatalf("%+v", sum)
	}
	if m := methodOf(t, sum.Made, "m"); m.Begun != 7 || m.Failed != 1 {
		t.Errorf("%+v", m)
	}
	if one.Made[0].Begun != 2 {
		t.Error("Plus changed what it was given")
	}
}

func TestLatencyBuckets(t *testing.T) {
	last := uint64(0)
	for i := range latencyBuckets {
		end := bucketEnd(i)
		if end <= last {
			t.Fatalf("bucket %d ends at %d, the one before at %d", i, end, last)
		}
		if got := bucketOf(end); got != i {
			t.Errorf("bucketOf(%d) = %d, want %d", end, got, i)
		}
		if got := bucketOf(last + 1); got != i {
			t.Errorf("bucketOf(%d) = %d, want %d", last+1, got, i)
		}
		last = end
	}
	if got := bucketOf(1 << 62); got != latencyBuckets-1 {
		t.Errorf("the longest is in bucket %d", got)
	}
	if last < uint64(2*time.Minute) {
		t.Errorf("buckets end at %v", time.Duration(last))
	}
}

func TestLatency(t *testing.T) {
	var h latency
	if l := h.snapshot(64); l.Percentile(50) != 0 || l.Count != 0 {
		t.Errorf("empty: %+v", l)
	}
	for range 98 {
		h.add(100, 1)
	}
	before := h.snapshot(64)
	h.add(1_000_000, 2)
	l := h.snapshot(64)
	if l.Count != 100 || l.SumNS != 98*100+2_000_000 || l.MaxNS != 1_000_000 {
		t.Errorf("%+v", l)
	}
	if l.P50NS < 100 || l.P50NS > 125 || l.P99NS != 1_000_000 {
		t.Errorf("p50 %d, p99 %d", l.P50NS, l.P99NS)
	}
	if d := l.Since(before); d.Count != 2 || d.SumNS != 2_000_000 || d.P50NS != 1_000_000 {
		t.Errorf("difference: %+v", d)
	}
	if sum := before.Plus(l); sum.Count != 198 || len(sum.Buckets) != 2 || sum.P50NS > 125 {
		t.Errorf("sum: %+v", sum)
	}
}

// TestLatencySampled: one call in TimeEvery stands for all, whose count it keeps.
func TestLatencySampled(t *testing.T) {
	p := newPair(t, Config{TimeEvery: 5}) // rounded up
	for range 8 + 8*10 {
		if _, err := do(t.Context(), p.host, echo, pattern(10)); err != nil {
			t.Fatal(err)
		}
	}
	l := p.host.Stats().Made[0].Latency
	if l.SampledEvery != 8 || l.Count != 88 {
		t.Errorf("%+v", l)
	}
	if got := p.host.Stats().Made[0].InlineBytes; got != 88*20 {
		t.Errorf("%d bytes", got)
	}
}

// TestStatsJSON keeps the names of fields: scripts read them.
func TestStatsJSON(t *testing.T) {
	s := Stats{Made: []MethodStats{{Latency: Latency{Buckets: []Bucket{{1, 2}}}}}, Served: []MethodStats{}}
	got, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	const want = `{"made":[{"contract":"","method":"","contract_id":0,"method_id":0,"begun":0,"failed":0,"in_flight":0,` +
		`"inline_bytes":0,"arena_bytes":0,"bell_bytes":0,"buffer_bytes":0,` +
		`"latency":{"sampled_every":0,"count":0,"sum_ns":0,"max_ns":0,"p50_ns":0,"p90_ns":0,"p99_ns":0,"buckets":[{"le_ns":1,"count":2}]}}],` +
		`"served":[],"spins_paid":0,"spins_failed":0,"turns":0,"parks":0,"sleeps":0,"wakes_sent":0,"wakes_heard":0,"stalls":0,` +
		`"streams":0,"streams_opened":0,"stream_read_bytes":0,"stream_written_bytes":0,` +
		`"slots_in_use":0,"slots":0,"workers":0,"workers_asleep":0,"workers_most":0,"workers_allowed":0,"queued":0,` +
		`"arena_now_bytes":0,"arena_most_bytes":0,"arena_size_bytes":0}`
	if string(got) != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}
