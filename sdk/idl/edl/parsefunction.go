package edl

// functions parses trusted { … }; or untrusted { … };.
func (p *parser) functions(trusted bool) {
	p.next()
	p.expect("{")
	for p.at.is("include") && p.dialect != OpenEnclave {
		p.include()
	}
	p.each(func() {
		f := p.function(trusted)
		if trusted {
			p.file.Trusted = append(p.file.Trusted, f)
		} else {
			p.file.Untrusted = append(p.file.Untrusted, f)
		}
	})
	p.expect("}")
	p.expect(";")
}

func (p *parser) function(trusted bool) *Function {
	f := &Function{}
	switch {
	case trusted:
		f.Public = p.accept("public")
	case p.at.is("[") && p.dialect != OpenEnclave:
		f.Attrs = p.attrs()
	}
	f.Return = p.typ()
	f.Dims = p.dims()
	n := p.name("function name")
	f.Pos, f.Name = n.Pos, n.Text
	p.params(f)
	p.allow(f, trusted)
	p.suffixes(f, trusted)
	p.expect(";")
	return f
}

func (p *parser) params(f *Function) {
	p.expect("(")
	if p.at.is("void") && p.after.is(")") {
		p.next()
	}
	for !p.at.is(")") {
		f.Params = append(f.Params, p.decl("identifier"))
		if p.at.is(")") || !p.comma(")") {
			break
		}
	}
	p.expect(")")
}

// allow parses the ECALLs that may be made while the OCALL runs.
func (p *parser) allow(f *Function, trusted bool) {
	if !p.at.is("allow") {
		return
	}
	f.HasAllow, f.AllowPos = true, p.at.pos
	if trusted {
		p.fail(p.at, "the `allow' syntax is invalid for a trusted function (ECALL).")
	}
	p.next()
	p.expect("(")
	if !p.at.is(")") {
		f.Allow = p.names("identifier", ")")
	}
	p.expect(")")
}

// suffixes parses what may follow, each at most once and in any order.
func (p *parser) suffixes(f *Function, trusted bool) {
	for {
		switch l := p.at; {
		case l.is("transition_using_threads") && !f.Switchless:
			f.Switchless, f.AtSwitch = true, l.pos
		case l.is("propagate_errno") && !trusted && !f.Errno:
			f.Errno = true
		default:
			return
		}
		p.next()
	}
}
