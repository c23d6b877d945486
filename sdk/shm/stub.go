package shm

import "context"

// Lane is one end of a lane.
type Lane struct{}

// Begin reserves a call: a slot and size bytes for its arguments.
func (l *Lane) Begin(ctx context.Context, contract uint32, method uint16, switched bool, size int) (*Call, error) {
	return nil, nil
}

// NewBuffer allocates n bytes of shared memory.
func (l *Lane) NewBuffer(ctx context.Context, n int) (Buffer, error) { return Buffer{}, nil }

// Call is an outgoing call.
type Call struct{}

func (c *Call) Args() []byte              { return nil }
func (c *Call) Start() error              { return nil }
func (c *Call) Abort()                    {}
func (c *Call) Wait() (Answer, error)     { return Answer{}, nil }
func (c *Call) End()                      {}
func (c *Call) Lend(b Buffer) (Ref, error)   { return Ref{}, nil }
func (c *Call) Borrow(r Ref) (Buffer, error) { return Buffer{}, nil }

// Request is an incoming call.
type Request struct{}

func (q *Request) Contract() uint32             { return 0 }
func (q *Request) Method() uint16               { return 0 }
func (q *Request) Args() []byte                 { return nil }
func (q *Request) Owned() bool                  { return false }
func (q *Request) Results(size int) ([]byte, error) { return nil, nil }
func (q *Request) Fail(status uint32, text string)  {}
func (q *Request) Lend(b Buffer) (Ref, error)   { return Ref{}, nil }
func (q *Request) Borrow(r Ref) (Buffer, error) { return Buffer{}, nil }

// Buffer is a range of memory shared with the other side of a lane, which can
// change it at any moment. Methods: Len, ReadAt, WriteAt, Slice, Free, Shared.
type Buffer struct{}
func (b Buffer) Len() int { return 0 }
func (b Buffer) ReadAt(p []byte, off int64) (int, error) { return 0, nil }
func (b Buffer) WriteAt(p []byte, off int64) (int, error) { return 0, nil }
func (b Buffer) Slice(off, n int) (Buffer, error) { return b, nil }
func (b Buffer) Shared() ([]byte, error) { return nil, nil }
func (b Buffer) Free() error { return nil }
