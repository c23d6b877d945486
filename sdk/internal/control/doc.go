// Package control is the protocol between the runtimes of host and enclave
// beside the lanes: they greet each other, the enclave says when it is ready or
// why it failed, its log records travel to the host, and the host asks it to
// stop.
//
// # Order
//
//	host                         enclave
//	Hello          ───────────▶
//	               ◀───────────  Log …              at any time from here on
//	               ◀───────────  Ready, or Failed   once
//	Shutdown       ───────────▶                     at any time after Hello
//	               ◀───────────  Stopped            answers Shutdown
//
// The stream ends with the process at either end. Both sides take what they
// read for hostile: a message that is malformed, too large or out of order ends
// the conversation.
//
// # Wire format
//
// Integers are little-endian. A frame is
//
//	offset  bytes  content
//	0       4      N, size of the payload: at most 64 KiB
//	4       1      type of the message
//	5       N      payload
//
// and the payloads, by type:
//
//	1 Hello     version 2, log level 1 (signed), workers 4, spin 8 (nanoseconds, signed)
//	2 Shutdown  nothing
//	3 Ready     version 2, count 2, then for each contract its id 4 and name
//	4 Failed    text
//	5 Log       level 1 (signed), message, count 2, then for each attribute key and value
//	6 Stopped   nothing
//
// A text is its size in 2 bytes and as many bytes. Each has a bound, see the
// constants. An encoding is canonical: a message has one.
package control

// Version is the version of the protocol, and of the lanes' layout, that this
// package speaks.
const Version = 2

// Bounds in bytes or elements. Writers cut off what exceeds them, readers
// refuse it.
const (
	MaxPayload   = 64 << 10
	MaxContracts = 200
	MaxName      = 255   // of a contract
	MaxFailure   = 16384 // why an enclave failed
	MaxMessage   = 4096  // of a log record
	MaxAttrs     = 32    // of a log record
	MaxKey       = 128   // of an attribute
	MaxValue     = 1024  // of an attribute
)
