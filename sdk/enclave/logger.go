package enclave

import (
	"context"
	"log/slog"
	"strconv"
	"strings"

	"github.com/secgear/secgear/sdk/internal/control"
)

// newLogger returns a logger that sends records of at least the given level.
func newLogger(o *outbox, level int8) *slog.Logger {
	return slog.New(&handler{out: o, level: slog.Level(level)})
}

// handler sends log records to the host. It is immutable.
type handler struct {
	out    *outbox
	level  slog.Level
	prefix string // of keys: the groups opened, each with a dot
	attrs  []control.Attr
}

// Enabled implements [slog.Handler].
func (h *handler) Enabled(_ context.Context, level slog.Level) bool { return level >= h.level }

// Handle implements [slog.Handler]. It never waits and never fails.
func (h *handler) Handle(_ context.Context, r slog.Record) error {
	m := &control.Log{
		Level:   int8(min(max(r.Level, -128), 127)),
		Message: cut(r.Message, control.MaxMessage),
		Attrs:   h.attrs[:len(h.attrs):len(h.attrs)],
	}
	r.Attrs(func(a slog.Attr) bool {
		m.Attrs = flatten(m.Attrs, h.prefix, a)
		return len(m.Attrs) < control.MaxAttrs
	})
	h.out.log(m)
	return nil
}

// WithAttrs implements [slog.Handler].
func (h *handler) WithAttrs(attrs []slog.Attr) slog.Handler {
	next := *h
	next.attrs = next.attrs[:len(next.attrs):len(next.attrs)]
	for _, a := range attrs {
		next.attrs = flatten(next.attrs, h.prefix, a)
	}
	return &next
}

// WithGroup implements [slog.Handler].
func (h *handler) WithGroup(name string) slog.Handler {
	if name == "" {
		return h
	}
	next := *h
	next.prefix += name + "."
	return &next
}

// flatten appends a to list, the attributes of groups one by one, as long as
// there is room.
func flatten(list []control.Attr, prefix string, a slog.Attr) []control.Attr {
	v := a.Value.Resolve()
	switch {
	case len(list) >= control.MaxAttrs, a.Key == "" && v.Kind() != slog.KindGroup:
		return list
	case v.Kind() != slog.KindGroup:
		return append(list, control.Attr{
			Key:   cut(prefix+a.Key, control.MaxKey),
			Value: cut(v.String(), control.MaxValue),
		})
	}
	if a.Key != "" {
		prefix += a.Key + "."
	}
	for _, member := range v.Group() {
		list = flatten(list, prefix, member)
	}
	return list
}

// cut returns at most n bytes of s, without keeping the rest alive.
func cut(s string, n int) string {
	if len(s) <= n {
		return s
	}
	return strings.Clone(s[:n])
}

// droppedNote tells the host that n records were not sent.
func droppedNote(n uint64) *control.Log {
	return &control.Log{
		Level:   int8(slog.LevelWarn),
		Message: "log records dropped: the host did not keep up",
		Attrs:   []control.Attr{{Key: "count", Value: strconv.FormatUint(n, 10)}},
	}
}
