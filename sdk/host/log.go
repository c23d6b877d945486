package host

import (
	"context"
	"errors"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/secgear/secgear/sdk/internal/control"
)

func isProtocol(err error) bool { return errors.Is(err, control.ErrProtocol) }

// leastLevel returns the least level that log cares for, within what a record
// can hold.
func leastLevel(ctx context.Context, log *slog.Logger) int8 {
	for _, level := range []slog.Level{-8, slog.LevelDebug, slog.LevelInfo, slog.LevelWarn, slog.LevelError} {
		if log.Enabled(ctx, level) {
			return int8(level)
		}
	}
	return 127
}

// Bounds of what an enclave can have logged.
const (
	logQueue = 256  // records that wait for the logger
	logBurst = 2000 // records at once
	logRate  = 1000 // records per second in the long run
)

// sink hands an enclave's log records to a logger, without ever making the
// enclave's messages wait for it: what exceeds the bounds is dropped and
// counted.
type sink struct {
	log     *slog.Logger
	queue   chan *control.Log
	ended   chan struct{}
	dropped atomic.Int64

	// The allowance belongs to the caller of put.
	allowance float64
	last      time.Time
}

func newSink(log *slog.Logger) *sink {
	s := &sink{
		log:       log,
		queue:     make(chan *control.Log, logQueue),
		ended:     make(chan struct{}),
		allowance: logBurst,
		last:      time.Now(),
	}
	go s.run()
	return s
}

// put takes a record, or drops it.
func (s *sink) put(m *control.Log) {
	if !s.allowed(time.Now()) {
		s.dropped.Add(1)
		return
	}
	select {
	case s.queue <- m:
	default:
		s.dropped.Add(1)
	}
}

// allowed spends one record of the allowance, which grows with time.
func (s *sink) allowed(now time.Time) bool {
	s.allowance = min(logBurst, s.allowance+now.Sub(s.last).Seconds()*logRate)
	s.last = now
	if s.allowance < 1 {
		return false
	}
	s.allowance--
	return true
}

// close ends the sink once the queue is empty.
func (s *sink) close() { close(s.queue) }

// wait returns when the last record was handed on. A logger that blocks isn't
// waited for.
func (s *sink) wait() {
	select {
	case <-s.ended:
	case <-time.After(moment):
	}
}

func (s *sink) run() {
	defer close(s.ended)
	for m := range s.queue {
		s.note()
		s.write(m)
	}
	s.note()
}

// note tells how many records were dropped since it last did.
func (s *sink) note() {
	if n := s.dropped.Swap(0); n > 0 {
		s.log.Warn("log records of the enclave dropped: too many", "count", n)
	}
}

// write logs a record, cleaned, with the enclave's attributes in a group of
// their own so that they can't pose as the host's.
func (s *sink) write(m *control.Log) {
	level := slog.Level(m.Level)
	ctx := context.Background()
	if !s.log.Enabled(ctx, level) {
		return
	}
	attrs := make([]slog.Attr, len(m.Attrs))
	for i, a := range m.Attrs {
		attrs[i] = slog.String(control.Printable(a.Key), control.Printable(a.Value))
	}
	group := slog.Attr{Key: "attrs", Value: slog.GroupValue(attrs...)}
	s.log.LogAttrs(ctx, level, control.Printable(m.Message), group)
}
