package ctest

import (
	"net"
	"os"
)

// pipe is a stream socket as a connection.
type pipe struct{ *os.File }

func (pipe) LocalAddr() net.Addr  { return &net.UnixAddr{} }
func (pipe) RemoteAddr() net.Addr { return &net.UnixAddr{} }
