package all

import (
	"github.com/secgear/secgear/sdk/internal/detect"
	"github.com/secgear/secgear/sdk/tee"
)

// Found is what detection finds of one TEE on this machine.
type Found struct {
	TEE   string `json:"tee"`   // name, as Backend.Name
	About string `json:"about"` // what it is, for people

	// Supported tells that there is a backend for it.
	Supported bool `json:"supported"`

	// Available tells that an enclave can be launched in it here and now, and
	// Confidential that hardware then keeps the machine's owner out of it.
	Available    bool `json:"available"`
	Confidential bool `json:"confidential"`

	// Hardware is "present" or "absent" (which stands for the kernel's and the
	// firmware's part as well), or "not needed".
	Hardware string `json:"hardware"`

	// Inside is "yes" if this machine or process is in that TEE itself, "no" or
	// "unknown".
	Inside string `json:"inside"`

	// Missing is why it can't be used here, or what protection is absent.
	Missing []tee.Missing `json:"missing"`
}

// What Found.Hardware can be.
const (
	Present   = "present"
	Absent    = "absent"
	NotNeeded = "not needed"
)

// Detect looks for every TEE that secgear knows of, those without a backend
// included. It changes nothing.
func Detect() []Found { return lookAt(detect.This(), Backends()) }

func lookAt(m detect.Machine, backends []tee.Backend) []Found {
	var list []Found
	known := map[string]bool{}
	for _, k := range detect.Kinds() {
		known[k.Name] = true
		list = append(list, look(m, k, find(backends, k.Name)))
	}
	for _, b := range backends {
		if !known[b.Name()] {
			list = append(list, look(m, detect.Kind{Name: b.Name()}, b))
		}
	}
	return list
}

// look asks the machine, and the backend unless it is nil.
func look(m detect.Machine, k detect.Kind, b tee.Backend) Found {
	f := Found{
		TEE: k.Name, About: k.About, Supported: b != nil,
		Hardware: NotNeeded, Inside: string(detect.No), Missing: []tee.Missing{},
	}
	if k.Inside != nil {
		f.Inside = string(k.Inside(m))
	}
	var absent []tee.Missing
	if k.Host != nil {
		f.Hardware = Present
		if absent = k.Host(m); len(absent) > 0 {
			f.Hardware = Absent
		}
	}
	if b == nil {
		f.add(tee.Missing{What: "backend", Why: "secgear can't launch enclaves in this TEE yet"})
		f.add(absent...)
		return f
	}
	s := b.Probe()
	f.Available, f.Confidential = s.Available, s.Available && s.Confidential
	f.add(s.Missing...)
	if !s.Available {
		f.add(absent...)
	}
	return f
}

// add adds what is not named yet.
func (f *Found) add(missing ...tee.Missing) {
	for _, m := range missing {
		known := false
		for _, other := range f.Missing {
			known = known || other.What == m.What
		}
		if !known {
			f.Missing = append(f.Missing, m)
		}
	}
}

func find(backends []tee.Backend, name string) tee.Backend {
	for _, b := range backends {
		if b.Name() == name {
			return b
		}
	}
	return nil
}
