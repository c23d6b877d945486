package everything

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"time"

	"github.com/secgear/secgear/sdk/shm"
)

// echo implements [Echo].
type echo struct{}

func (echo) Scalars(_ context.Context, b bool, i int, i8 int8, i16 int16, i32 int32, i64 int64,
	u uint, u8 uint8, u16 uint16, u32 uint32, u64 uint64, f32 float32, f64 float64,
	s string, bytes []byte, t time.Time, d time.Duration,
) (bool, int, int8, int16, int32, int64, uint, uint8, uint16, uint32, uint64, float32, float64,
	string, []byte, time.Time, time.Duration, error,
) {
	return b, i, i8, i16, i32, i64, u, u8, u16, u32, u64, f32, f64, s, bytes, t, d, nil
}

func (echo) Fixed(_ context.Context, id uint64, digest Digest, at Point, path [3]Point, when time.Time, key [64]byte) (Point, Digest, [64]byte, error) {
	at.X += path[2].X + int32(id)
	at.Y += int32(when.Unix())
	return at, digest, key, nil
}

func (echo) All(_ context.Context, all All) (All, error) { return all, nil }

func (echo) Pointers(_ context.Context, all *All, point *Point, empty *Empty) (*All, *Point, *Empty, error) {
	return all, point, empty, nil
}

func (echo) Collections(_ context.Context, names []string, matrix [][]float64, texts [2]string, arrays [2][2]Point, points []*Point,
	byName map[string]All, byNumber map[int8]bool, set map[Level]struct{}, nested map[uint16]map[string][]byte,
) ([]string, [][]float64, [2]string, [2][2]Point, []*Point, map[string]All, map[int8]bool, map[Level]struct{}, map[uint16]map[string][]byte, error) {
	return names, matrix, texts, arrays, points, byName, byNumber, set, nested, nil
}

func (echo) Nothing(context.Context) error { return nil }

func (echo) Hashes(_ context.Context, sum [sha256.Size]byte, of Alias) ([][sha256.Size]byte, error) {
	return [][32]byte{sum, sha256.Sum256([]byte(of))}, nil
}

// Buffers inverts in, returns new memory that holds the frame's pixels, and a
// frame with neither.
func (echo) Buffers(ctx context.Context, in shm.Buffer, frame Frame) (out shm.Buffer, back *Frame, err error) {
	text := make([]byte, in.Len())
	if _, err := in.ReadAt(text, 0); err != nil {
		return out, nil, err
	}
	for i := range text {
		text[i] = ^text[i]
	}
	if _, err := in.WriteAt(text, 0); err != nil {
		return out, nil, err
	}
	pixels := make([]byte, frame.Pixels.Len())
	if _, err := frame.Pixels.ReadAt(pixels, 0); err != nil {
		return out, nil, err
	}
	out, err = shm.Current(ctx).NewBuffer(ctx, len(pixels))
	if err != nil {
		return out, nil, err
	}
	_, err = out.WriteAt(pixels, 0)
	return out, &Frame{Number: frame.Number + 1}, err
}

var errUndeclared = errors.New("undeclared")

func (echo) Fail(_ context.Context, number int) error {
	sentinels := []error{ErrFirst, ErrSecond, ErrThird}
	if number < 0 || number >= len(sentinels) {
		return errUndeclared
	}
	return fmt.Errorf("number %d: %w", number, sentinels[number])
}

// names implements [Names].
type names struct{}

func (names) Locals(_ context.Context, c, d, e, p, q, x int, impl string, err bool) (r0, r1, r2, r3, r4, r5 int, r6 string, r7 bool, failure error) {
	return c, d, e, p, q, x, impl, err, nil
}

func (names) Types(_ context.Context, len, string, int8 uint8, _, _, _ []string, point Point) (shm, uint8 int, client []Point, err error) {
	return int(len), int(string) + int(int8), []Point{point}, nil
}

func (names) Blank(_ context.Context, n int, s, t string) (string, int, error) {
	return s + t, n, nil
}

func (names) Results(_ context.Context, n int, s string) (err int, d, x string, c Point, failure error) {
	return n, s, s + s, Point{X: int32(n)}, nil
}
