// Package qemu turns the description of a virtual machine into the arguments of
// QEMU. It starts nothing, and looks at nothing.
package qemu

import (
	"fmt"
	"strings"
)

// Types of machines.
const (
	Q35     = "q35"     // x86-64, as PCs are
	MicroVM = "microvm" // x86-64, without what PCs have been carrying along
	Virt    = "virt"    // arm64
)

// Machine is a virtual machine with one serial port to its host, and memories that
// it shares with it. Files are named by paths that QEMU can open, which for
// inherited descriptors is /proc/self/fd/N.
type Machine struct {
	Name string // in lists of processes
	Type string // Q35, MicroVM or Virt
	KVM  bool   // else it is emulated in software

	MemoryMiB uint64
	CPUs      int

	Kernel, Initrd string
	Debug          bool   // the kernel says all it has to say
	TSCKHz         uint64 // of an emulated MicroVM: how fast the host's clock ticks

	Port    int      // descriptor of the socket that is the port's host end
	Console int      // descriptor of the socket that gets what the console prints
	Shared  []Memory // in the order in which the guest counts them

	Confidential Confidential // nil: the machine's owner sees all of it
}

// Memory is a memory shared with the host: a file whose size is a power of two.
type Memory struct {
	Path string
	Size uint64
}

// PortName is what the guest knows the serial port by.
const portName = "secgear"

// MaxShared is how many shared memories a machine can have.
const MaxShared = (lastSlot - firstSlot + 1) * 8

// Where the devices for shared memory are on the bus: eight functions a slot.
const (
	firstSlot = 4
	lastSlot  = 30
)

// Binary is the name of the program for the machine's type.
func (m Machine) Binary() string { return Binary(m.Type) }

// Binary is the name of QEMU for a type of machine.
func Binary(machine string) string {
	if machine == Virt {
		return "qemu-system-aarch64"
	}
	return "qemu-system-x86_64"
}

// Args are the arguments of QEMU, its own name aside.
func (m Machine) Args() []string {
	args := []string{
		"-name", m.Name,
		"-nodefaults", "-no-user-config", "-nographic", "-no-reboot",
		"-sandbox", "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny",
		"-machine", m.machine(),
		"-cpu", m.cpu(),
		"-smp", fmt.Sprint(m.CPUs),
		"-m", fmt.Sprintf("%dM", m.MemoryMiB),
		"-nic", "none",
		"-kernel", m.Kernel,
		"-initrd", m.Initrd,
		"-append", m.CommandLine(),
		"-chardev", fmt.Sprintf("socket,id=console,fd=%d", m.Console),
		"-serial", "chardev:console",
		"-chardev", fmt.Sprintf("socket,id=port,fd=%d", m.Port),
		"-device", "virtio-serial-pci,id=serial,max_ports=2" + m.virtio(),
		"-device", "virtserialport,bus=serial.0,nr=1,chardev=port,name=" + portName,
	}
	args = append(args, m.accel()...)
	if m.Confidential != nil {
		args = append(args, m.Confidential.objects(m)...)
	}
	for i, s := range m.Shared {
		args = append(args, s.args(i)...)
	}
	return args
}

// args add the device for memory number i.
func (s Memory) args(i int) []string {
	return []string{
		"-object", fmt.Sprintf("memory-backend-file,id=shared%d,share=on,mem-path=%s,size=%d", i, s.Path, s.Size),
		"-device", fmt.Sprintf("ivshmem-plain,memdev=shared%d,bus=pcie.0,addr=%02x.%x,multifunction=on", i, firstSlot+i/8, i%8),
	}
}

func (m Machine) machine() string {
	var o []string
	switch m.Type {
	case Q35:
		o = []string{"q35", "usb=off", "vmport=off", "smbus=off", "sata=off", "i8042=off", "graphics=off"}
	case MicroVM:
		o = []string{"microvm", "pcie=on", "acpi=on", "isa-serial=on", "rtc=on"}
	default:
		o = []string{"virt", "gic-version=3", "usb=off", "highmem=on"}
		if m.Confidential == nil && !m.KVM {
			o = append(o, "virtualization=off", "secure=off")
		}
	}
	if m.Confidential != nil {
		o = append(o, m.Confidential.machine()...)
	}
	return strings.Join(o, ",")
}

func (m Machine) accel() []string {
	if m.KVM {
		return []string{"-accel", "kvm"}
	}
	return []string{"-accel", "tcg,thread=multi"}
}

func (m Machine) cpu() string {
	switch {
	case m.Confidential != nil:
		return m.Confidential.cpu()
	case m.KVM:
		return "host"
	case m.Type == Virt:
		return "max,pauth=off" // emulated signatures of pointers cost half the speed
	}
	return "max,la57=off"
}

// virtio is what devices of a confidential machine need: their rings are in
// memory that the guest shares on purpose.
func (m Machine) virtio() string {
	if m.Confidential != nil {
		return ",disable-legacy=on,iommu_platform=on"
	}
	return ""
}

// CommandLine is the kernel's. A confidential machine measures it.
func (m Machine) CommandLine() string {
	console := "ttyS0"
	if m.Type == Virt {
		console = "ttyAMA0"
	}
	o := []string{"console=" + console, "panic=-1"}
	if m.Type != Virt {
		o = append(o, "reboot=t") // a triple fault, which QEMU takes for the end
	}
	if !m.Debug {
		o = append(o, "quiet")
	}
	if !m.KVM && m.Type != Virt {
		// On a busy host emulated timers are too late for the kernel's check.
		o = append(o, "no_timer_check")
	}
	if !m.KVM && m.Type == MicroVM {
		// There is no clock that the speed of emulated processors could be
		// measured by.
		o = append(o, fmt.Sprintf("tsc_early_khz=%d", m.TSCKHz))
	}
	return strings.Join(o, " ")
}
