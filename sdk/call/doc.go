// Package call is what generated stubs stand on: the codec of arguments and
// results, the identity of errors across the boundary, and the two ends of a
// typed call. Programs use the stubs that "secgear generate" writes, and from
// this package only [Error] and the sentinels.
//
// # Wire format
//
// Values follow each other without padding, integers little-endian and of
// fixed width: bool 1 byte (0 or 1), int and uint 8, floats as IEEE 754 bits,
// [time.Duration] 8 (nanoseconds), [time.Time] 12 (seconds since
// 0001-01-01 UTC as int64, nanoseconds as uint32). Strings, byte slices,
// slices and maps are a count of 4 bytes and then their elements; arrays and
// structs their elements; a pointer to a struct is 1 byte (0 nil, 1 present)
// and then the struct; a [shm.Buffer] 16 bytes (arena, length, offset). A
// message ends with its last value: trailing bytes are an error, as is every
// other encoding of the same value (a bool of 2, a key twice in a map); only the
// order of a map's entries is free. Slices arrive as nil when empty, maps never
// as nil.
//
// Whatever is decoded was chosen by the other side. Every read is checked
// against the message, counts are checked against the bytes that are left
// before anything is allocated, and messages lie in private memory before
// they are read.
package call
