package everything

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"math"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/secgear/secgear/sdk/call"
	"github.com/secgear/secgear/sdk/shm"
)

// sample returns an All with something in every field.
func sample() All {
	point := &Point{7, 8}
	return All{
		Flag: true, Level: -3, Small: 250, Ratio: 0.25, Label: "läbel", Alias: "alias",
		Digest: Digest{1, 2, 31: 3}, Blob: Blob("blob"), Labels: Labels{"a", "", "c"},
		Grid:    Grid{{{1, 2}}, {{3, 4}, {5, 6}}},
		Points:  Points{{-1, math.MaxInt32}},
		ByLabel: ByLabel{"one": point, "none": nil},
		At:      point,
		Stamp:   Stamp(time.Date(1969, 7, 20, 20, 17, 40, 999, time.UTC)),
		Timeout: Timeout(time.Second),
		Smalls:  []Small{0, 255},
		Bytes:   [][]byte{[]byte("x"), nil},
		Times:   []time.Time{{}, time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC)},
		Pair:    struct1{Second: &Point{9, 9}, Counts: map[int64]uint64{-1: math.MaxUint64}},
		Point:   Point{10, 11},
		Empty:   &Empty{},
	}
}

// received returns what arrives of v: nil maps are empty then.
func received(v All) All {
	if v.ByLabel == nil {
		v.ByLabel = ByLabel{}
	}
	if v.Pair.Counts == nil {
		v.Pair.Counts = map[int64]uint64{}
	}
	return v
}

func same(t *testing.T, what string, got, want any) {
	t.Helper()
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%s: got %+v, want %+v", what, got, want)
	}
}

func TestScalars(t *testing.T) {
	host, _ := connect(t)
	now := time.Now()
	tests := []struct {
		name  string
		i     int64
		u     uint64
		f     float64
		s     string
		bytes []byte
		t     time.Time
	}{
		{name: "zero"},
		{"small", -1, 1, -0.5, "s", []byte{0}, now},
		{"least", math.MinInt64, 0, math.Inf(-1), "\x00\xff", []byte("\x00"), time.Unix(-1, 1)},
		{"greatest", math.MaxInt64, math.MaxUint64, math.MaxFloat64, strings.Repeat("é", 5000), make([]byte, 70000), time.Unix(1<<40, 999999999)},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			i, u := tt.i, tt.u
			b, i0, i8, i16, i32, i64, u0, u8, u16, u32, u64, f32, f64, s, bs, at, d, err := NewEchoClient(host).Scalars(t.Context(), u != 0,
				int(i), int8(i), int16(i), int32(i), i, uint(u), uint8(u), uint16(u), uint32(u), u, float32(tt.f), tt.f, tt.s, tt.bytes, tt.t, time.Duration(i))
			if err != nil {
				t.Fatal(err)
			}
			same(t, "bool", b, u != 0)
			same(t, "int", []any{i0, i8, i16, i32, i64}, []any{int(i), int8(i), int16(i), int32(i), i})
			same(t, "uint", []any{u0, u8, u16, u32, u64}, []any{uint(u), uint8(u), uint16(u), uint32(u), u})
			same(t, "float", []any{f32, f64}, []any{float32(tt.f), tt.f})
			same(t, "string", []any{s, bs}, []any{tt.s, tt.bytes})
			same(t, "time", []any{at.Equal(tt.t), at.IsZero(), d}, []any{true, tt.t.IsZero(), time.Duration(i)})
		})
	}
}

func TestAll(t *testing.T) {
	host, _ := connect(t)
	for name, all := range map[string]All{"zero": {}, "sample": sample()} {
		t.Run(name, func(t *testing.T) {
			got, err := NewEchoClient(host).All(t.Context(), all)
			if err != nil {
				t.Fatal(err)
			}
			same(t, "All", got, received(all))
		})
	}
}

func TestPointers(t *testing.T) {
	host, _ := connect(t)
	all, point, empty, err := NewEchoClient(host).Pointers(t.Context(), nil, nil, nil)
	if err != nil || all != nil || point != nil || empty != nil {
		t.Errorf("nil pointers came back as %v, %v, %v, error %v", all, point, empty, err)
	}
	v := sample()
	all, point, empty, err = NewEchoClient(host).Pointers(t.Context(), &v, &Point{1, 2}, &Empty{})
	if err != nil {
		t.Fatal(err)
	}
	same(t, "pointers", []any{all, point, empty}, []any{&v, &Point{1, 2}, &Empty{}})
}

func TestCollections(t *testing.T) {
	host, _ := connect(t)
	names := []string{"", "b"}
	matrix := [][]float64{{1, 2}, nil, {math.SmallestNonzeroFloat64}}
	texts := [2]string{"x", "y"}
	arrays := [2][2]Point{{{1, 2}}, {{}, {3, 4}}}
	points := []*Point{nil, {5, 6}}
	byName := map[string]All{"": received(All{}), "s": sample()}
	byNumber := map[int8]bool{-128: true, 127: false}
	set := map[Level]struct{}{1: {}, -1: {}}
	nested := map[uint16]map[string][]byte{0: {}, 65535: {"k": []byte("v")}}
	n, m, x, a, p, bn, bi, s, ne, err := NewEchoClient(host).Collections(t.Context(), names, matrix, texts, arrays, points, byName, byNumber, set, nested)
	if err != nil {
		t.Fatal(err)
	}
	same(t, "slices and arrays", []any{n, m, x, a, p}, []any{names, matrix, texts, arrays, points})
	same(t, "maps", []any{bn, bi, s, ne}, []any{byName, byNumber, set, nested})
}

func TestHashes(t *testing.T) {
	host, _ := connect(t)
	sums, err := NewEchoClient(host).Hashes(t.Context(), [32]byte{1}, "of")
	if err != nil {
		t.Fatal(err)
	}
	same(t, "sums", sums, [][sha256.Size]byte{{1}, sha256.Sum256([]byte("of"))})
}

func TestBuffers(t *testing.T) {
	host, _ := connect(t)
	in, pixels := fill(t, host, "in"), fill(t, host, "pixels")
	out, back, err := NewEchoClient(host).Buffers(t.Context(), in, Frame{Number: 1, Pixels: pixels})
	if err != nil {
		t.Fatal(err)
	}
	same(t, "inverted", content(t, in), "\x96\x91")
	same(t, "returned", content(t, out), "pixels")
	same(t, "frame", []any{back.Number, back.Pixels.Len(), shm.Buffer(back.Mask).Len()}, []any{2, 0, 0})
	for _, b := range []shm.Buffer{in, pixels, out} {
		if err := b.Free(); err != nil {
			t.Error(err)
		}
	}
}

func fill(t *testing.T, p *peer, text string) shm.Buffer {
	t.Helper()
	b, err := p.lane.NewBuffer(t.Context(), len(text))
	if err == nil {
		_, err = b.WriteAt([]byte(text), 0)
	}
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func content(t *testing.T, b shm.Buffer) string {
	t.Helper()
	text := make([]byte, b.Len())
	if _, err := b.ReadAt(text, 0); err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestFail(t *testing.T) {
	host, _ := connect(t)
	for number, want := range []error{ErrFirst, ErrSecond, ErrThird} {
		err := NewEchoClient(host).Fail(t.Context(), number)
		if !errors.Is(err, want) {
			t.Errorf("sentinel %d came back as %v", number, err)
		}
	}
	err := NewEchoClient(host).Fail(t.Context(), 3)
	var answered *call.Error
	if !errors.As(err, &answered) || answered.Sentinel != nil || answered.Text != errUndeclared.Error() {
		t.Errorf("an undeclared error came back as %v", err)
	}
}

func TestNothing(t *testing.T) {
	host, _ := connect(t)
	if err := NewEchoClient(host).Nothing(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestNames(t *testing.T) {
	_, enclave := connect(t)
	c := NewNamesClient(enclave)
	r0, r1, r2, r3, r4, r5, r6, r7, err := c.Locals(t.Context(), 1, 2, 3, 4, 5, 6, "seven", true)
	same(t, "Locals", []any{r0, r1, r2, r3, r4, r5, r6, r7, err}, []any{1, 2, 3, 4, 5, 6, "seven", true, nil})
	n, sum, points, err := c.Types(t.Context(), 1, 2, 3, nil, nil, nil, Point{4, 5})
	same(t, "Types", []any{n, sum, points, err}, []any{1, 5, []Point{{4, 5}}, nil})
	s, n, err := c.Blank(t.Context(), 1, "a", "b")
	same(t, "Blank", []any{s, n, err}, []any{"ab", 1, nil})
	n, d, x, p, err := c.Results(t.Context(), 1, "a")
	same(t, "Results", []any{n, d, x, p, err}, []any{1, "a", "aa", Point{X: 1}, nil})
}

// TestStart starts many calls before it waits for any.
func TestStart(t *testing.T) {
	host, _ := connect(t)
	var calls []EchoHashesCall
	for i := range 32 {
		calls = append(calls, NewEchoClient(host).StartHashes(t.Context(), [32]byte{byte(i)}, "of"))
	}
	for i, c := range calls {
		sums, err := c.Wait()
		if err != nil || len(sums) != 2 || sums[0][0] != byte(i) {
			t.Errorf("call %d: %v, %v", i, sums, err)
		}
	}
}

// TestChanged changes an argument while it is encoded: the call fails, and
// nothing is read or written out of bounds.
func TestChanged(t *testing.T) {
	host, _ := connect(t)
	var p call.Pending
	var e call.Encoder
	p.Begin(t.Context(), host, echoContract, 2, 10, &e)
	all := sample()
	encodeAll(&e, &all)
	p.Start(&e)
	if err := p.Wait(new(call.Decoder)); !errors.Is(err, call.ErrMessage) {
		t.Errorf("got %v", err)
	}
}

// TestNoLane calls a peer that has gone: buffers among the arguments are not
// lent to anybody.
func TestNoLane(t *testing.T) {
	host, _ := connect(t)
	in := fill(t, host, "in")
	if _, _, err := NewEchoClient(gone{}).Buffers(t.Context(), in, Frame{}); !errors.Is(err, errGone) {
		t.Errorf("got %v", err)
	}
	if err := in.Free(); err != nil {
		t.Errorf("freeing the buffer afterwards: %v", err)
	}
}

var errGone = errors.New("gone")

type gone struct{}

func (gone) Lane(context.Context, *call.Contract) (*shm.Lane, error) { return nil, errGone }

// TestAllocs: arguments and results of fixed size cost no allocation.
func TestAllocs(t *testing.T) {
	host, _ := connect(t)
	c, ctx := NewEchoClient(host), t.Context()
	key, now := [64]byte{63: 1}, time.Unix(5, 0)
	allocs := testing.AllocsPerRun(200, func() {
		at, _, got, err := c.Fixed(ctx, 1, Digest{}, Point{1, 2}, [3]Point{2: {X: 3}}, now, key)
		if err != nil || at != (Point{5, 7}) || got != key {
			t.Errorf("got %v, %x, %v", at, got, err)
		}
	})
	if allocs != 0 {
		t.Errorf("a call of fixed size allocates %v times", allocs)
	}
}

// TestDuplicateKey: a map with a key twice is a fault.
func TestDuplicateKey(t *testing.T) {
	d := call.NewDecoder([]byte{2, 0, 0, 0, 7, 1, 7, 1})
	decodeInt8BoolMap(&d)
	if err := d.End(); !errors.Is(err, call.ErrMessage) || !strings.Contains(err.Error(), "a key twice in a map") {
		t.Errorf("got %v", err)
	}
}

// TestClaimedCounts: a message of a few bytes that claims many elements is
// refused before anything is allocated.
func TestClaimedCounts(t *testing.T) {
	huge := []byte{0xff, 0xff, 0xff, 0x7f}
	tests := map[string]func(*call.Decoder){
		"slice":  func(d *call.Decoder) { decodeStringSlice(d) },
		"nested": func(d *call.Decoder) { decodeFloat64SliceSlice(d) },
		"map":    func(d *call.Decoder) { decodeStringAllMap(d) },
		"set":    func(d *call.Decoder) { decodeLevelStructMap(d) },
	}
	for name, decode := range tests {
		t.Run(name, func(t *testing.T) {
			var before, after runtimeStats
			before.read()
			d := call.NewDecoder(bytes.Clone(huge))
			decode(&d)
			after.read()
			if err := d.End(); !errors.Is(err, call.ErrMessage) {
				t.Errorf("got %v", err)
			}
			if n := after.allocated - before.allocated; n > 1<<16 {
				t.Errorf("decoding 4 bytes allocated %d", n)
			}
		})
	}
}
