package image

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
)

// Manifest is what an image says about its program. It is signed with it.
//
// Beside an enclave's source it is the file secgear.json, with the fields'
// names below; a size or number left out, or zero, takes its default (see
// [Manifest.WithDefaults]).
type Manifest struct {
	// Name identifies the program among its signer's: 1 to 64 characters, lower
	// case letters and digits in groups joined by single '-', '_' or '.',
	// beginning with a letter. It is safe as a file name.
	Name string `json:"name"`

	// SecurityVersion is raised with every security fix: a machine that has
	// seen a version refuses lower ones of the same signer and name.
	SecurityVersion uint32 `json:"security_version"`

	// Debug images may be inspected while they run; never for production.
	Debug bool `json:"debug"`

	// Memory is what the enclave may use, in bytes, lanes excluded.
	Memory uint64 `json:"memory"`

	// LaneMemory is what one lane may have at most, in bytes.
	LaneMemory uint64 `json:"lane_memory"`

	// Lanes is the number of processes with a lane at most, the one that loaded
	// the enclave included.
	Lanes int `json:"lanes"`

	// Workers is the number of handlers running at a time, per lane, at most.
	Workers int `json:"workers"`

	// Attach lists the users that may attach: "owner" (who loaded the enclave),
	// "uid:0", "gid:27". The order has no meaning.
	Attach []string `json:"attach,omitempty"`

	// Services lists the host services (OCALL contracts, as
	// "example.com/demo.Clock") that the enclave may call; the enclave's
	// runtime refuses others; and the streams that it may dial there, as
	// "stream:web". "*", alone, stands for all. The order has no meaning.
	Services []string `json:"services,omitempty"`
}

// Defaults of the fields that a manifest may leave out.
const (
	DefaultMemory     = 256 << 20
	DefaultLaneMemory = 128 << 20
	DefaultLanes      = 16
	DefaultWorkers    = 64
)

// MaxName is the length of the longest name of an enclave or stream.
const MaxName = 64

// MaxManifest is the size of the largest manifest, in bytes.
const MaxManifest = 64 << 10

// AnyService, alone in a manifest's Services, allows every contract.
const AnyService = "*"

// StreamService is what a stream's name follows in a manifest's Services.
const StreamService = "stream:"

// Bounds that Validate enforces.
const (
	pageSize      = 4096
	minMemory     = 16 << 20
	maxMemory     = 1 << 40
	minLaneMemory = 1 << 20
	maxLaneMemory = 4 << 30
	maxLanes      = 4096
	maxWorkers    = 4096
	maxAttach     = 64
	maxServices   = 64
	maxService    = 255
)

// DefaultManifest returns a manifest for name: security version 1, no debug,
// everything else by default.
func DefaultManifest(name string) Manifest {
	return Manifest{Name: name, SecurityVersion: 1}.WithDefaults()
}

// WithDefaults returns m with its zero sizes and numbers replaced by the
// defaults.
func (m Manifest) WithDefaults() Manifest {
	if m.Memory == 0 {
		m.Memory = DefaultMemory
	}
	if m.LaneMemory == 0 {
		m.LaneMemory = DefaultLaneMemory
	}
	if m.Lanes == 0 {
		m.Lanes = DefaultLanes
	}
	if m.Workers == 0 {
		m.Workers = DefaultWorkers
	}
	return m
}

// Validate returns every fault of m, joined, or nil.
func (m Manifest) Validate() error {
	var faults []error
	fault := func(format string, args ...any) {
		faults = append(faults, fmt.Errorf(format, args...))
	}
	bounded := func(field string, v, low, high uint64) {
		if v < low || v > high {
			fault("%s: %d is not between %d and %d", field, v, low, high)
		}
		if low >= pageSize && v%pageSize != 0 {
			fault("%s: %d is not a multiple of %d", field, v, pageSize)
		}
	}
	if err := CheckName(m.Name); err != nil {
		fault("name: %w", err)
	}
	bounded("memory", m.Memory, minMemory, maxMemory)
	bounded("lane_memory", m.LaneMemory, minLaneMemory, maxLaneMemory)
	if m.Lanes < 1 || m.Lanes > maxLanes {
		fault("lanes: %d is not between 1 and %d", m.Lanes, maxLanes)
	}
	if m.Workers < 1 || m.Workers > maxWorkers {
		fault("workers: %d is not between 1 and %d", m.Workers, maxWorkers)
	}
	faults = append(faults, checkList("attach", m.Attach, maxAttach, checkAttach)...)
	faults = append(faults, checkList("services", m.Services, maxServices, checkService)...)
	if len(m.Services) > 1 && slices.Contains(m.Services, AnyService) {
		fault("services: %q does not stand alone", AnyService)
	}
	return errors.Join(faults...)
}

// ParseManifest reads a manifest as people write it: one JSON object of the
// fields of [Manifest], in any order. A field that is unknown, null, of the
// wrong type or given twice is a fault, as is anything after the object; all
// faults are returned at once. Values are left for [Manifest.Validate] to
// judge.
func ParseManifest(data []byte) (Manifest, error) {
	var m Manifest
	fields := map[string]any{
		"name": &m.Name, "security_version": &m.SecurityVersion, "debug": &m.Debug,
		"memory": &m.Memory, "lane_memory": &m.LaneMemory, "lanes": &m.Lanes, "workers": &m.Workers,
		"attach": &m.Attach, "services": &m.Services,
	}
	err := parseFields(data, fields)
	if err != nil {
		return Manifest{}, err
	}
	return m, nil
}

// parseFields sets what fields points to from the JSON object in data.
func parseFields(data []byte, fields map[string]any) error {
	if len(data) > MaxManifest {
		return fmt.Errorf("larger than %d bytes", MaxManifest)
	}
	dec := json.NewDecoder(bytes.NewReader(data))
	if t, err := dec.Token(); err != nil {
		return syntaxError(data, dec, err)
	} else if t != json.Delim('{') {
		return errors.New("not a JSON object")
	}
	var faults []error
	seen := map[string]bool{}
	for dec.More() {
		t, err := dec.Token()
		if err != nil {
			return syntaxError(data, dec, err)
		}
		key, _ := t.(string)
		var value json.RawMessage
		if err := dec.Decode(&value); err != nil {
			return syntaxError(data, dec, err)
		}
		if seen[key] {
			faults = append(faults, fmt.Errorf("%q: given twice", key))
			continue
		}
		seen[key] = true
		if err := setField(fields[key], value); err != nil {
			faults = append(faults, fmt.Errorf("%q: %w", key, err))
		}
	}
	if _, err := dec.Token(); err != nil {
		return syntaxError(data, dec, err)
	}
	if _, err := dec.Token(); err != io.EOF {
		faults = append(faults, errors.New("something follows the JSON object"))
	}
	return errors.Join(faults...)
}

// setField decodes value into field, which is nil for unknown ones.
func setField(field any, value json.RawMessage) error {
	if field == nil {
		return errors.New("unknown field")
	}
	if string(value) == "null" {
		return errors.New("null is no value")
	}
	err := json.Unmarshal(value, field)
	var wrong *json.UnmarshalTypeError
	if errors.As(err, &wrong) {
		return fmt.Errorf("%s where a value of type %s belongs", wrong.Value, wrong.Type)
	}
	return err
}

// syntaxError says in which line of data the decoder stopped.
func syntaxError(data []byte, dec *json.Decoder, err error) error {
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	at := min(dec.InputOffset(), int64(len(data)))
	var syntax *json.SyntaxError
	if errors.As(err, &syntax) {
		at = min(syntax.Offset, int64(len(data)))
	}
	return fmt.Errorf("line %d: %w", 1+bytes.Count(data[:at], []byte("\n")), err)
}

// Canonical returns the one encoding of m that images hold: JSON as of RFC 8785
// (keys sorted, no white space), every field given except empty lists, the
// lists sorted. m is valid, so that no string needs an escape.
func (m Manifest) Canonical() ([]byte, error) {
	return json.Marshal(struct {
		Attach          []string `json:"attach,omitempty"`
		Debug           bool     `json:"debug"`
		LaneMemory      uint64   `json:"lane_memory"`
		Lanes           int      `json:"lanes"`
		Memory          uint64   `json:"memory"`
		Name            string   `json:"name"`
		SecurityVersion uint32   `json:"security_version"`
		Services        []string `json:"services,omitempty"`
		Workers         int      `json:"workers"`
	}{
		slices.Sorted(slices.Values(m.Attach)), m.Debug, m.LaneMemory, m.Lanes, m.Memory,
		m.Name, m.SecurityVersion, slices.Sorted(slices.Values(m.Services)), m.Workers,
	})
}

// ParseCanonical reads the canonical encoding of a valid manifest, and nothing
// else.
func ParseCanonical(data []byte) (Manifest, error) {
	m, err := ParseManifest(data)
	if err != nil {
		return Manifest{}, err
	}
	if err := m.Validate(); err != nil {
		return Manifest{}, err
	}
	again, err := m.Canonical()
	if err != nil {
		return Manifest{}, err
	}
	if !bytes.Equal(data, again) {
		return Manifest{}, errors.New("not in canonical form")
	}
	return m, nil
}

// checkList checks number, uniqueness and each entry of a list.
func checkList(field string, list []string, most int, check func(string) error) []error {
	var faults []error
	if len(list) > most {
		faults = append(faults, fmt.Errorf("%s: more than %d entries", field, most))
	}
	seen := make(map[string]bool, len(list))
	for _, s := range list {
		if err := check(s); err != nil {
			faults = append(faults, fmt.Errorf("%s: %w", field, err))
		}
		if seen[s] {
			faults = append(faults, fmt.Errorf("%s: %.80q is given twice", field, s))
		}
		seen[s] = true
	}
	return faults
}

// CheckName tells what is wrong with the name of an enclave or of a stream, or
// returns nil; see [Manifest.Name] for what is right.
func CheckName(s string) error {
	switch {
	case s == "":
		return errors.New("missing")
	case len(s) > MaxName:
		return fmt.Errorf("longer than %d characters", MaxName)
	case s[0] < 'a' || s[0] > 'z':
		return fmt.Errorf("%q does not begin with a lower case letter", s)
	}
	joined := false // whether the character before is a joiner
	for _, c := range []byte(s) {
		joiner := c == '-' || c == '_' || c == '.'
		if !joiner && (c < 'a' || c > 'z') && (c < '0' || c > '9') || joiner && joined {
			return fmt.Errorf("%q is not made of lower case letters and digits in groups joined by single '-', '_' or '.'", s)
		}
		joined = joiner
	}
	if joined {
		return fmt.Errorf("%q ends with %q", s, s[len(s)-1:])
	}
	return nil
}

// checkAttach tells what is wrong with an entry of Attach.
func checkAttach(s string) error {
	if s == "owner" {
		return nil
	}
	kind, number, _ := strings.Cut(s, ":")
	n, err := strconv.ParseUint(number, 10, 32)
	if (kind != "uid" && kind != "gid") || err != nil || strconv.FormatUint(n, 10) != number {
		return fmt.Errorf(`%.80q is neither "owner" nor "uid:" or "gid:" and a number`, s)
	}
	return nil
}

// checkService tells what is wrong with an entry of Services: a contract's
// name, import path and interface, a stream's, or AnyService.
func checkService(s string) error {
	if s == AnyService {
		return nil
	}
	if name, ok := strings.CutPrefix(s, StreamService); ok {
		if err := CheckName(name); err != nil {
			return fmt.Errorf("%.80q: %w", s, err)
		}
		return nil
	}
	bad := fmt.Errorf("%.80q is not the name of a contract, as example.com/demo.Clock", s)
	dot := strings.LastIndexByte(s, '.')
	if len(s) > maxService || dot < 1 || dot < strings.LastIndexByte(s, '/') || dot == len(s)-1 {
		return bad
	}
	for i, c := range []byte(s) {
		word := c == '_' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
		if !word && (i > dot || !strings.ContainsRune("./-~+", rune(c))) {
			return bad
		}
	}
	return nil
}
