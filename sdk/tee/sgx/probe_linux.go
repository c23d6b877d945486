package sgx

import (
	"os"
	"os/exec"

	"github.com/secgear/secgear/sdk/internal/detect"
	"github.com/secgear/secgear/sdk/tee"
)

// Probe implements [tee.Backend].
func (b Backend) Probe() tee.Status { return b.probe(detect.This()) }

func (b Backend) probe(m detect.Machine) tee.Status {
	var missing []tee.Missing
	program := directProgram
	if !b.Direct {
		program = sgxProgram
		missing = detect.SGX(m)
	}
	if _, err := exec.LookPath(program); err != nil {
		missing = append(missing, tee.Missing{What: program, Why: err.Error(), Fix: fixGramine})
	} else if _, err := FindLibOS(b.gramine()); err != nil {
		missing = append(missing, tee.Missing{What: libOSFile, Why: err.Error(), Fix: fixGramine})
	}
	if !b.Direct {
		missing = append(missing, b.missingSignature()...)
	}
	if len(missing) > 0 {
		return tee.Status{Missing: missing}
	}
	if b.Direct {
		return tee.Status{Available: true, Missing: []tee.Missing{{What: "SGX", Why: "Gramine runs without it: nothing is protected"}}}
	}
	return tee.Status{Available: true, Confidential: true, Missing: detect.SGXEvidence(m)}
}

const fixGramine = "install Gramine 1.9 or newer from its own repository, see docs/sgx.md"

// missingSignature: nobody starts an enclave that nobody signed.
func (b Backend) missingSignature() []tee.Missing {
	const fix = "see docs/sgx.md on signing"
	key, signed := b.signing()
	name := key + signed
	if name == "" {
		return []tee.Missing{{What: "signature", Why: "neither " + signedVariable + " nor " + keyVariable + " is set", Fix: fix}}
	}
	if _, err := os.Stat(name); err != nil {
		return []tee.Missing{{What: "signature", Why: err.Error(), Fix: fix}}
	}
	return nil
}
