package host

import (
	"strings"
	"sync"
)

// guests counts the lanes of other processes, by user.
type guests struct {
	mu  sync.Mutex
	all int
	by  map[uint32]int
}

// enter takes one of most lanes for user uid. If the lanes are shared no user gets
// more than what is left for the others, so that one who takes all that he can
// leaves as much.
func (g *guests) enter(uid uint32, most int, shared bool) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	left := most - g.all
	if left <= 0 || shared && g.by[uid] >= left {
		return false
	}
	if g.by == nil {
		g.by = make(map[uint32]int)
	}
	g.all++
	g.by[uid]++
	return true
}

// leave gives a lane of user uid back.
func (g *guests) leave(uid uint32) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.all--
	if g.by[uid]--; g.by[uid] == 0 {
		delete(g.by, uid)
	}
}

// count is how many lanes there are.
func (g *guests) count() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.all
}

// shared tells whether list, a manifest's Attach, may name more than one user.
func shared(list []string) bool {
	return len(list) > 1 || len(list) == 1 && strings.HasPrefix(list[0], "gid:")
}
