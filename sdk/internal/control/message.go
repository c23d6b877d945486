package control

import "time"

// Message is one of the types below.
type Message interface {
	kind() byte
	write(*writer)
	read(*reader)
}

// Types of messages on the wire.
const (
	kindHello = 1 + iota
	kindShutdown
	kindReady
	kindFailed
	kindLog
	kindStopped
)

// newMessage returns an empty message of a type, or nil.
func newMessage(kind byte) Message {
	switch kind {
	case kindHello:
		return new(Hello)
	case kindShutdown:
		return new(Shutdown)
	case kindReady:
		return new(Ready)
	case kindFailed:
		return new(Failed)
	case kindLog:
		return new(Log)
	case kindStopped:
		return new(Stopped)
	}
	return nil
}

// Hello is the host's first message. Its settings are wishes: the enclave
// bounds them by its manifest.
type Hello struct {
	Version uint16
	Level   int8          // least level of log records that the host wants
	Workers uint32        // handlers running at a time, per lane; 0: the manifest's number
	Spin    time.Duration // as shm.Config.Spin
}

func (*Hello) kind() byte { return kindHello }

func (m *Hello) write(w *writer) {
	w.u16(m.Version)
	w.u8(uint8(m.Level))
	w.u32(m.Workers)
	w.u64(uint64(m.Spin))
}

func (m *Hello) read(r *reader) {
	m.Version = r.u16()
	m.Level = int8(r.u8())
	m.Workers = r.u32()
	m.Spin = time.Duration(r.u64())
}

// Shutdown asks the enclave to stop.
type Shutdown struct{}

func (*Shutdown) kind() byte    { return kindShutdown }
func (*Shutdown) write(*writer) {}
func (*Shutdown) read(*reader)  {}

// Contract names a contract that is served.
type Contract struct {
	ID   uint32
	Name string // at most MaxName bytes
}

// Ready says that the enclave serves calls.
type Ready struct {
	Version   uint16
	Contracts []Contract // at most MaxContracts
}

func (*Ready) kind() byte { return kindReady }

func (m *Ready) write(w *writer) {
	w.u16(m.Version)
	list := m.Contracts[:min(len(m.Contracts), MaxContracts)]
	w.u16(uint16(len(list)))
	for _, c := range list {
		w.u32(c.ID)
		w.text(c.Name, MaxName)
	}
}

func (m *Ready) read(r *reader) {
	m.Version = r.u16()
	for range r.count(MaxContracts, 4+2) {
		m.Contracts = append(m.Contracts, Contract{r.u32(), r.text(MaxName)})
	}
}

// Failed says why the enclave can't be used.
type Failed struct {
	Text string // at most MaxFailure bytes
}

func (*Failed) kind() byte        { return kindFailed }
func (m *Failed) write(w *writer) { w.text(m.Text, MaxFailure) }
func (m *Failed) read(r *reader)  { m.Text = r.text(MaxFailure) }

// Attr is an attribute of a log record, its groups joined to the key by dots.
type Attr struct {
	Key   string // at most MaxKey bytes
	Value string // at most MaxValue bytes
}

// Log is a log record.
type Log struct {
	Level   int8
	Message string // at most MaxMessage bytes
	Attrs   []Attr // at most MaxAttrs
}

func (*Log) kind() byte { return kindLog }

func (m *Log) write(w *writer) {
	w.u8(uint8(m.Level))
	w.text(m.Message, MaxMessage)
	list := m.Attrs[:min(len(m.Attrs), MaxAttrs)]
	w.u16(uint16(len(list)))
	for _, a := range list {
		w.text(a.Key, MaxKey)
		w.text(a.Value, MaxValue)
	}
}

func (m *Log) read(r *reader) {
	m.Level = int8(r.u8())
	m.Message = r.text(MaxMessage)
	for range r.count(MaxAttrs, 2+2) {
		m.Attrs = append(m.Attrs, Attr{r.text(MaxKey), r.text(MaxValue)})
	}
}

// Stopped says that the enclave has stopped as it was asked to, and only waits
// for its end.
type Stopped struct{}

func (*Stopped) kind() byte    { return kindStopped }
func (*Stopped) write(*writer) {}
func (*Stopped) read(*reader)  {}
