package dcap

import (
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// States of a TCB, as Intel names them, the better first (PCS API version 4, TCB info,
// tcbStatus).
const (
	statusUpToDate               = "UpToDate"
	statusHardening              = "SWHardeningNeeded"
	statusConfiguration          = "ConfigurationNeeded"
	statusConfigurationHardening = "ConfigurationAndSWHardeningNeeded"
	statusOutOfDate              = "OutOfDate"
	statusOutOfDateConfiguration = "OutOfDateConfigurationNeeded"
	statusRevoked                = "Revoked"
)

var statuses = []string{
	statusUpToDate, statusHardening, statusConfiguration, statusConfigurationHardening,
	statusOutOfDate, statusOutOfDateConfiguration, statusRevoked,
}

// level is the state of what has at least some versions.
type level struct {
	TCB struct {
		SGX    []component `json:"sgxtcbcomponents"`
		TDX    []component `json:"tdxtcbcomponents"`
		PCESVN uint16      `json:"pcesvn"`
		SVN    uint16      `json:"isvsvn"`
	} `json:"tcb"`
	Date       time.Time `json:"tcbDate"`
	Status     string    `json:"tcbStatus"`
	Advisories []string  `json:"advisoryIDs"`
}

type component struct {
	SVN uint8 `json:"svn"`
}

// tcbInfo is Intel's word on the platforms of one FMSPC.
type tcbInfo struct {
	ID         string      `json:"id"` // "SGX" or "TDX"
	Version    int         `json:"version"`
	Issued     time.Time   `json:"issueDate"`
	Next       time.Time   `json:"nextUpdate"`
	FMSPC      hexBytes    `json:"fmspc"`
	PCEID      hexBytes    `json:"pceId"`
	Type       int         `json:"tcbType"`
	Evaluation int         `json:"tcbEvaluationDataNumber"`
	Module     *tdxModule  `json:"tdxModule"`
	Modules    []tdxModule `json:"tdxModuleIdentities"`
	Levels     []level     `json:"tcbLevels"`
}

// tdxModule is Intel's word on one generation of the TDX module.
type tdxModule struct {
	ID         string   `json:"id"` // "TDX_" and its version in two hexadecimal digits
	MRSigner   hexBytes `json:"mrsigner"`
	Attributes hexBytes `json:"attributes"`
	Mask       hexBytes `json:"attributesMask"`
	Levels     []level  `json:"tcbLevels"`
}

// qeIdentity is Intel's word on its quoting enclave.
type qeIdentity struct {
	ID         string    `json:"id"` // "QE" or "TD_QE"
	Version    int       `json:"version"`
	Issued     time.Time `json:"issueDate"`
	Next       time.Time `json:"nextUpdate"`
	Evaluation int       `json:"tcbEvaluationDataNumber"`
	MiscSelect hexBytes  `json:"miscselect"`
	MiscMask   hexBytes  `json:"miscselectMask"`
	Attributes hexBytes  `json:"attributes"`
	Mask       hexBytes  `json:"attributesMask"`
	MRSigner   hexBytes  `json:"mrsigner"`
	ProdID     uint16    `json:"isvprodid"`
	Levels     []level   `json:"tcbLevels"`
}

// hexBytes are bytes written as hexadecimal digits.
type hexBytes []byte

// UnmarshalText implements [encoding.TextUnmarshaler].
func (h *hexBytes) UnmarshalText(text []byte) error {
	b, err := hex.DecodeString(string(text))
	*h = b
	return err
}

func (t *tcbInfo) dates() (issued, next time.Time) { return t.Issued, t.Next }

func (t *tcbInfo) check() error {
	switch {
	case t.Version != 3:
		return fmt.Errorf("version %d; only 3 is known", t.Version)
	case t.ID != "SGX" && t.ID != "TDX":
		return fmt.Errorf("it is about %q", t.ID)
	case t.Type != 0:
		return fmt.Errorf("type %d; only 0 is known", t.Type)
	case len(t.FMSPC) != 6 || len(t.PCEID) != 2:
		return errors.New("FMSPC or PCE-ID have a wrong length")
	case t.ID == "TDX" && t.Module == nil:
		return errors.New("the TDX module is missing")
	}
	for _, l := range t.Levels {
		if len(l.TCB.SGX) != 16 || t.ID == "TDX" && len(l.TCB.TDX) != 16 {
			return errors.New("a TCB level has not 16 components")
		}
	}
	for _, m := range t.Modules {
		if err := checkLevels(m.Levels); err != nil {
			return err
		}
		if !m.wellFormed() {
			return fmt.Errorf("module %q has numbers of a wrong length", m.ID)
		}
	}
	if t.Module != nil && !t.Module.wellFormed() {
		return errors.New("the TDX module has numbers of a wrong length")
	}
	return checkLevels(t.Levels)
}

func (m *tdxModule) wellFormed() bool {
	return len(m.MRSigner) == 48 && len(m.Attributes) == 8 && len(m.Mask) == 8
}

func (q *qeIdentity) dates() (issued, next time.Time) { return q.Issued, q.Next }

func (q *qeIdentity) check() error {
	switch {
	case q.Version != 2:
		return fmt.Errorf("version %d; only 2 is known", q.Version)
	case q.ID != "QE" && q.ID != "TD_QE":
		return fmt.Errorf("it is about %q", q.ID)
	case len(q.MiscSelect) != 4 || len(q.MiscMask) != 4 || len(q.Attributes) != 16 || len(q.Mask) != 16 || len(q.MRSigner) != 32:
		return errors.New("its numbers have a wrong length")
	}
	return checkLevels(q.Levels)
}

func checkLevels(levels []level) error {
	if len(levels) == 0 {
		return errors.New("it has no TCB levels")
	}
	for _, l := range levels {
		if !slices.Contains(statuses, l.Status) {
			return fmt.Errorf("TCB status %q is unknown", l.Status)
		}
	}
	return nil
}

// platformLevel returns the level of a platform: the first of which it reaches every
// version. For TDX, what the guest's report says of the module and the microcode
// counts too; a module with a version of its own (second byte) has levels of its own,
// and the first two bytes are left to these.
func (t *tcbInfo) platformLevel(p *pck, tdx *TDXReport) (*level, error) {
	for i := range t.Levels {
		l := &t.Levels[i]
		if p.pceSVN < l.TCB.PCESVN || !reaches(p.components[:], l.TCB.SGX) {
			continue
		}
		if tdx != nil {
			from := 0
			if tdx.TCBSVN[1] > 0 {
				from = 2
			}
			if !reaches(tdx.TCBSVN[from:], l.TCB.TDX[from:]) {
				continue
			}
		}
		return l, nil
	}
	return nil, errors.New("the platform reaches none of the TCB levels: it is older than the oldest that Intel knows of")
}

func reaches(have []uint8, want []component) bool {
	for i, w := range want {
		if have[i] < w.SVN {
			return false
		}
	}
	return true
}

// svnLevel returns the level of a security version.
func svnLevel(levels []level, svn uint16) (*level, error) {
	for i := range levels {
		if svn >= levels[i].TCB.SVN {
			return &levels[i], nil
		}
	}
	return nil, fmt.Errorf("security version %d reaches none of the TCB levels", svn)
}

// module returns Intel's word on the TDX module that the report names, and the
// module's level if it has levels of its own.
func (t *tcbInfo) module(r *TDXReport) (*tdxModule, *level, error) {
	version := r.TCBSVN[1]
	if version == 0 {
		return t.Module, nil, nil
	}
	id := fmt.Sprintf("TDX_%02X", version)
	for i := range t.Modules {
		if m := &t.Modules[i]; strings.EqualFold(m.ID, id) {
			l, err := svnLevel(m.Levels, uint16(r.TCBSVN[0]))
			return m, l, err
		}
	}
	return nil, nil, fmt.Errorf("the TCB info does not know the TDX module %s", id)
}

// check returns an error unless the report's module is the one described.
func (m *tdxModule) check(r *TDXReport) error {
	if !slices.Equal(m.MRSigner, r.MRSignerSEAM[:]) {
		return fmt.Errorf("signed by %x, not by %x", r.MRSignerSEAM, []byte(m.MRSigner))
	}
	if !masked(r.SEAMAttributes[:], m.Mask, m.Attributes) {
		return fmt.Errorf("attributes %x, want %x under mask %x", r.SEAMAttributes, []byte(m.Attributes), []byte(m.Mask))
	}
	return nil
}

// converge is the state of a platform together with that of a part of it.
func converge(platform, part string) string {
	configuration := platform == statusConfiguration || platform == statusConfigurationHardening || platform == statusOutOfDateConfiguration
	switch {
	case platform == statusRevoked || part == statusRevoked:
		return statusRevoked
	case part == statusUpToDate:
		return platform
	case part == statusOutOfDate && configuration:
		return statusOutOfDateConfiguration
	case slices.Index(statuses, part) > slices.Index(statuses, platform):
		return part
	}
	return platform
}
