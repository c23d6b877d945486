// Package host is the untrusted side of secgear: it loads enclaves and calls
// them.
//
//	e, err := host.Load(ctx, "demo.sgi", host.Options{Backends: all.Backends()})
//	if err != nil {
//		return err
//	}
//	defer e.Close()
//	g := demo.NewGreeterClient(e) // generated from the contract
//	text, err := g.Hello(ctx, "world")
//
// [Load] checks the image's signature and that its security version is not
// lower than one seen before, picks a TEE, launches the enclave and returns when
// its setup has succeeded. There is no silent fallback: what was chosen is
// logged, [Enclave.TEE] tells it, and a TEE that was asked for by name and is
// not there is an error that says what is missing.
//
// # What this protects, and what not
//
// The checks here keep an honest host from running the wrong enclave. Whoever
// controls the host can leave them out; a remote party must look at the
// enclave's evidence instead. The other way round, a hostile enclave can make
// calls fail and use up its own lane and log, and no more: it cannot make this
// side read or write outside the lane, nor keep [Enclave.Close] waiting for
// long.
package host
