package model

import "go/token"

// Package is what one directory declares.
type Package struct {
	Name      string // as in its package clause
	Path      string // import path
	Contracts []*Contract
	Sentinels []Sentinel // in the order of their codes

	// Taken holds every identifier that the package declares by hand, and
	// where: generated code must not declare them again.
	Taken map[string]token.Position
}

// Direction tells which side serves a contract.
type Direction uint8

// The directions of a contract.
const (
	ECALL Direction = iota // served by the enclave, called by the host
	OCALL                  // served by the host, called by the enclave
)

// Contract is one interface whose methods are called across the boundary.
type Contract struct {
	Pos       token.Position
	Name      string
	Doc       string
	Direction Direction
	Methods   []*Method // in the order of their numbers
}

// Method is one method of a contract. The context it takes first and the error
// it returns last are implied.
type Method struct {
	Pos      token.Position
	Name     string
	Doc      string
	Switched bool // goes over the doorbell instead of shared memory
	Args     []Value
	Results  []Value
	Checks   []Demand
	Private  bool      // of an ECALL: served only while a call that allows it is in flight
	Allows   []*Method // of an OCALL: the private methods that may be called meanwhile
}

// Value is an argument or a result.
type Value struct {
	Pos  token.Position
	Name string // "" or "_" if it has none
	Type *Type
}

// Sentinel is a variable holding an error that keeps its identity across the
// boundary.
type Sentinel struct {
	Pos  token.Position
	Name string
}
