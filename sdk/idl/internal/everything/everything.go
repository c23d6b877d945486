// Package everything is a contract that uses whatever contracts can hold, so
// that the generator's tests can compile, run and fuzz its stubs.
package everything

import (
	"context"
	"crypto/sha256"
	"errors"
	"time"

	"github.com/secgear/secgear/sdk/shm"
)

// Echo returns what it is given.
//
//secgear:ecall
type Echo interface {
	// Scalars has an argument of each simple type.
	Scalars(ctx context.Context, b bool, i int, i8 int8, i16 int16, i32 int32, i64 int64,
		u uint, u8 uint8, u16 uint16, u32 uint32, u64 uint64, f32 float32, f64 float64,
		s string, bytes []byte, t time.Time, d time.Duration,
	) (bool, int, int8, int16, int32, int64, uint, uint8, uint16, uint32, uint64, float32, float64,
		string, []byte, time.Time, time.Duration, error)

	// Fixed allocates nowhere: all of its types have fixed sizes.
	Fixed(ctx context.Context, id uint64, digest Digest, at Point, path [3]Point, when time.Time, key [64]byte) (Point, Digest, [64]byte, error)

	// All takes a struct with a field of each type.
	All(ctx context.Context, all All) (All, error)

	// Pointers may be nil.
	Pointers(ctx context.Context, all *All, point *Point, empty *Empty) (*All, *Point, *Empty, error)

	// Collections are slices, arrays and maps of what can be in them.
	Collections(ctx context.Context, names []string, matrix [][]float64, texts [2]string, arrays [2][2]Point, points []*Point,
		byName map[string]All, byNumber map[int8]bool, set map[Level]struct{}, nested map[uint16]map[string][]byte,
	) ([]string, [][]float64, [2]string, [2][2]Point, []*Point, map[string]All, map[int8]bool, map[Level]struct{}, map[uint16]map[string][]byte, error)

	// Nothing has neither arguments nor results.
	//
	//secgear:switched
	Nothing(ctx context.Context) error

	// Hashes has an array whose length another package declares.
	Hashes(ctx context.Context, sum [sha256.Size]byte, of Alias) (sums [][sha256.Size]byte, err error)

	// Buffers fills and returns shared memory.
	Buffers(ctx context.Context, in shm.Buffer, frame Frame) (out shm.Buffer, back *Frame, err error)

	// Fail returns the sentinel of that number, or another error.
	Fail(ctx context.Context, number int) error
}

// Names has arguments and results whose names are of use to generated code,
// too.
//
//secgear:ocall
type Names interface {
	Locals(ctx context.Context, c, d, e, p, q, x int, impl string, err bool) (r0, r1, r2, r3, r4, r5 int, r6 string, r7 bool, failure error)
	Types(ctx context.Context, len, string, int8 uint8, call, context, time []string, Point Point) (shm, uint8 int, EchoClient []Point, err error)
	Blank(_ context.Context, _ int, _, a0 string) (_ string, r int, _ error)
	Results(context.Context, int, string) (err int, d, x string, c Point, failure error)
}

// Point is a struct of fixed size.
type Point struct{ X, Y int32 }

// Empty takes no bytes.
type Empty struct{}

// Named types keep their names.
type (
	Flag    bool
	Level   int
	Small   uint8
	Ratio   float64
	Label   string
	Digest  [32]byte
	Blob    []byte
	Labels  []Label
	Grid    [2]Points
	Points  []Point
	ByLabel map[Label]*Point
	PointAt *Point
	Stamp   time.Time
	Timeout time.Duration
	Shared  shm.Buffer
	Alias   = Label
)

// All has a field of each type.
type All struct {
	Flag    Flag
	Level   Level
	Small   Small
	Ratio   Ratio
	Label   Label
	Alias   Alias
	Digest  Digest
	Blob    Blob
	Labels  Labels
	Grid    Grid
	Points  Points
	ByLabel ByLabel
	At      PointAt
	Stamp   Stamp
	Timeout Timeout
	Smalls  []Small
	Empties [2]Empty
	None    [0]string
	Bytes   [][]byte
	Times   []time.Time
	Pair    struct1
	Point
	*Empty
}

type struct1 struct {
	First, Second *Point
	Counts        map[int64]uint64
}

// Frame refers to shared memory.
type Frame struct {
	Number int
	Pixels shm.Buffer
	Mask   Shared
}

// The errors of both contracts.
//
//secgear:error
var (
	ErrFirst  = errors.New("first")
	ErrSecond = errors.New("second")
)

// ErrThird is declared by itself.
//
//secgear:error
var ErrThird error = third{}

type third struct{}

func (third) Error() string { return "third" }
