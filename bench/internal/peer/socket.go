package peer

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"os"

	"github.com/secgear/secgear/bench/echo"
	"github.com/secgear/secgear/bench/internal/drive"
)

// A message on the socket is its length, 4 bytes little-endian, and its bytes,
// written at once; the answer is the same.
const header = 4

// inherited returns connection i of those that this process was started with.
func inherited(i int) (net.Conn, error) {
	f := os.NewFile(uintptr(3+i), "conn")
	defer f.Close()
	conn, err := net.FileConn(f)
	if err != nil {
		return nil, fmt.Errorf("descriptor %d: %w", 3+i, err)
	}
	if u, ok := conn.(*net.UnixConn); ok { // as large as the system lets us
		err = errors.Join(u.SetReadBuffer(4<<20), u.SetWriteBuffer(4<<20))
	}
	return conn, err
}

// runSocketServer answers on all connections until standard input ends.
func runSocketServer() error {
	for i := range Callers {
		conn, err := inherited(i)
		if err != nil {
			return err
		}
		go func() {
			if err := answerAll(conn); !errors.Is(err, io.EOF) {
				fmt.Fprintln(os.Stderr, "echo:", err)
			}
		}()
	}
	ln, err := net.FileListener(os.NewFile(3+Callers, "listener"))
	if err != nil {
		return fmt.Errorf("descriptor %d: %w", 3+Callers, err)
	}
	defer ln.Close()
	go echo.ServeStreams(ln) // until we end
	_, err = io.Copy(io.Discard, os.Stdin)
	return err
}

// answerAll answers every message on conn with itself until conn ends.
func answerAll(conn net.Conn) error {
	buf := make([]byte, header+Large)
	for {
		n, err := receive(conn, buf)
		if err != nil {
			return err
		}
		if _, err := conn.Write(buf[:n]); err != nil {
			return err
		}
	}
}

// receive reads one message into buf, in as few reads as the socket allows,
// and returns its length with the header.
func receive(conn net.Conn, buf []byte) (int, error) {
	have, want := 0, header
	for have < want {
		n, err := conn.Read(buf[have:])
		if err != nil {
			return 0, err
		}
		have += n
		if want == header && have >= header {
			want += int(binary.LittleEndian.Uint32(buf))
		}
		if want > len(buf) || have > want {
			return 0, errors.New("malformed message")
		}
	}
	return have, nil
}

// socketCaller is one caller's end of a connection.
type socketCaller struct {
	conn    net.Conn
	out, in []byte
}

func newSocketCaller(conn net.Conn, size int) *socketCaller {
	c := &socketCaller{conn, make([]byte, header+size), make([]byte, header+size)}
	binary.LittleEndian.PutUint32(c.out, uint32(size))
	for i := range size {
		c.out[header+i] = byte(i)
	}
	return c
}

// call makes n calls. What came back is looked at after the last.
func (c *socketCaller) call(n int) error {
	for range n {
		if _, err := c.conn.Write(c.out); err != nil {
			return err
		}
		if _, err := receive(c.conn, c.in); err != nil {
			return err
		}
	}
	if !bytes.Equal(c.in, c.out) {
		return errors.New("the echo differs")
	}
	return nil
}

// runSocketClient calls as its driver asks it to.
func runSocketClient() error {
	var conns []net.Conn
	for i := range Callers {
		conn, err := inherited(i)
		if err != nil {
			return err
		}
		defer conn.Close()
		conns = append(conns, conn)
	}
	var small []*socketCaller
	for _, conn := range conns {
		small = append(small, newSocketCaller(conn, Small))
	}
	works := map[string]drive.Work{
		"rtt64": drive.Calls(1, small[0].call),
		"rtt4k": drive.Calls(1, newSocketCaller(conns[0], Medium).call),
		"rtt1m": drive.Calls(1, newSocketCaller(conns[0], Large).call),
		"throughput16": drive.Together(Callers, 4, func(i, n int) error {
			return small[i].call(n)
		}),
	}
	maps.Copy(works, StreamWorks(func() (net.Conn, error) {
		return net.Dial("unix", os.Getenv(addressVariable))
	}))
	return drive.Serve(os.Stdin, os.Stdout, works)
}
