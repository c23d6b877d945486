// Package model holds contracts as secgear understands them, whatever language
// they were written in. Readers (Go, EDL) fill a [Package]; [Demand] refuses
// what can't cross the boundary; writers turn a checked package into stubs.
package model
