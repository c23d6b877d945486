package pause

import (
	"context"
	"errors"
	"testing"
	"time"
)

func TestMeasure(t *testing.T) {
	took, err := Measure(t.Context(), 20, 10*time.Microsecond)
	if err != nil || len(took) != 20 {
		t.Fatalf("measured %d pauses, %v; want 20", len(took), err)
	}
	for _, d := range took {
		if d <= 0 {
			t.Errorf("the world was stopped for %v", d)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Measure(ctx, 5, time.Hour); !errors.Is(err, context.Canceled) {
		t.Errorf("error is %v, want that of the context", err)
	}
}
