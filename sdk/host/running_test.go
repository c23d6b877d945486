package host

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/secgear/secgear/sdk/shm"
)

// FuzzParseStats: whatever another process tells is read or refused, can't drive
// a terminal, and can be calculated with.
func FuzzParseStats(f *testing.F) {
	for _, s := range []Stats{{}, {Name: "demo\x1b[2J", Stats: shm.Stats{
		Made: []shm.MethodStats{{Method: "a\nb", Begun: 7, Latency: shm.Latency{Buckets: []shm.Bucket{{LeNS: 9, Count: 1}, {LeNS: 1, Count: 1 << 63}}}}},
	}, Inside: &Inside{Goroutines: 3}}} {
		doc, err := json.Marshal(s)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(doc)
	}
	f.Add([]byte(`{"made":[{"latency":{"buckets":null}}],"inside":null}`))
	f.Add([]byte(`[]`))
	f.Fuzz(func(t *testing.T, doc []byte) {
		s, err := parseStats(doc)
		if err != nil {
			return
		}
		for _, m := range s.Plus(s.Stats).Made {
			if strings.ContainsAny(m.Method+m.Contract+s.Name+s.TEE, "\x1b\n\r") {
				t.Fatalf("%q", m.Method)
			}
			m.Latency.Since(m.Latency)
			m.Latency.Percentile(99)
		}
	})
}
