package teetest

import (
	"errors"
	"testing"
)

// lacking tests, for each group of features that a TEE may lack, that it says so
// by errors.ErrUnsupported.
var lacking = map[string]func(Suite, *testing.T){
	"encrypted images": Suite.lacksEncryption,
	"buffers":          Suite.lacksBuffers,
	"streams":          Suite.lacksStreams,
	"sealing":          asks("sealimage x", "sealsigner x"),
	"evidence":         asks("evidence x"),
	"counters":         asks("count x"),
	"secret memory":    Suite.lacksSecretMemory,
}

// asks returns a test that asks the callee in vain.
func asks(requests ...string) func(Suite, *testing.T) {
	return func(s Suite, t *testing.T) {
		c := s.any(t)
		for _, text := range requests {
			if got, err := c.try(text); !errors.Is(err, errors.ErrUnsupported) {
				t.Errorf("%s: %q, %v", text, got, err)
			}
		}
	}
}

func (s Suite) lacksBuffers(t *testing.T) {
	if _, err := s.any(t).NewBuffer(t.Context(), 4096); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("a buffer: %v", err)
	}
}

func (s Suite) lacksStreams(t *testing.T) {
	if c, err := s.any(t).Dial(t.Context(), streamName); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("a stream: %v, %v", c, err)
	}
}

func (s Suite) lacksEncryption(t *testing.T) {
	key := ImageKey(t, 1)
	i, err := s.Backend.Launch(t.Context(), EncryptedImage(t, Manifest(), s.Program, 1, key), Config(s.StateDir(t)))
	if err == nil {
		i.Close()
	}
	if !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("launched: %v", err)
	}
}

func (s Suite) lacksSecretMemory(t *testing.T) {
	r, err := s.launch(t, Manifest(), 1, s.StateDir(t)).Control.Try("secret", 1)
	if err != nil || !r.Unsupported {
		t.Errorf("secret memory: %+v, %v", r, err)
	}
}
