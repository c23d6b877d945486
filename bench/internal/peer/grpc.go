package peer

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"runtime"
	"sync"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/mem"

	"github.com/secgear/secgear/bench/internal/drive"
)

// raw is a codec that leaves bytes as they are: gRPC without the cost of
// Protocol Buffers.
type raw struct{}

func (raw) Name() string { return "raw" }

func (raw) Marshal(v any) (mem.BufferSlice, error) {
	b, ok := v.(*[]byte)
	if !ok {
		return nil, fmt.Errorf("codec: %T is not bytes", v)
	}
	return mem.BufferSlice{mem.SliceBuffer(*b)}, nil
}

func (raw) Unmarshal(data mem.BufferSlice, v any) error {
	b, ok := v.(*[]byte)
	if !ok {
		return fmt.Errorf("codec: %T is not bytes", v)
	}
	if cap(*b) < data.Len() {
		*b = make([]byte, data.Len())
	}
	*b = (*b)[:data.Len()]
	data.CopyTo(*b)
	return nil
}

// Sizes that let a large message pass in one go.
const (
	grpcBuffer  = 256 << 10
	grpcWindow  = 8 << 20
	grpcMessage = 2 * Large
	echoMethod  = "/echo.Echo/Echo"
)

// echoService describes the one method by hand.
var echoService = grpc.ServiceDesc{
	ServiceName: "echo.Echo",
	HandlerType: (*any)(nil),
	Methods: []grpc.MethodDesc{{
		MethodName: "Echo",
		Handler: func(_ any, _ context.Context, decode func(any) error, _ grpc.UnaryServerInterceptor) (any, error) {
			var b []byte
			if err := decode(&b); err != nil {
				return nil, err
			}
			return &b, nil
		},
	}},
}

// runGRPCServer serves the one connection until standard input ends.
func runGRPCServer() error {
	conn, err := inherited(0)
	if err != nil {
		return err
	}
	s := grpc.NewServer(
		grpc.ForceServerCodecV2(raw{}),
		grpc.NumStreamWorkers(uint32(runtime.GOMAXPROCS(0))),
		grpc.ReadBufferSize(grpcBuffer), grpc.WriteBufferSize(grpcBuffer),
		grpc.InitialWindowSize(grpcWindow), grpc.InitialConnWindowSize(grpcWindow),
		grpc.MaxRecvMsgSize(grpcMessage), grpc.MaxSendMsgSize(grpcMessage),
	)
	s.RegisterService(&echoService, struct{}{})
	go func() {
		// The driver ends us; how it goes is of no interest then.
		_, _ = io.Copy(io.Discard, os.Stdin)
		s.Stop()
	}()
	return s.Serve(newSingle(conn))
}

// single is a listener that one connection comes in on.
type single struct {
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
	addr   net.Addr
}

func newSingle(conn net.Conn) *single {
	l := &single{conns: make(chan net.Conn, 1), closed: make(chan struct{}), addr: conn.LocalAddr()}
	l.conns <- conn
	return l
}

func (l *single) Accept() (net.Conn, error) {
	select {
	case conn := <-l.conns:
		return conn, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *single) Close() error {
	l.once.Do(func() { close(l.closed) })
	return nil
}

func (l *single) Addr() net.Addr { return l.addr }

// dial makes a client over conn, which it can't replace once it broke.
func dial(conn net.Conn) (*grpc.ClientConn, error) {
	taken := make(chan net.Conn, 1)
	taken <- conn
	return grpc.NewClient("passthrough:///echo",
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(context.Context, string) (net.Conn, error) {
			select {
			case c := <-taken:
				return c, nil
			default:
				return nil, errors.New("the server is gone")
			}
		}),
		grpc.WithDisableServiceConfig(), grpc.WithIdleTimeout(0),
		grpc.WithReadBufferSize(grpcBuffer), grpc.WithWriteBufferSize(grpcBuffer),
		grpc.WithInitialWindowSize(grpcWindow), grpc.WithInitialConnWindowSize(grpcWindow),
		grpc.WithDefaultCallOptions(grpc.ForceCodecV2(raw{}), grpc.MaxCallRecvMsgSize(grpcMessage), grpc.MaxCallSendMsgSize(grpcMessage)),
	)
}

// grpcCaller is one caller of the echo service.
type grpcCaller struct {
	conn    *grpc.ClientConn
	out, in []byte
}

func newGRPCCaller(conn *grpc.ClientConn, size int) *grpcCaller {
	c := &grpcCaller{conn, make([]byte, size), make([]byte, size)}
	for i := range c.out {
		c.out[i] = byte(i)
	}
	return c
}

// call makes n calls. What came back is looked at after the last.
func (c *grpcCaller) call(n int) error {
	for range n {
		if err := c.conn.Invoke(context.Background(), echoMethod, &c.out, &c.in); err != nil {
			return err
		}
	}
	if !bytes.Equal(c.in, c.out) {
		return errors.New("the echo differs")
	}
	return nil
}

// runGRPCClient calls as its driver asks it to.
func runGRPCClient() error {
	under, err := inherited(0)
	if err != nil {
		return err
	}
	conn, err := dial(under)
	if err != nil {
		return err
	}
	defer conn.Close()
	var small []*grpcCaller
	for range Callers {
		small = append(small, newGRPCCaller(conn, Small))
	}
	return drive.Serve(os.Stdin, os.Stdout, map[string]drive.Work{
		"rtt64": drive.Calls(1, small[0].call),
		"rtt4k": drive.Calls(1, newGRPCCaller(conn, Medium).call),
		"rtt1m": drive.Calls(1, newGRPCCaller(conn, Large).call),
		"throughput16": drive.Together(Callers, 4, func(i, n int) error {
			return small[i].call(n)
		}),
	})
}
