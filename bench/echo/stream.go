package echo

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
)

// Stream is the name that the enclave listens by.
const Stream = "bench"

// What a stream is for: its first byte.
const (
	Sink   = 's' // everything is read until its end, and its length (8 bytes, little-endian) answered
	Mirror = 'm' // each message of Message bytes is answered with itself
)

// Message is the length of a message that is mirrored.
const Message = 64

// chunk is how much is read at once.
const chunk = 64 << 10

// ServeStreams serves what ln accepts until it ends.
func ServeStreams(ln net.Listener) error {
	for {
		conn, err := ln.Accept()
		if err != nil {
			return err
		}
		go func() {
			defer conn.Close()
			serveStream(conn)
		}()
	}
}

// serveStream does what conn's first byte says. Who dialled notices failures.
func serveStream(conn net.Conn) error {
	b := make([]byte, 1)
	if _, err := io.ReadFull(conn, b); err != nil {
		return err
	}
	switch b[0] {
	case Sink:
		return sink(conn)
	case Mirror:
		return mirror(conn)
	}
	return fmt.Errorf("unknown purpose %d", b[0])
}

func sink(conn net.Conn) error {
	b := make([]byte, chunk)
	total := uint64(0)
	for {
		n, err := conn.Read(b)
		total += uint64(n)
		if errors.Is(err, io.EOF) {
			_, err := conn.Write(binary.LittleEndian.AppendUint64(nil, total))
			return err
		}
		if err != nil {
			return err
		}
	}
}

func mirror(conn net.Conn) error {
	b := make([]byte, Message)
	for {
		if _, err := io.ReadFull(conn, b); err != nil {
			return err
		}
		if _, err := conn.Write(b); err != nil {
			return err
		}
	}
}
