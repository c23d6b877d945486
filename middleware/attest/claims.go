package attest

import (
	"encoding/hex"
	"time"
)

// Claims are what evidence says, in one shape for all TEEs. They are worth what the
// checks made of the evidence are worth.
type Claims struct {
	// TEE is the kind of TEE: "sgx", "tdx", "sev-snp", "nitro", …
	TEE string `json:"tee"`
	// Measurements are what was measured, in the TEE's own names: "mrenclave",
	// "mrtd", "rtmr0", "pcr0", …
	Measurements []Measurement `json:"measurements"`
	// Signer is who signed what was measured, as the TEE has it (SGX: MRSIGNER).
	Signer Bytes `json:"signer,omitempty"`
	// Product tells apart what one signer signs (SGX: ISVPRODID).
	Product uint64 `json:"product,omitempty"`
	// SecurityVersion is the signer's version number (SGX: ISVSVN).
	SecurityVersion uint64 `json:"security_version"`
	// Debug: the TEE's owner can look inside.
	Debug bool `json:"debug"`
	// Emulated: there was no TEE.
	Emulated bool `json:"emulated,omitempty"`
	// TCB is the state of the TEE's own hardware and firmware.
	TCB TCB `json:"tcb"`
	// ReportData is what the attester has bound to the evidence: a nonce, or the hash
	// of a key.
	ReportData Bytes `json:"report_data"`
	// Platform identifies the machine, or its kind, as far as the evidence does.
	Platform map[string]string `json:"platform,omitempty"`
}

// Measurement is one measured value.
type Measurement struct {
	Name  string `json:"name"`
	Value Bytes  `json:"value"`
}

// TCB is the state of the hardware and firmware that a TEE stands on.
type TCB struct {
	// Status is the manufacturer's word for it ("UpToDate", "OutOfDate", …); empty:
	// nobody has said.
	Status string `json:"status,omitempty"`
	// Version is what Status is the status of, in the TEE's own form.
	Version string `json:"version,omitempty"`
	// Components are the numbers in Version, where a policy can ask for a least one
	// of each: of firmware and microcode, by the manufacturer's names.
	Components map[string]uint64 `json:"components,omitempty"`
	// Date is until when all known weaknesses are mended; zero: nobody has said.
	Date time.Time `json:"date,omitzero"`
	// Advisories are the weaknesses that are known of it.
	Advisories []string `json:"advisories,omitempty"`
}

// Measurement returns the value called name, or nil.
func (c *Claims) Measurement(name string) Bytes {
	for _, m := range c.Measurements {
		if m.Name == name {
			return m.Value
		}
	}
	return nil
}

// Bytes are shown as hexadecimal digits.
type Bytes []byte

// String is b in hexadecimal digits.
func (b Bytes) String() string { return hex.EncodeToString(b) }

// MarshalText implements [encoding.TextMarshaler].
func (b Bytes) MarshalText() ([]byte, error) { return []byte(b.String()), nil }

// UnmarshalText implements [encoding.TextUnmarshaler].
func (b *Bytes) UnmarshalText(text []byte) error {
	v, err := hex.DecodeString(string(text))
	*b = v
	return err
}
