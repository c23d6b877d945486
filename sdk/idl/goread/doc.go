// Package goread reads contracts from Go source.
//
// A contract is an exported interface type with a directive above it, in its
// doc comment:
//
//	// Greeter greets.
//	//
//	//secgear:ecall
//	type Greeter interface {
//		// Hello greets name.
//		Hello(ctx context.Context, name string) (string, error)
//		//secgear:switched
//		Forget(ctx context.Context) error
//	}
//
//	//secgear:error
//	var ErrNobody = errors.New("nobody to greet")
//
// The package need not compile: generated files, function bodies and what
// other packages declare are not looked at. Only array lengths may use
// constants of other packages, which are then read from source.
package goread
