package guest

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
)

// fake is a kernel with configfs-tsm.
type fake struct {
	generation int
	in         []byte
	noAux      bool
	other      bool // somebody else writes, too
	out        []byte
	dirs       map[string]bool
}

func (f *fake) Mkdir(name string) error {
	if f.dirs[name] {
		return os.ErrExist
	}
	f.dirs[name] = true
	return nil
}

func (f *fake) Remove(name string) error {
	delete(f.dirs, name)
	return nil
}

func (f *fake) WriteFile(name string, b []byte) error {
	if !strings.HasSuffix(name, "/inblob") {
		return os.ErrPermission
	}
	f.in = bytes.Clone(b)
	f.generation++
	if f.other {
		f.generation++
	}
	return nil
}

func (f *fake) ReadFile(name string, limit int) (b []byte, err error) {
	switch name[strings.LastIndexByte(name, '/')+1:] {
	case "provider":
		b = []byte("sev_guest\n")
	case "generation":
		b = []byte(strconv.Itoa(f.generation) + "\n")
	case "outblob":
		b = f.out
		if b == nil {
			b = append([]byte("report over "), f.in...)
		}
	case "auxblob":
		if f.noAux {
			return nil, os.ErrNotExist
		}
		b = []byte("certificates")
	default:
		return nil, os.ErrNotExist
	}
	if len(b) > limit {
		return nil, errors.New("too much")
	}
	return b, nil
}

func TestReport(t *testing.T) {
	for _, noAux := range []bool{false, true} {
		f := &fake{noAux: noAux, dirs: map[string]bool{}}
		data := [64]byte{1, 2, 3}
		got, err := report(f, data)
		if err != nil {
			t.Fatal(err)
		}
		out, aux := append([]byte("report over "), data[:]...), "certificates"
		if noAux {
			aux = ""
		}
		want := []byte("secgear tsm 1\n\x09sev_guest")
		want = append(binary.LittleEndian.AppendUint32(want, uint32(len(out))), out...)
		want = append(binary.LittleEndian.AppendUint32(want, uint32(len(aux))), aux...)
		if !bytes.Equal(got, want) {
			t.Errorf("got %q, want %q", got, want)
		}
		if len(f.dirs) > 0 {
			t.Errorf("left behind: %v", f.dirs)
		}
	}
}

// TestReportRefused: a report that may be another's is none.
func TestReportRefused(t *testing.T) {
	for name, f := range map[string]*fake{
		"another's":      {other: true},
		"empty":          {out: []byte{}},
		"endless":        {out: make([]byte, maxBlob+1)},
		"taken":          {dirs: map[string]bool{fmt.Sprintf("%s/secgear%d", reportsDir, os.Getpid()): true}},
		"no such number": {generation: -1},
	} {
		if f.dirs == nil {
			f.dirs = map[string]bool{}
		}
		if b, err := report(f, [64]byte{}); err == nil {
			t.Errorf("%s: %q", name, b)
		}
	}
}
