package control

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"reflect"
	"strings"
	"testing"
	"testing/iotest"
	"time"
)

var samples = map[string]Message{
	"hello":         &Hello{Version: 1, Level: -4, Workers: 7, Spin: -time.Microsecond},
	"shutdown":      &Shutdown{},
	"ready":         &Ready{Version: 1, Contracts: []Contract{{0xdeadbeef, "example.com/demo.Greeter"}, {2, ""}}},
	"ready, bare":   &Ready{Version: 2},
	"failed":        &Failed{Text: "no key"},
	"failed, empty": &Failed{},
	"log":           &Log{Level: 8, Message: "hello", Attrs: []Attr{{"a.b", "1"}, {"", ""}}},
	"log, bare":     &Log{},
	"stopped":       &Stopped{},
}

func TestRoundTrip(t *testing.T) {
	for name, m := range samples {
		t.Run(name, func(t *testing.T) {
			var buf bytes.Buffer
			if err := Write(&buf, m); err != nil {
				t.Fatal(err)
			}
			got, err := Read(iotest.OneByteReader(&buf))
			if err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(got, m) {
				t.Errorf("read %#v, want %#v", got, m)
			}
			if _, err := Read(&buf); err != io.EOF {
				t.Errorf("after the message: %v, want EOF", err)
			}
		})
	}
}

func TestReadRefuses(t *testing.T) {
	frame := func(kind byte, payload ...byte) []byte {
		b := binary.LittleEndian.AppendUint32(nil, uint32(len(payload)))
		return append(append(b, kind), payload...)
	}
	long := func(n int) []byte {
		return append(binary.LittleEndian.AppendUint16(nil, uint16(n)), make([]byte, n)...)
	}
	tests := []struct {
		name string
		in   []byte
		want error
	}{
		{"nothing", nil, io.EOF},
		{"half a header", []byte{0, 0}, io.ErrUnexpectedEOF},
		{"half a payload", []byte{15, 0, 0, 0, kindHello, 1}, io.ErrUnexpectedEOF},
		{"no payload", []byte{15, 0, 0, 0, kindHello}, io.ErrUnexpectedEOF},
		{"type 0", frame(0), ErrProtocol},
		{"type 7", frame(7), ErrProtocol},
		{"size beyond bound", []byte{1, 0, 1, 0, kindFailed}, ErrProtocol},
		{"size 2^32-1", []byte{255, 255, 255, 255, kindFailed}, ErrProtocol},
		{"short hello", frame(kindHello, 1, 0), ErrProtocol},
		{"long hello", frame(kindHello, make([]byte, 16)...), ErrProtocol},
		{"shutdown with payload", frame(kindShutdown, 0), ErrProtocol},
		{"stopped with payload", frame(kindStopped, 0), ErrProtocol},
		{"text longer than payload", frame(kindFailed, 5, 0, 'a'), ErrProtocol},
		{"text longer than bound", frame(kindFailed, long(MaxFailure+1)...), ErrProtocol},
		{"contracts beyond payload", frame(kindReady, 1, 0, 200, 0), ErrProtocol},
		{"contracts beyond bound", frame(kindReady, append([]byte{1, 0, 201, 0}, make([]byte, 201*6)...)...), ErrProtocol},
		{"attributes beyond payload", frame(kindLog, 0, 0, 0, 32, 0), ErrProtocol},
		{"attributes beyond bound", frame(kindLog, append([]byte{0, 0, 0, 33, 0}, make([]byte, 33*4)...)...), ErrProtocol},
		{"trailing byte", frame(kindFailed, 0, 0, 0), ErrProtocol},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			m, err := Read(bytes.NewReader(tt.in))
			if !errors.Is(err, tt.want) || m != nil {
				t.Errorf("read %#v, %v; want %v", m, err, tt.want)
			}
		})
	}
}

// TestBoundsHold: the largest messages that can be written can be read.
func TestBoundsHold(t *testing.T) {
	huge := strings.Repeat("x", 70_000)
	ready, log := &Ready{}, &Log{Message: huge}
	for range 1000 {
		ready.Contracts = append(ready.Contracts, Contract{1, huge})
		log.Attrs = append(log.Attrs, Attr{huge, huge})
	}
	for _, m := range []Message{ready, log, &Failed{huge}} {
		b := Append(nil, m)
		if len(b) > headerSize+MaxPayload {
			t.Fatalf("%T: %d bytes", m, len(b))
		}
		got, err := Read(bytes.NewReader(b))
		if err != nil {
			t.Fatalf("%T: %v", m, err)
		}
		if again := Append(nil, got); !bytes.Equal(again, b) {
			t.Errorf("%T: encodes differently once cut off", m)
		}
	}
}

func TestPrintable(t *testing.T) {
	tests := []struct{ in, want string }{
		{"plain, grüße 世界", "plain, grüße 世界"},
		{"a\nb\r\tc\x00", "a b  c "},
		{"\x1b[31mred", " [31mred"},
		{"\xff\xfe", "?"},
		{"a\u202eb\u2028c\u0085d\u200be", "a b c d e"},
	}
	for _, tt := range tests {
		if got := Printable(tt.in); got != tt.want {
			t.Errorf("Printable(%q) = %q, want %q", tt.in, got, tt.want)
		}
	}
}

// FuzzRead: no input makes Read panic or allocate beyond its bound, and what it
// accepts is canonical.
func FuzzRead(f *testing.F) {
	for _, m := range samples {
		f.Add(Append(nil, m))
	}
	f.Add([]byte{255, 255, 255, 255, 5})
	f.Fuzz(func(t *testing.T, data []byte) {
		r := bytes.NewReader(data)
		m, err := Read(r)
		if err != nil {
			if m != nil {
				t.Fatal("both a message and an error")
			}
			return
		}
		used := data[:len(data)-r.Len()]
		if again := Append(nil, m); !bytes.Equal(again, used) {
			t.Fatalf("read %x, writes %x", used, again)
		}
	})
}
