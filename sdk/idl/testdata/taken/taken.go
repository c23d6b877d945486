// Package taken declares what generated code would like to declare, or hides
// it.
package taken

import "context"

// HTTPServer serves.
//
//secgear:ecall
type HTTPServer interface {
	// Start has names of generated variables.
	Start(ctx context.Context, c, d, e, p, q, x int, impl, err string) (r0 int, _ string, _ error)
	// Hide would hide what generated code uses.
	Hide(ctx context.Context, len, int, call, context string, points []point) (error, string string, _ error)
	Names(context.Context, PointSlice, []Point, []point, [2][]Point) error
}

// PointSlice is named as helpers of []Point are.
type PointSlice []Point

// Point and point differ in case only.
type Point struct{ Name string }

type point struct{ Names []string }

var (
	httpServerContract = "mine"
	context_           = 1
)

func call()        {}
func encodePoint() {}
func sizePoint2()  {}
func shm() string  { return httpServerContract }
func serveHTTP()   {}
func testing() int { return context_ }
func boundarytest() {
	call()
	encodePoint()
	sizePoint2()
	_ = shm()
	serveHTTP()
	_ = testing()
}
