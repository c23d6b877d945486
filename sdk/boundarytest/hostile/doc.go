// Package hostile is one end of a lane in the hands of an attacker: it writes
// whatever it likes, wherever it likes, into the memory that it shares with its
// victim, and into the stream beside it. It stands below package boundarytest,
// and below the tests of lanes themselves.
//
// What an attacker writes is not synchronised with what its victim reads: that
// is the attack. [Memory] returns memory that the race detector leaves alone,
// where there is such a thing ([RaceSafe]).
package hostile
