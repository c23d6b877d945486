package vm

import (
	"log/slog"
	"testing"
	"context"
	"time"

	"github.com/secgear/secgear/sdk/tee/teetest"
)

func TestSmoke(t *testing.T) {
	everywhere(t, func(t *testing.T, b Backend, arch string) {
		m := teetest.Manifest()
		m.Debug = true
		cfg := teetest.Config(t.TempDir())
		cfg.Log = slog.New(slog.NewTextHandler(t.Output(), nil))
		start := time.Now()
		ctx, cancel := context.WithTimeout(t.Context(), 90*time.Second)
		defer cancel()
		i, err := b.Launch(ctx, teetest.Image(t, m, testProgram(t, arch), 1), cfg)
		if err != nil {
			t.Fatal(err)
		}
		t.Log("launched after", time.Since(start), i.Protections())
		k := teetest.NewTalk(t, i.Control())
		t.Log(k.Get("echo", "hello"), k.Get("name"))
		e := &teetest.Enclave{Instance: i, Control: k}
		l, bell := e.Lane(t, 1<<20)
		copy(l.Mem[100:], "from the host")
		t.Log(bell.Get("peek", 100, 13))
		k.Try("exit", 7)
		<-i.Done()
		t.Log(i.Err())
	})
}
