package peer

import (
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"time"

	"github.com/secgear/secgear/bench/echo"
	"github.com/secgear/secgear/bench/internal/drive"
)

const (
	// Write is how much is written to a stream at once, in bytes.
	Write = 64 << 10
	// Streams is how many streams are open while Callers of them are busy.
	Streams = 1000
)

// StreamWorks are the works on streams, whatever dial opens them to.
func StreamWorks(dial func() (net.Conn, error)) map[string]drive.Work {
	f := &field{dial: dial}
	return map[string]drive.Work{
		"stream":      func(d time.Duration) ([]float64, error) { return pour(dial, d) },
		"streams1000": f.work,
	}
}

// pour writes to one stream for d; its numbers are per Write, until the last
// byte was read at the other end.
func pour(dial func() (net.Conn, error), d time.Duration) ([]float64, error) {
	conn, err := dial()
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	if _, err := conn.Write([]byte{echo.Sink}); err != nil {
		return nil, err
	}
	data := make([]byte, Write)
	n := 0
	begin := time.Now()
	for time.Since(begin) < d {
		if _, err := conn.Write(data); err != nil {
			return nil, err
		}
		n++
	}
	if err := conn.(interface{ CloseWrite() error }).CloseWrite(); err != nil {
		return nil, err
	}
	var answer [8]byte
	if _, err := io.ReadFull(conn, answer[:]); err != nil {
		return nil, err
	}
	total := float64(time.Since(begin))
	if got := binary.LittleEndian.Uint64(answer[:]); got != uint64(n)*Write {
		return nil, fmt.Errorf("%d bytes arrived of %d", got, n*Write)
	}
	return []float64{float64(n), total, total / float64(n)}, nil
}

// field is many open streams, of which some are busy.
type field struct {
	dial  func() (net.Conn, error)
	conns []net.Conn
	play  drive.Work
}

func (f *field) work(d time.Duration) ([]float64, error) {
	if f.play == nil {
		if err := f.open(); err != nil {
			return nil, err
		}
	}
	return f.play(d)
}

func (f *field) open() error {
	for len(f.conns) < Streams {
		conn, err := f.dial()
		if err != nil {
			return fmt.Errorf("stream %d: %w", len(f.conns), err)
		}
		f.conns = append(f.conns, conn)
		if _, err := conn.Write([]byte{echo.Mirror}); err != nil {
			return err
		}
	}
	f.play = drive.Together(Callers, 4, func(i, n int) error {
		conn := f.conns[i*(Streams/Callers)]
		var out, in [echo.Message]byte
		for j := range n {
			out[0], out[1] = byte(i), byte(j)
			if _, err := conn.Write(out[:]); err != nil {
				return err
			}
			if _, err := io.ReadFull(conn, in[:]); err != nil {
				return err
			}
			if in != out {
				return fmt.Errorf("stream %d: the echo differs", i)
			}
		}
		return nil
	})
	return nil
}
