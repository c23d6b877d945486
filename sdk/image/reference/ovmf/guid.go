package ovmf

import (
	"encoding/binary"
	"fmt"
)

// guid is a GUID as firmware stores it: three little-endian numbers, eight bytes.
type guid [16]byte

// newGUID makes a GUID of its parts as they are written:
// 96b582de-1fb2-45f7-baea-a366c55a082d.
func newGUID(a uint32, b, c uint16, d uint64) (g guid) {
	binary.LittleEndian.PutUint32(g[0:], a)
	binary.LittleEndian.PutUint16(g[4:], b)
	binary.LittleEndian.PutUint16(g[6:], c)
	binary.BigEndian.PutUint64(g[8:], d)
	return g
}

func (g guid) String() string {
	le := binary.LittleEndian
	return fmt.Sprintf("%08x-%04x-%04x-%x-%x", le.Uint32(g[:]), le.Uint16(g[4:]), le.Uint16(g[6:]), g[8:10], g[10:])
}

var (
	tableGUID   = newGUID(0x96b582de, 0x1fb2, 0x45f7, 0xbaeaa366c55a082d)
	resetGUID   = newGUID(0x00f771de, 0x1a7e, 0x4fcb, 0x890e68c77e2fb44e) // where the other processors start
	hashesGUID  = newGUID(0x7255371f, 0x3a3b, 0x4b04, 0x927b1da6efa8d454) // room for the hashes of kernel, initrd, command line
	sevListGUID = newGUID(0xdc886566, 0x984a, 0x4798, 0xa75e5585a7bf67cc)
	tdxListGUID = newGUID(0xe47a6535, 0x984a, 0x4798, 0x865e4685a7bf8ec2)
	igvmGUID    = newGUID(0x784fa70e, 0x3176, 0x4677, 0x8a2004b68699e374) // list of parameters for IGVM
)
