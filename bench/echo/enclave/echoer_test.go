package main

import (
	"bytes"
	"testing"
	"time"

	"github.com/secgear/secgear/bench/echo"
	"github.com/secgear/secgear/sdk/enclavetest"
)

func TestEcho(t *testing.T) {
	c := echo.NewEchoerClient(enclavetest.Start(t, setup))
	data := [64]byte{0: 1, 63: 2}
	if back, err := c.Echo64(t.Context(), data); err != nil || back != data {
		t.Errorf("echo of %v is %v, %v", data, back, err)
	}
	for _, size := range []int{0, 1, 4 << 10, 1 << 20} {
		data := bytes.Repeat([]byte{7}, size)
		if back, err := c.Echo(t.Context(), data); err != nil || !bytes.Equal(back, data) {
			t.Errorf("echo of %d bytes is %d bytes, %v", size, len(back), err)
		}
	}
}

func TestEchoShared(t *testing.T) {
	e := enclavetest.Start(t, setup)
	c := echo.NewEchoerClient(e)
	for _, size := range []int{0, 1, echo.Piece, echo.Piece + 1} {
		b, err := e.NewBuffer(t.Context(), size)
		if err != nil {
			t.Fatal(err)
		}
		data := bytes.Repeat([]byte{7}, size)
		if _, err := b.WriteAt(data, 0); err != nil {
			t.Fatal(err)
		}
		if err := c.EchoShared(t.Context(), b); (err != nil) != (size > echo.Piece) {
			t.Errorf("%d bytes: %v", size, err)
		}
		back := make([]byte, size)
		if _, err := b.ReadAt(back, 0); err != nil || !bytes.Equal(back, data) {
			t.Errorf("echo of %d bytes differs (%v)", size, err)
		}
	}
}

func TestInvert(t *testing.T) {
	e := enclavetest.Start(t, setup)
	c := echo.NewEchoerClient(e)
	for _, size := range []int{1, len(ones) - 1, len(ones), 3*len(ones) + 5} {
		b, err := e.NewBuffer(t.Context(), size)
		if err != nil {
			t.Fatal(err)
		}
		data := bytes.Repeat([]byte{0x5a}, size)
		if _, err := b.WriteAt(data, 0); err != nil {
			t.Fatal(err)
		}
		if err := c.Invert(t.Context(), b); err != nil {
			t.Fatal(err)
		}
		if _, err := b.ReadAt(data, 0); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(data, bytes.Repeat([]byte{0xa5}, size)) {
			t.Errorf("%d bytes were not all inverted", size)
		}
		if err := b.Free(); err != nil {
			t.Error(err)
		}
	}
}

func TestInside(t *testing.T) {
	c := echo.NewEchoerClient(enclavetest.Start(t, setup))
	if n, err := c.Mallocs(t.Context()); err != nil || n == 0 {
		t.Errorf("the enclave allocated %d objects, %v", n, err)
	}
	if took, err := c.Pauses(t.Context(), 3, time.Microsecond); err != nil || len(took) != 3 {
		t.Errorf("3 pauses took %v, %v", took, err)
	}
	for _, ask := range []struct {
		n    int
		rest time.Duration
	}{{-1, 0}, {maxPauses + 1, 0}, {1, -1}, {1, time.Hour}} {
		if took, err := c.Pauses(t.Context(), ask.n, ask.rest); err == nil {
			t.Errorf("%+v is answered with %v", ask, took)
		}
	}
}
