package teetest

import (
	"bytes"
	"errors"
	"io"
	"sync"
	"testing"
)

// streamName is what the callee listens by; it mirrors what is written.
const streamName = "mirror"

// testStreams: several streams carry bytes into the enclave and back at once,
// and end as connections do.
func (s Suite) testStreams(t *testing.T) {
	c := s.any(t)
	var wg sync.WaitGroup
	defer wg.Wait()
	for i := range 4 {
		conn, err := c.Dial(t.Context(), streamName)
		if errors.Is(err, errors.ErrUnsupported) {
			t.Skip(err)
		}
		if err != nil {
			t.Fatal(err)
		}
		want := bytes.Repeat([]byte{byte(i), 1, 2, 3, 4, 5, 6}, 100_000)
		wg.Go(func() {
			if _, err := conn.Write(want); err != nil {
				t.Error(err)
			}
			if err := conn.(interface{ CloseWrite() error }).CloseWrite(); err != nil {
				t.Error(err)
			}
		})
		wg.Go(func() {
			defer conn.Close()
			if got, err := io.ReadAll(conn); err != nil || !bytes.Equal(got, want) {
				t.Errorf("%d bytes came back of %d: %v", len(got), len(want), err)
			}
		})
	}
}
