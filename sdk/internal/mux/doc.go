// Package mux carries several byte streams over one, as over the one serial
// port that a virtual machine has to its host.
//
// Each stream has a window of its own: a sender is allowed as many bytes as its
// receiver has room for, so that a stream that nobody reads holds up none of the
// others. Streams are opened by the host and named by it; a stream ended by one
// side ends at the other, after what was sent before.
//
// Each frame is a header of 8 bytes and its payload:
//
//	0 kind    uint8   1 open, 2 data, 3 credit, 4 end
//	1 –       uint8   zero
//	2 len     uint16  bytes of payload: data 1 to MaxData, credit 4, else 0
//	4 stream  uint32
//
// The payload of a credit is the number of bytes that were read and may be
// sent anew. The other side is hostile: whatever breaks a rule ends all streams,
// and no more is kept of what arrives than the windows of the streams there may be.
package mux
