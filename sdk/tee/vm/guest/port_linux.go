package guest

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"syscall"
	"time"
)

// Where the kernel shows virtio's serial ports, and their devices.
const (
	portsDir   = "/sys/class/virtio-ports"
	devicesDir = "/dev"
)

// The port's name arrives after its device, and that the host is there after
// both.
const (
	portPatience = 10 * time.Second
	portMoment   = 2 * time.Millisecond
)

// openPort waits for the port of that name, and for the host at its other end.
func openPort(ports, devices, name string) (io.ReadWriteCloser, error) {
	for end := time.Now().Add(portPatience); ; time.Sleep(portMoment) {
		device := findPort(ports, name)
		if device == "" {
			if time.Now().After(end) {
				return nil, fmt.Errorf("the machine has no serial port %q", name)
			}
			continue
		}
		f, err := os.OpenFile(devices+"/"+device, os.O_RDWR|syscall.O_NONBLOCK, 0)
		if err != nil {
			return nil, fmt.Errorf("opening the port to the host: %w", err)
		}
		return &port{File: f, until: end}, nil
	}
}

// findPort returns the device of a port, or "".
func findPort(ports, name string) string {
	entries, err := os.ReadDir(ports)
	if err != nil {
		return "" // not yet there
	}
	for _, e := range entries {
		b, err := os.ReadFile(ports + "/" + e.Name() + "/name")
		if err == nil && strings.TrimSpace(string(b)) == name {
			return e.Name()
		}
	}
	return ""
}

// port is a serial port. Until something has come it looks as if it were at its
// end: that the host is there is not yet known.
type port struct {
	*os.File
	until time.Time // the host must be there
	begun bool
}

func (p *port) Read(b []byte) (int, error) {
	for {
		n, err := p.File.Read(b)
		p.begun = p.begun || n > 0
		if p.begun || !errors.Is(err, io.EOF) || time.Now().After(p.until) {
			return n, err
		}
		time.Sleep(portMoment)
	}
}
