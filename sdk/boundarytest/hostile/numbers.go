package hostile

import (
	"encoding/binary"
	"math/rand/v2"
	"slices"
)

// Numbers returns what tends to be mistaken for a length or an offset: every
// power of two and its neighbours, and the same around each of the given sizes.
func Numbers(sizes ...int) []uint64 {
	var all []uint64
	around := func(v uint64) { all = append(all, v-1, v, v+1) }
	for k := range 64 {
		around(1 << k)
	}
	for _, n := range sizes {
		around(uint64(n))
		around(-uint64(n))
	}
	all = append(all, 0)
	slices.Sort(all)
	return slices.Compact(all)
}

// Mutate returns msg with one to three random changes of the kinds that
// decoders have been caught with: cut, extended, bits flipped, numbers replaced
// by those of [Numbers], parts repeated, counts raised together with what they
// count.
func Mutate(r *rand.Rand, msg []byte, numbers []uint64) []byte {
	msg = slices.Clone(msg)
	for range 1 + r.IntN(3) {
		msg = mutateOnce(r, msg, numbers)
	}
	return msg
}

func mutateOnce(r *rand.Rand, msg []byte, numbers []uint64) []byte {
	at := r.IntN(len(msg) + 1)
	number := numbers[r.IntN(len(numbers))]
	switch kind := r.IntN(8); {
	case kind == 0:
		return msg[:at]
	case kind == 1:
		return append(msg, Random(r, 1+r.IntN(40))...)
	case kind == 2 && at < len(msg):
		msg[at] ^= 1 << r.IntN(8)
	case kind == 3 && at < len(msg):
		msg[at] = byte(r.IntN(4)) - 1
	case kind == 4 && at+4 <= len(msg):
		binary.LittleEndian.PutUint32(msg[at:], uint32(number))
	case kind == 5 && at+8 <= len(msg):
		binary.LittleEndian.PutUint64(msg[at:], number)
	case kind == 6 && at+4 <= len(msg):
		n := 1 + r.IntN(4)
		binary.LittleEndian.PutUint32(msg[at:], uint32(n))
		return slices.Insert(msg, at+4, make([]byte, n*r.IntN(20))...)
	case kind == 7:
		return slices.Insert(msg, at, msg[:at/2]...)
	}
	return msg
}

// Random returns n random bytes.
func Random(r *rand.Rand, n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return b
}
