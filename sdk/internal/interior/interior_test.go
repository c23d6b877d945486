package interior

import (
	"reflect"
	"testing"

	"github.com/secgear/secgear/sdk/shm"
)

func TestRoundTrip(t *testing.T) {
	n := Numbers{Goroutines: 3, HeapBytes: 4, Lanes: 1, Stats: shm.Stats{
		Made: []shm.MethodStats{}, Served: []shm.MethodStats{{Method: "Seal", Begun: 7, Latency: shm.Latency{Buckets: []shm.Bucket{{LeNS: 64, Count: 7}}}}},
	}}
	b, err := n.Encode()
	if err != nil {
		t.Fatal(err)
	}
	if got, err := Parse(b); err != nil || !reflect.DeepEqual(got, n) {
		t.Errorf("got %+v, %v", got, err)
	}
}

// TestTooMany: with very many methods the rest is told all the same.
func TestTooMany(t *testing.T) {
	n := Numbers{Goroutines: 3}
	n.Served = make([]shm.MethodStats, 5000)
	b, err := n.Encode()
	if err != nil || len(b) > MaxNumbers {
		t.Fatalf("%d bytes, %v", len(b), err)
	}
	if got, err := Parse(b); err != nil || got.Goroutines != 3 || len(got.Served) != 0 {
		t.Errorf("got %+v, %v", got, err)
	}
}

// FuzzParse: whatever an enclave says, reading it ends well or with an error.
func FuzzParse(f *testing.F) {
	for _, s := range []string{"", "{}", "[]", `{"goroutines":-1,"served":[{"latency":{"buckets":[{"le_ns":1}]}}]}`, `{"heap_bytes":1e99}`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		n, err := Parse(b)
		if err != nil {
			return
		}
		if _, err := n.Encode(); err != nil {
			t.Fatal(err)
		}
		n.Plus(n.Stats) // sums of absurd numbers
	})
}
