package call

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
)

// ErrCheck: a value breaks a //secgear:check of its contract: a slice is longer
// or shorter than another argument says, or a text has a NUL inside. Both sides
// check, the one that sends and the one that receives.
var ErrCheck = errors.New("value breaks the contract")

// unmet is what [Number] and [Product] return for what no length can equal or
// stay below.
const unmet = math.MaxUint64

// Number returns n as a length for [Encoder.Exactly] and the like. A negative
// one is never met.
func Number[T ~int | ~int8 | ~int16 | ~int32 | ~int64 | ~uint | ~uint8 | ~uint16 | ~uint32 | ~uint64](n T) uint64 {
	if n < 0 {
		return unmet
	}
	return uint64(n)
}

// Product returns a·b. One that does not fit 64 bits is never met.
func Product(a, b uint64) uint64 {
	switch {
	case a == unmet || b == unmet:
		return unmet
	case a != 0 && b > math.MaxUint64/a:
		return unmet
	}
	return a * b
}

// HasZero reports whether a text of wide characters has one that is 0.
func HasZero[T ~[]E, E ~uint8 | ~int16 | ~uint16 | ~int32 | ~uint32](text T) bool {
	return slices.Contains(text, 0)
}

// HasNUL reports whether a text has a byte that is 0.
func HasNUL[T ~string](text T) bool { return strings.IndexByte(string(text), 0) >= 0 }

// notExactly and notAtMost describe a length that is not as it must be.
func notExactly(what string, have, want uint64) error {
	if want == unmet {
		return fmt.Errorf("%w: the length of %s is negative or too large", ErrCheck, what)
	}
	return fmt.Errorf("%w: %s is %d and must be %d", ErrCheck, what, have, want)
}

func notAtMost(what string, have, most uint64) error {
	if most == unmet {
		return notExactly(what, have, most)
	}
	return fmt.Errorf("%w: %s is %d and must be at most %d", ErrCheck, what, have, most)
}

func notWithin(what string) error {
	return fmt.Errorf("%w: a length in %s is greater than it was in the argument", ErrCheck, what)
}

func notText(what string) error { return fmt.Errorf("%w: %s has a NUL inside", ErrCheck, what) }

// check keeps err for End, unless there was a fault before.
func (e *Encoder) check(err error) {
	if e.err == nil {
		e.err = err
	}
}

// Exactly makes a length other than want a fault. What is the length's name.
func (e *Encoder) Exactly(what string, have, want uint64) {
	if have != want || want == unmet {
		e.check(notExactly(what, have, want))
	}
}

// AtMost makes a length above most a fault.
func (e *Encoder) AtMost(what string, have, most uint64) {
	if have > most || most == unmet {
		e.check(notAtMost(what, have, most))
	}
}

// Within makes a result whose lengths exceed those of the argument a fault.
func (e *Encoder) Within(what string, within bool) {
	if !within {
		e.check(notWithin(what))
	}
}

// NoZero makes a NUL in the value called what a fault.
func (e *Encoder) NoZero(what string, zero bool) {
	if zero {
		e.check(notText(what))
	}
}

// check records err, unless there was a fault before.
func (d *Decoder) check(err error) {
	if d.err == nil {
		d.err = err
	}
	d.off = len(d.buf)
}

// Exactly makes a length other than want a fault.
func (d *Decoder) Exactly(what string, have, want uint64) {
	if have != want || want == unmet {
		d.check(notExactly(what, have, want))
	}
}

// AtMost makes a length above most a fault.
func (d *Decoder) AtMost(what string, have, most uint64) {
	if have > most || most == unmet {
		d.check(notAtMost(what, have, most))
	}
}

// Within makes a result whose lengths exceed those of the argument a fault.
func (d *Decoder) Within(what string, within bool) {
	if !within {
		d.check(notWithin(what))
	}
}

// NoZero makes a NUL in the value called what a fault.
func (d *Decoder) NoZero(what string, zero bool) {
	if zero {
		d.check(notText(what))
	}
}
