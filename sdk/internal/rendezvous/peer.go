package rendezvous

import (
	"fmt"
	"log/slog"
	"slices"
)

// Peer is a process at the other end of a connection, as it was when it
// connected: the kernel's word. Users and groups that this process's user
// namespace does not know appear as the overflow user, mostly 65534.
type Peer struct {
	PID      int
	UID, GID uint32
	Groups   []uint32 // supplementary ones
}

// In tells whether the process is in group gid.
func (p Peer) In(gid uint32) bool { return p.GID == gid || slices.Contains(p.Groups, gid) }

// String names the process for people.
func (p Peer) String() string { return fmt.Sprintf("process %d of user %d", p.PID, p.UID) }

// LogValue implements [slog.LogValuer].
func (p Peer) LogValue() slog.Value {
	return slog.GroupValue(slog.Int("pid", p.PID), slog.Uint64("uid", uint64(p.UID)), slog.Uint64("gid", uint64(p.GID)))
}
