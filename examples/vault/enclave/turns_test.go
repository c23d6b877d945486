package main

import "testing"

func TestTurns(t *testing.T) {
	const last = 1000 // added to an index: it is the last chunk
	tests := []struct {
		name   string
		take   []uint64
		refuse []uint64
		total  uint64
	}{
		{"in order", []uint64{0, 1, 2 + last}, []uint64{0, 1, 2, 3, 2 + last, 3 + last}, 3},
		{"only one", []uint64{0 + last}, []uint64{0, 1, 0 + last, 1 + last}, 1},
		{"out of order", []uint64{2, 0, 3 + last, 1}, []uint64{0, 1, 2, 3, 4}, 4},
		{"last one first", []uint64{3 + last, 2}, []uint64{3, 2, 4, 2 + last, 4 + last}, 4},
		{"none is last", []uint64{0, 1, 2}, []uint64{0, 1, 2, 1 + last}, 0},
		{"later ones were there", []uint64{5, 7}, []uint64{5, 7, 4 + last, 5 + last, 6 + last}, 0},
		{"edge of the window", []uint64{window - 1}, []uint64{window, window - 1, window - 2 + last}, 0},
		{"window moves", []uint64{window - 1, 1, 0, window, window + 1}, []uint64{window + 2, 0, 1, window}, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var turns turns
			for _, x := range tt.take {
				if !turns.take(x%last, x >= last) {
					t.Errorf("%d (last: %v) was refused", x%last, x >= last)
				}
			}
			for _, x := range tt.refuse {
				copied := turns
				if copied.take(x%last, x >= last) {
					t.Errorf("%d (last: %v) was taken", x%last, x >= last)
				}
				if copied != turns {
					t.Errorf("refusing %d changed %+v to %+v", x%last, turns, copied)
				}
			}
			if total, known := turns.total(); total != tt.total || known != (tt.total != 0) {
				t.Errorf("total %d, %v, want %d", total, known, tt.total)
			}
		})
	}
}

// TestTurnsFull fills whole windows in the worst order.
func TestTurnsFull(t *testing.T) {
	var turns turns
	for start := uint64(0); start < 3*window; start += window {
		for i := uint64(window); i > 0; i-- {
			if !turns.take(start+i-1, false) {
				t.Fatalf("%d was refused", start+i-1)
			}
		}
		if turns.next != start+window || turns.ahead != 0 {
			t.Fatalf("after %d: %+v", start+window, turns)
		}
	}
}
