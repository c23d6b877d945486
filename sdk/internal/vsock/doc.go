// Package vsock is the sockets between virtual machines and the machine they run
// on (AF_VSOCK), for enclaves and their hosts. It uses package syscall only:
// enclaves link it.
package vsock

// Well-known machines, for Dial and Conn.
const (
	Any    = 0xffffffff // of a listener: any
	Hyper  = 0          // the hypervisor itself
	Host   = 2          // the machine that a virtual machine runs on
	Parent = 3          // on AWS: the instance that an enclave belongs to
)
