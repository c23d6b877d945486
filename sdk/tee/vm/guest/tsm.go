package guest

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
)

// reportsDir is where the kernel takes orders for reports of the processor's
// (Documentation/ABI/testing/configfs-tsm). It is the same for TDX, SEV-SNP and CCA.
const reportsDir = "/sys/kernel/config/tsm/report"

// EvidenceMagic is what evidence of a confidential machine begins with.
const EvidenceMagic = "secgear tsm 1\n"

// maxBlob bounds what the kernel answers, which has passed through the host.
const maxBlob = 1 << 20

// files is what is used of the file system, for tests.
type files interface {
	Mkdir(name string) error
	Remove(name string) error
	ReadFile(name string, limit int) ([]byte, error)
	WriteFile(name string, b []byte) error
}

// report orders a report over data:
//
//	14  "secgear tsm 1\n"
//	1   P
//	P   name of the provider, as "sev_guest" or "tdx_guest"
//	4   R
//	R   report, or quote
//	4   A
//	A   auxiliary data, as certificates; A may be 0
func report(fs files, data [64]byte) ([]byte, error) {
	dir := reportsDir + "/secgear" + strconv.Itoa(os.Getpid())
	if err := fs.Mkdir(dir); err != nil {
		return nil, fmt.Errorf("ordering a report: %w", err)
	}
	defer fs.Remove(dir) // it holds nothing
	before, err := generation(fs, dir)
	if err != nil {
		return nil, err
	}
	if err := fs.WriteFile(dir+"/inblob", data[:]); err != nil {
		return nil, fmt.Errorf("ordering a report: %w", err)
	}
	var parts [3][]byte // provider, report, auxiliary data
	for i, name := range []string{"provider", "outblob", "auxblob"} {
		parts[i], err = fs.ReadFile(dir+"/"+name, maxBlob)
		if err != nil && (name != "auxblob" || !absent(err)) {
			return nil, fmt.Errorf("getting a report: %s: %w", name, err)
		}
	}
	after, err := generation(fs, dir)
	if err != nil {
		return nil, err
	}
	if after != before+1 || len(parts[1]) == 0 {
		return nil, errors.New("getting a report: somebody else ordered another one at the same place")
	}
	return envelope(strings.TrimSpace(string(parts[0])), parts[1], parts[2])
}

// absent tells whether a file was not there, or had nothing to read.
func absent(err error) bool { return errors.Is(err, os.ErrNotExist) }

// generation counts the orders that were given in dir.
func generation(fs files, dir string) (uint64, error) {
	b, err := fs.ReadFile(dir+"/generation", 32)
	if err != nil {
		return 0, fmt.Errorf("ordering a report: %w", err)
	}
	n, err := strconv.ParseUint(strings.TrimSpace(string(b)), 10, 63)
	if err != nil {
		return 0, fmt.Errorf("ordering a report: %w", err)
	}
	return n, nil
}

// envelope encodes a report.
func envelope(provider string, report, aux []byte) ([]byte, error) {
	if provider == "" || len(provider) > 255 {
		return nil, fmt.Errorf("a provider named %.20q", provider)
	}
	b := append([]byte(EvidenceMagic), byte(len(provider)))
	b = append(b, provider...)
	b = binary.LittleEndian.AppendUint32(b, uint32(len(report)))
	b = append(b, report...)
	b = binary.LittleEndian.AppendUint32(b, uint32(len(aux)))
	return append(b, aux...), nil
}
