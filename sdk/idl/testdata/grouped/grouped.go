package grouped

import stdctx "context"

type (
	// A is a contract.
	//
	//secgear:ecall
	A interface {
		One(stdctx.Context) (Set, error)
	}
	// B is none.
	B interface{ Two() }
	//secgear:ocall
	C interface {
		Three(stdctx.Context, Unit, *Unit, [3]Unit) error
	}
)

// Set is a set of strings.
type Set map[string]struct{}

// Unit takes no bytes.
type Unit struct{}
