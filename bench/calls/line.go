package main

import (
	"encoding/json"
	"fmt"
	"io"
	"math"

	"github.com/secgear/secgear/bench/internal/regime"
)

// line is one result, as printed.
type line struct {
	Name  string   `json:"name"`
	Value *float64 `json:"value"` // null if it could not be measured
	Unit  string   `json:"unit"`
	Goal  *float64 `json:"goal"` // null if there is none

	Good    string                `json:"good,omitempty"` // "at least" or "at most" the goal
	Met     *bool                 `json:"met,omitempty"`
	Regime  regime.Regime         `json:"regime,omitempty"`  // that value and goal are of
	Pairs   int                   `json:"pairs,omitempty"`   // of slices in this regime
	Dropped int                   `json:"dropped,omitempty"` // pairs during which the regime changed
	Regimes map[regime.Regime]any `json:"regimes,omitempty"`
	Details map[string]any        `json:"details,omitempty"`
	Error   string                `json:"error,omitempty"` // why value is null

	meaning string
}

// judge sets value, goal and whether it is met.
func (l line) judge(value float64, g goal) line {
	value = round(value)
	l.Value = &value
	l.Goal, l.Good = g.bound()
	l.Met = g.met(value)
	return l
}

// fail says why there is no value. A goal without a value is missed.
func (l line) fail(err error, g goal) line {
	l.Error = err.Error()
	l.Goal, l.Good = g.bound()
	if l.Goal != nil {
		l.Met = new(bool)
	}
	return l
}

// missed tells whether there is a goal that was not reached.
func (l line) missed() bool { return l.Met != nil && !*l.Met }

// perRegime is what a comparison says in one regime.
type perRegime struct {
	Pairs int        `json:"pairs"`
	Ratio quantiles  `json:"ratio"`
	Num   quantiles  `json:"numerator_ns"`
	Den   quantiles  `json:"denominator_ns"`
	Limit *quantiles `json:"limit_ns,omitempty"`
}

type quantiles struct {
	P10 float64 `json:"p10"`
	P50 float64 `json:"p50"`
	P90 float64 `json:"p90"`
}

func rounded(q regime.Quantiles) quantiles {
	return quantiles{round(q.P10), round(q.P50), round(q.P90)}
}

func describe(where regime.Regime, g regime.Group) perRegime {
	p := perRegime{Pairs: g.Pairs, Ratio: rounded(g.Ratio), Num: rounded(g.Num), Den: rounded(g.Den)}
	if where != regime.Unknown {
		limit := rounded(g.Limit)
		p.Limit = &limit
	}
	return p
}

// round keeps four digits.
func round(x float64) float64 {
	if x == 0 || math.IsInf(x, 0) || math.IsNaN(x) {
		return x
	}
	scale := math.Pow(10, 3-math.Floor(math.Log10(math.Abs(x))))
	return math.Round(x*scale) / scale
}

// printer writes lines: JSON, and before each, if words, what it means.
type printer struct {
	to    io.Writer
	words bool
}

func (p printer) print(l line) error {
	if p.words {
		if _, err := io.WriteString(p.to, l.words()); err != nil {
			return err
		}
	}
	b, err := json.Marshal(l)
	if err != nil {
		return fmt.Errorf("printing %s: %w", l.Name, err)
	}
	_, err = p.to.Write(append(b, '\n'))
	return err
}

// words says what the line means, as comment lines.
func (l line) words() string {
	text := "\n# " + l.meaning + "\n"
	if l.Value == nil {
		return text + "# Not measured: " + l.Error + "\n"
	}
	text += fmt.Sprintf("# %s = %g %s", l.Name, *l.Value, l.Unit)
	if l.Pairs > 0 {
		text += fmt.Sprintf(", median of %d pairs of slices with the processors %s", l.Pairs, l.Regime)
	}
	if l.Goal != nil {
		verdict := "reached"
		if l.missed() {
			verdict = "missed"
		}
		text += fmt.Sprintf("; goal %s %g: %s", l.Good, *l.Goal, verdict)
	}
	return text + "\n"
}
