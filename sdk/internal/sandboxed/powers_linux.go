package sandboxed

import (
	"fmt"

	"github.com/secgear/secgear/sdk/internal/sandbox/wire"
	"github.com/secgear/secgear/sdk/tee"
)

// call is a request that waits for its reply.
type call struct {
	request wire.Request
	result  chan<- result
}

type result struct {
	body []byte
	err  error
}

// ask sends requests to the host, one at a time, until it is gone.
func (p *platform) ask(replies <-chan []byte) {
	for {
		select {
		case c := <-p.calls:
			c.result <- p.askOne(c.request, replies)
		case <-p.gone:
			return
		}
	}
}

func (p *platform) askOne(r wire.Request, replies <-chan []byte) result {
	if len(replies) > 0 {
		return result{err: fmt.Errorf("%w: a reply to no request", wire.ErrFormat)}
	}
	if err := p.socket.send(r.Encode()); err != nil {
		return result{err: err}
	}
	select {
	case reply := <-replies:
		body, refused, err := wire.ParseReply(reply)
		if err == nil {
			err = refused
		}
		return result{body, err}
	case <-p.gone:
		return result{err: tee.ErrLost}
	}
}

// request asks the host for what r says.
func (p *platform) request(r wire.Request) ([]byte, error) {
	answer := make(chan result, 1)
	select {
	case p.calls <- call{r, answer}:
		got := <-answer
		return got.body, got.err
	case <-p.gone:
		return nil, tee.ErrLost
	}
}

// SealingKey implements [tee.SealingKeys].
func (p *platform) SealingKey(policy tee.Policy, version uint32, salt [32]byte) (key [32]byte, err error) {
	body, err := p.request(wire.Request{Op: wire.OpSealingKey, Policy: policy, Version: version, Salt: salt})
	if err != nil {
		return key, fmt.Errorf("getting a sealing key: %w", err)
	}
	if len(body) != len(key) {
		return key, fmt.Errorf("getting a sealing key: %w: %d bytes", wire.ErrFormat, len(body))
	}
	copy(key[:], body)
	clear(body)
	return key, nil
}

// Evidence implements [tee.Attester], in the TEE's own format.
func (p *platform) Evidence(data [64]byte) ([]byte, error) {
	body, err := p.request(wire.Request{Op: wire.OpEvidence, Data: data})
	if err != nil {
		return nil, fmt.Errorf("getting evidence: %w", err)
	}
	return body, nil
}

// Counter implements [tee.Counters].
func (p *platform) Counter(id string) (uint64, error) {
	v, err := p.number(wire.Request{Op: wire.OpCounter, ID: id})
	if err != nil {
		return 0, fmt.Errorf("reading a counter: %w", err)
	}
	return v, nil
}

// Increment implements [tee.Counters].
func (p *platform) Increment(id string) (uint64, error) {
	v, err := p.number(wire.Request{Op: wire.OpIncrement, ID: id})
	if err != nil {
		return 0, fmt.Errorf("incrementing a counter: %w", err)
	}
	return v, nil
}

// number asks for a number.
func (p *platform) number(r wire.Request) (uint64, error) {
	if len(r.ID) > wire.MaxID {
		return 0, fmt.Errorf("an id of %d bytes is too long", len(r.ID))
	}
	body, err := p.request(r)
	if err != nil {
		return 0, err
	}
	return wire.ParseValue(body)
}
