package goread

import (
	"go/token"
	"go/types"

	"github.com/secgear/secgear/sdk/idl/model"
)

// The packages that contracts may use are stood in for, so that no other
// source is read: what their types look like inside is the wire format's
// business.
var (
	contextPackage = types.NewPackage("context", "context")
	timePackage    = types.NewPackage("time", "time")
	shmPackage     = types.NewPackage("github.com/secgear/secgear/sdk/shm", "shm")
	errorsPackage  = types.NewPackage("errors", "errors")
	fmtPackage     = types.NewPackage("fmt", "fmt")

	contextType = declare(contextPackage, "Context", types.NewInterfaceType(nil, nil))

	specialTypes = map[*types.TypeName]model.Kind{
		declare(timePackage, "Time", types.NewStruct(nil, nil)):  model.Time,
		declare(timePackage, "Duration", types.Typ[types.Int64]): model.Duration,
		declare(shmPackage, "Buffer", types.NewStruct(nil, nil)): model.Buffer,
	}

	standIns = map[string]*types.Package{}
)

func init() {
	text, err := types.Typ[types.String], types.Universe.Lookup("error").Type()
	declareFunc(errorsPackage, "New", false, err, text)
	declareFunc(errorsPackage, "Join", true, err, types.NewSlice(err))
	declareFunc(fmtPackage, "Errorf", true, err, text, types.NewSlice(types.Universe.Lookup("any").Type()))
	for _, p := range []*types.Package{contextPackage, timePackage, shmPackage, errorsPackage, fmtPackage} {
		p.MarkComplete()
		standIns[p.Path()] = p
	}
}

func declare(p *types.Package, name string, underlying types.Type) *types.TypeName {
	obj := types.NewTypeName(token.NoPos, p, name, nil)
	types.NewNamed(obj, underlying, nil)
	p.Scope().Insert(obj)
	return obj
}

func declareFunc(p *types.Package, name string, variadic bool, result types.Type, params ...types.Type) {
	var vars []*types.Var
	for _, t := range params {
		vars = append(vars, types.NewParam(token.NoPos, p, "", t))
	}
	results := types.NewTuple(types.NewParam(token.NoPos, p, "", result))
	sig := types.NewSignatureType(nil, nil, nil, types.NewTuple(vars...), results, variadic)
	p.Scope().Insert(types.NewFunc(token.NoPos, p, name, sig))
}
