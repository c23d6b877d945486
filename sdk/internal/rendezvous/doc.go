// Package rendezvous is where running enclaves can be found: a folder with a
// Unix socket for each, named after the enclave, the process that owns it and a
// number.
//
// # Protocol
//
// Whoever connects sends one frame, which asks for something, within
// [Patience]. The answer is one frame too, of kind [KindResult] or
// [KindRefused]. What comes after it depends on what was asked for; after
// [KindStatus] the connection ends. A frame is
//
//	0 kind    uint8
//	1 length  uint32  of the payload, in bytes
//	5 payload
//
// All numbers are little-endian. The payload of KindRefused is a code (uint32)
// and a text.
//
// Both ends take what arrives for chosen by an attacker: frames are bounded
// ([MaxRequest], [MaxResult]), as are the time that a connection may be idle and
// the number of connections, for each user and altogether. Who the other
// process belongs to is the kernel's word.
package rendezvous
