// Package enclave is the trusted side of secgear: what the program inside an
// enclave is written with. The program is an ordinary package main:
//
//	func main() { enclave.Main(setup) }
//
//	func setup(e *enclave.Enclave) error {
//		demo.RegisterGreeter(e, &greeter{e})
//		return nil
//	}
//
// Setup registers what the enclave serves; the host's Load returns when setup
// has. The [Enclave] it is given is the program's access to everything else:
// sealing ([Enclave.Seal]), evidence, monotonic counters, random bytes, calls
// to the host (an OCALL contract's client takes it; the manifest's services
// list which contracts), a logger that reaches the host, and the manifest it was
// signed with.
//
// What the TEE at hand lacks answers with an error that matches
// [errors.ErrUnsupported].
//
// # What to trust
//
// Nothing that comes from the host: arguments of calls, answers of OCALLs,
// buffers (which the host can change while they are read), the time, the order
// and number of calls, whether a call is ever answered. What an enclave writes
// to its log, into an error it returns or to standard output is public.
package enclave
