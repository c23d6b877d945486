package main

import (
	"context"
	"fmt"
	"slices"
	"time"
)

// options say what to measure.
type options struct {
	only    string        // a line's name; empty for all
	seconds time.Duration // for each group of weight 1
}

// measure measures what o asks for and hands each line to print as soon as it
// is known.
func (s *stage) measure(ctx context.Context, o options, print func(line) error) error {
	for _, g := range groups {
		if !o.wants(g.lineNames()...) {
			continue
		}
		lines, err := s.calls(ctx, g, time.Duration(float64(o.seconds)*g.weight))
		if err != nil {
			return err
		}
		if g.name == "oversubscribed" {
			lines = append(lines, oversubscribed.line(lines))
		}
		for _, l := range lines {
			if !o.wants(l.Name) {
				continue
			}
			if err := print(l); err != nil {
				return err
			}
		}
	}
	for _, m := range singles {
		if !o.wants(m.name) {
			continue
		}
		l, err := m.run(ctx, s)
		if err != nil {
			return err
		}
		if err := print(l); err != nil {
			return err
		}
	}
	return nil
}

// wants tells whether any of the lines is asked for.
func (o options) wants(names ...string) bool {
	return o.only == "" || slices.Contains(names, o.only)
}

// lineNames lists the lines that g makes.
func (g group) lineNames() []string {
	var names []string
	for _, c := range g.compares {
		names = append(names, c.name)
	}
	if g.name == "oversubscribed" {
		names = append(names, oversubscribed.name)
	}
	return names
}

// allNames lists every line there is.
func allNames() []string {
	var names []string
	for _, g := range groups {
		names = append(names, g.lineNames()...)
	}
	for _, m := range singles {
		names = append(names, m.name)
	}
	return names
}

// line is the worst of lines, or why there is none.
func (w worst) line(lines []line) line {
	out := line{Name: w.name, Unit: "x", meaning: w.meaning}
	var found *line
	for i, l := range lines {
		if !slices.Contains(w.of, l.Name) {
			continue
		}
		if l.Value == nil {
			return out.fail(fmt.Errorf("%s: %s", l.Name, l.Error), w.goal)
		}
		if found == nil || *l.Value < *found.Value {
			found = &lines[i]
		}
	}
	if found == nil {
		return out.fail(fmt.Errorf("nothing was measured"), w.goal)
	}
	out = out.judge(*found.Value, w.goal)
	out.Regime, out.Pairs, out.Dropped = found.Regime, found.Pairs, found.Dropped
	out.Details = map[string]any{"of": found.Name}
	return out
}
