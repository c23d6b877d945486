package edl

import "strings"

// String returns the declaration as EDL.
func (d *Decl) String() string {
	var b strings.Builder
	if len(d.Attrs) > 0 {
		var attrs []string
		for _, a := range d.Attrs {
			attrs = append(attrs, a.String())
		}
		b.WriteString("[" + strings.Join(attrs, ", ") + "] ")
	}
	b.WriteString(d.Type.String() + " " + d.Name)
	for _, dim := range d.Dims {
		b.WriteString("[" + dim.text() + "]")
	}
	return b.String()
}

// String returns the attribute as EDL.
func (a Attr) String() string {
	if a.Value == nil {
		return a.Name
	}
	return a.Name + "=" + a.Value.Text
}

func (d Dim) text() string {
	if d.Value == nil {
		return ""
	}
	return d.Value.Text
}

// String returns the function as EDL, in one line.
func (f *Function) String() string {
	var b strings.Builder
	if f.Public {
		b.WriteString("public ")
	}
	var params []string
	for _, d := range f.Params {
		params = append(params, d.String())
	}
	b.WriteString(f.Return.String() + " " + f.Name + "(" + strings.Join(params, ", ") + ")")
	if len(f.Allow) > 0 {
		var names []string
		for _, n := range f.Allow {
			names = append(names, n.Text)
		}
		b.WriteString(" allow(" + strings.Join(names, ", ") + ")")
	}
	if f.Errno {
		b.WriteString(" propagate_errno")
	}
	if f.Switchless {
		b.WriteString(" transition_using_threads")
	}
	return b.String() + ";"
}
