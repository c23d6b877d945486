package ovmf_test

import (
	"errors"
	"reflect"
	"strings"
	"testing"

	"github.com/secgear/secgear/sdk/image/reference/ovmf"
	"github.com/secgear/secgear/sdk/image/reference/ovmf/ovmftest"
)

func TestSEV(t *testing.T) {
	f, err := ovmf.Parse(ovmftest.Default().Build())
	if err != nil {
		t.Fatal(err)
	}
	if f.Base() != 0xffff0000 {
		t.Errorf("begins at %#x", f.Base())
	}
	got, err := f.SEV()
	if err != nil {
		t.Fatal(err)
	}
	want := &ovmf.SEV{ResetEIP: 0x80b004, Hashes: 0x810c00, Sections: []ovmf.SEVSection{
		{0x800000, 0x9000, ovmf.SEVMemory},
		{0x80a000, 0x3000, ovmf.SEVMemory},
		{0x80d000, 0x1000, ovmf.SEVSecrets},
		{0x80e000, 0x1000, ovmf.SEVCPUID},
		{0x80f000, 0x1000, ovmf.SEVCallingArea},
		{0x811000, 0xf000, ovmf.SEVMemory},
		{0x810000, 0x1000, ovmf.SEVKernelHashes},
	}}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

func TestTDX(t *testing.T) {
	data := ovmftest.Default().Build()
	f, err := ovmf.Parse(data)
	if err != nil {
		t.Fatal(err)
	}
	got, err := f.TDX()
	if err != nil {
		t.Fatal(err)
	}
	want := []ovmf.TDXSection{
		{0xffff4000, 0xc000, ovmf.TDXCode, true, data[0x4000:0x10000]},
		{0xffff0000, 0x4000, ovmf.TDXVariables, false, data[:0x4000]},
		{0x810000, 0x10000, ovmf.TDXTemporary, false, nil},
		{0x809000, 0x2000, ovmf.TDXHandOff, false, nil},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %d other sections", len(got))
	}
}

// TestParseRefuses: files that have no table that can be read.
func TestParseRefuses(t *testing.T) {
	good := ovmftest.Default()
	length := func(data []byte) []byte { return data[len(data)-50:] } // of the whole table
	tests := []struct {
		name string
		data func() []byte
		text string
	}{
		{"empty", func() []byte { return nil }, "0 bytes"},
		{"no whole pages", func() []byte { return good.Build()[1:] }, "65535 bytes"},
		{"no table", func() []byte { return make([]byte, 4096) }, "no table"},
		{"too short a table", func() []byte { d := good.Build(); length(d)[0], length(d)[1] = 17, 0; return d }, "no table"},
		{"too long a table", func() []byte { d := good.Build(); length(d)[1] = 0xff; return d[len(d)-4096:] }, "no table"},
		{"table with a cut entry", func() []byte { d := good.Build(); length(d)[0]--; return d }, "entry"},
		{"twice the same", func() []byte { f := good; f.Table = append(f.Table, f.Table[0]); return f.Build() }, "twice"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if _, err := ovmf.Parse(tt.data()); !errors.Is(err, ovmf.ErrFormat) || !strings.Contains(err.Error(), tt.text) {
				t.Errorf("error %v, want one with %q", err, tt.text)
			}
		})
	}
}

// TestListsRefused: lists that nothing could be started from.
func TestListsRefused(t *testing.T) {
	const sev, tdx = true, false
	set := func(list func(*ovmftest.Firmware) *ovmftest.List, section, field int, value any) func(*ovmftest.Firmware) {
		return func(f *ovmftest.Firmware) { list(f).Sections[section][field] = value }
	}
	sevList := func(f *ovmftest.Firmware) *ovmftest.List { return &f.SEV }
	tdxList := func(f *ovmftest.Firmware) *ovmftest.List { return &f.TDX }
	tests := []struct {
		name   string
		sev    bool
		change func(*ovmftest.Firmware)
		text   string
	}{
		{"no list", sev, func(f *ovmftest.Firmware) { f.SEV.Sections = nil }, "no list"},
		{"no list", tdx, func(f *ovmftest.Firmware) { f.TDX.Sections = nil }, "no list"},
		{"other signature", sev, func(f *ovmftest.Firmware) { f.SEV.Signature = "TDVF" }, `begins with "TDVF"`},
		{"other version", tdx, func(f *ovmftest.Firmware) { f.TDX.Version = 2 }, "version 2"},
		{"longer than its sections", sev, func(f *ovmftest.Firmware) { f.SEV.Length = 12 }, "has 112 bytes"},
		{"shorter than its sections", tdx, func(f *ovmftest.Firmware) { f.TDX.Length = -1 }, "has 143 bytes"},
		{"too many sections", sev, func(f *ovmftest.Firmware) { many(&f.SEV, 65) }, "65 sections"},
		{"list outside", sev, func(f *ovmftest.Firmware) {
			f.SEV.Sections = nil
			f.Table = append(f.Table, ovmftest.Entry{GUID: ovmftest.GUIDSEVList, Content: []byte{0, 0, 1, 1}})
		}, "outside"},
		{"pointer of 3 bytes", sev, func(f *ovmftest.Firmware) {
			f.SEV.Sections = nil
			f.Table = append(f.Table, ovmftest.Entry{GUID: ovmftest.GUIDSEVList, Content: []byte{0, 0, 1}})
		}, "3 bytes instead of 4"},
		{"room for hashes of 4 bytes", sev, func(f *ovmftest.Firmware) { f.Table[1].Content = f.Table[1].Content[:4] }, "4 bytes instead of 8"},

		{"empty section", sev, set(sevList, 5, 1, uint32(0)), "section 5 is empty"},
		{"half a page", sev, set(sevList, 5, 1, uint32(0x800)), "whole number of pages"},
		{"at half a page", tdx, set(tdxList, 2, 2, uint64(0x810800)), "whole number of pages"},
		{"overlapping", sev, set(sevList, 0, 1, uint32(0xb000)), "sections 0 and 1 overlap"},
		{"overlapping", tdx, set(tdxList, 3, 2, uint64(0x80f000)), "sections 2 and 3 overlap"},
		{"beyond 4 GiB", tdx, set(tdxList, 2, 2, uint64(1<<32)), "beyond 4 GiB"},
		{"around the end of all addresses", tdx, set(tdxList, 2, 3, ^uint64(0xfff)), "beyond 4 GiB"},
		{"too much", sev, set(sevList, 5, 1, uint32(0x20000000)), "larger than"},
		{"unknown type", sev, set(sevList, 0, 2, uint32(5)), "unknown type 0x5"},
		{"unknown type", tdx, set(tdxList, 0, 4, uint32(4)), "unknown type 4"},
		{"two pages of secrets", sev, set(sevList, 1, 2, uint32(2)), "one page"},
		{"hashes elsewhere", sev, set(sevList, 6, 0, uint32(0x830000)), "not in their page"},
		{"unknown attributes", tdx, set(tdxList, 2, 5, uint32(2)), "attributes 0x2"},
		{"code without content", tdx, set(tdxList, 0, 1, uint32(0)), "0x0 bytes"},
		{"code of which a part is missing", tdx, set(tdxList, 0, 1, uint32(0xb000)), "0xb000 bytes"},
		{"code outside", tdx, set(tdxList, 0, 0, uint32(0x5000)), "0x5000 of the file"},
		{"heap with content", tdx, set(tdxList, 2, 1, uint32(0x1000)), "without content"},
		{"heap that is measured", tdx, set(tdxList, 2, 5, uint32(1)), "without content"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			made := ovmftest.Default()
			tt.change(&made)
			f, err := ovmf.Parse(made.Build())
			if err != nil {
				t.Fatal(err)
			}
			if tt.sev {
				_, err = f.SEV()
			} else {
				_, err = f.TDX()
			}
			if !errors.Is(err, ovmf.ErrFormat) || !strings.Contains(err.Error(), tt.text) {
				t.Errorf("error %v, want one with %q", err, tt.text)
			}
		})
	}
}

// many makes a list of n sections.
func many(l *ovmftest.List, n int) {
	l.Sections = nil
	for i := range n {
		l.Sections = append(l.Sections, []any{uint32(i * 0x1000), uint32(0x1000), uint32(1)})
	}
}

// TestWithoutRoomForHashes: such firmware is fine, but says so.
func TestWithoutRoomForHashes(t *testing.T) {
	made := ovmftest.Default()
	made.SEV.Sections = made.SEV.Sections[:6]
	f, err := ovmf.Parse(made.Build())
	if err != nil {
		t.Fatal(err)
	}
	if s, err := f.SEV(); err != nil || s.Hashes != 0 {
		t.Errorf("%+v, %v; want no room for hashes", s, err)
	}
}

func TestSinceStable202511(t *testing.T) {
	made := ovmftest.Default()
	for _, want := range []bool{true, false} {
		f, err := ovmf.Parse(made.Build())
		if err != nil {
			t.Fatal(err)
		}
		if got := f.SinceStable202511(); got != want {
			t.Errorf("with %d entries: %v", len(made.Table), got)
		}
		made.Table = made.Table[:2]
	}
}

// TestDebian reads whatever firmware of Debian's is on this machine.
func TestDebian(t *testing.T) {
	tests := []struct {
		file     string
		sev, tdx bool // whether it can be started so
	}{
		{"OVMF.fd", true, true},              // package ovmf or ovmf-generic
		{"OVMF.amdsev.fd", true, true},       // ovmf-amdsev
		{"OVMF.inteltdx.ms.fd", false, true}, // ovmf-inteltdx; its list for SEV has empty sections
	}
	found := false
	for _, tt := range tests {
		data := ovmftest.Installed(tt.file)
		if data == nil {
			continue
		}
		found = true
		f, err := ovmf.Parse(data)
		if err != nil {
			t.Errorf("%s: %v", tt.file, err)
			continue
		}
		if _, err := f.SEV(); (err == nil) != tt.sev {
			t.Errorf("%s, for SEV-SNP: %v", tt.file, err)
		}
		if _, err := f.TDX(); (err == nil) != tt.tdx {
			t.Errorf("%s, for TDX: %v", tt.file, err)
		}
	}
	if !found {
		t.Skip("no firmware here: scripts/firmware fetches it")
	}
}

// FuzzParse: whatever is taken is within bounds. The data are a firmware's end; in
// front of it are zeros, which keeps inputs short.
func FuzzParse(f *testing.F) {
	f.Fuzz(func(t *testing.T, data []byte) {
		data = append(make([]byte, (ovmf.PageSize-len(data)%ovmf.PageSize)%ovmf.PageSize), data...)
		firmware, err := ovmf.Parse(data)
		if err != nil {
			return
		}
		if sev, err := firmware.SEV(); err == nil {
			for _, s := range sev.Sections {
				if s.Size == 0 || s.Start%ovmf.PageSize != 0 || uint64(s.Start)+uint64(s.Size) > 1<<32 {
					t.Errorf("%#x bytes at %#x", s.Size, s.Start)
				}
			}
		}
		if sections, err := firmware.TDX(); err == nil {
			for _, s := range sections {
				if s.Measured && uint64(len(s.Content)) != s.Size {
					t.Errorf("measured %d of %d bytes", len(s.Content), s.Size)
				}
			}
		}
	})
}
