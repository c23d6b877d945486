package nitro

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"

	"github.com/secgear/secgear/sdk/tee"
)

// Probe implements [tee.Backend]. Where the driver is missing it looks for what
// emulates; that nothing is protected then stands in the answer.
func (b Backend) Probe() tee.Status { return b.ProbeArch(runtime.GOARCH) }

// ProbeArch implements [tee.Architectures].
func (b Backend) ProbeArch(arch string) tee.Status {
	emulated := !b.hardware()
	if err := checkArch(arch, emulated); err != nil {
		return unavailable(tee.Missing{What: arch + " processor", Why: err.Error(), Fix: "build the image for another --arch"})
	}
	var missing []tee.Missing
	if emulated {
		missing = probeTools()
	} else if f, err := b.kernel().open(); err != nil {
		missing = append(missing, tee.Missing{What: device, Why: err.Error(), Fix: "join the group ne, or be root"})
	} else {
		f.Close()
	}
	missing = append(missing, probeKernel(emulated)...)
	if len(missing) > 0 {
		return unavailable(missing...)
	}
	s := tee.Status{Available: true, Confidential: !emulated}
	if emulated {
		s.Missing = []tee.Missing{{
			What: "Nitro hypervisor",
			Why:  device + " does not exist: enclaves are emulated, nothing protects them, and evidence is signed by nobody",
			Fix:  "run on an EC2 instance with enclaves enabled, see docs/nitro.md",
		}}
	}
	return s
}

func unavailable(missing ...tee.Missing) tee.Status { return tee.Status{Missing: missing} }

// probeTools looks for the programs that emulate.
func probeTools() (missing []tee.Missing) {
	dir, err := tools()
	if err != nil {
		return []tee.Missing{{What: "emulation", Why: err.Error()}}
	}
	for _, name := range []string{qemuFile, vsockFile, firmwareName} {
		if _, err := os.Stat(filepath.Join(dir, name)); err != nil {
			missing = append(missing, tee.Missing{
				What: name + " with Nitro's machine", Why: err.Error(),
				Fix: fmt.Sprintf("scripts/setup nitro builds it, or set %s; on AWS, enable enclaves for the instance", envTools),
			})
		}
	}
	return missing
}

func probeKernel(emulated bool) []tee.Missing {
	dir, err := kernelDir(emulated)
	if err == nil {
		_, err = kernelFile(dir)
	}
	switch {
	case errors.Is(err, os.ErrNotExist):
		return []tee.Missing{{What: "kernel for enclaves", Why: err.Error(), Fix: fixKernel(emulated)}}
	case err != nil:
		return []tee.Missing{{What: "kernel for enclaves", Why: err.Error()}}
	}
	return nil
}
