package main

import (
	"errors"
	"fmt"
	"io"
	"runtime/debug"
	"strings"
	"text/tabwriter"
	"unicode"

	"github.com/secgear/secgear/sdk/image"
	"github.com/secgear/secgear/sdk/image/build"
	"github.com/secgear/secgear/sdk/image/imagefile"
)

// imageInfo is what "secgear inspect --json" prints.
type imageInfo struct {
	Image       string          `json:"image"` // file
	Digest      image.Digest    `json:"digest"`
	Manifest    image.Manifest  `json:"manifest"`
	Arch        string          `json:"arch"`
	ProgramSize int             `json:"program_size"`         // bytes
	Encryption  *encryptionInfo `json:"encryption,omitempty"` // absent: in clear
	Signature   *signatureInfo  `json:"signature,omitempty"`  // absent: not signed
	Go          *goInfo         `json:"go,omitempty"`         // absent: encrypted, or not a Go program
}

// encryptionInfo says what it takes to read the program.
type encryptionInfo struct {
	Cipher string      `json:"cipher"`
	Key    image.KeyID `json:"image_key"`
}

// signatureInfo says who claims to have signed, and whether it is true.
type signatureInfo struct {
	Algorithm string         `json:"algorithm"`
	Signer    image.SignerID `json:"signer"`
	Valid     bool           `json:"valid"`
}

// goInfo is what the program says about how it was built: on this the digest
// depends, beside the source.
type goInfo struct {
	Version  string            `json:"version"`
	Package  string            `json:"package"`
	Settings map[string]string `json:"settings"`
	Modules  []moduleInfo      `json:"modules"`
}

type moduleInfo struct {
	Path    string `json:"path"`
	Version string `json:"version"`
	Sum     string `json:"sum,omitempty"`
}

func runInspect(i *invocation) error {
	asJSON := i.json()
	args, err := i.parse(1, 1)
	if err != nil {
		return err
	}
	f, err := readImage(args[0])
	if err != nil {
		return err
	}
	info := describe(args[0], f)
	if *asJSON {
		err = i.printJSON(info)
	} else {
		err = info.print(i.stdout)
	}
	if err != nil {
		return err
	}
	if _, err := f.Verify(); err != nil && !errors.Is(err, imagefile.ErrUnsigned) {
		return fmt.Errorf("verifying %s: %w", args[0], err)
	}
	return nil
}

// readImage reads an image, signed or not.
func readImage(name string) (*imagefile.File, error) {
	data, err := imagefile.ReadFile(name)
	if err != nil {
		return nil, err
	}
	f, err := imagefile.Parse(data)
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", name, err)
	}
	return f, nil
}

// describe collects what there is to say about an image.
func describe(name string, f *imagefile.File) *imageInfo {
	info := &imageInfo{
		Image: name, Digest: f.Digest, Manifest: f.Manifest, Arch: f.Arch, ProgramSize: len(f.Program),
	}
	if s := f.Signature; s != nil {
		_, err := f.Verify()
		info.Signature = &signatureInfo{s.Algorithm.String(), s.Signer(), err == nil}
	}
	if e := f.Encrypted; e != nil {
		info.ProgramSize, info.Encryption = e.Size, &encryptionInfo{imagefile.Cipher, e.KeyID}
	} else if b, err := build.Info(f.Program); err == nil { // else another language
		info.Go = describeGo(b)
	}
	return info
}

// describeGo takes over what the program says, made printable.
func describeGo(b *debug.BuildInfo) *goInfo {
	g := &goInfo{Version: printable(b.GoVersion), Package: printable(b.Path), Settings: map[string]string{}, Modules: []moduleInfo{}}
	for _, s := range b.Settings {
		g.Settings[printable(s.Key)] = printable(s.Value)
	}
	for _, m := range append([]*debug.Module{&b.Main}, b.Deps...) {
		if m.Replace != nil {
			m = m.Replace
		}
		g.Modules = append(g.Modules, moduleInfo{printable(m.Path), printable(m.Version), printable(m.Sum)})
	}
	return g
}

// printable keeps an image from driving the terminal.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return unicode.ReplacementChar
	}, s)
}

// print shows info to people.
func (info *imageInfo) print(w io.Writer) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	row := func(name, format string, args ...any) {
		fmt.Fprintf(t, "%s\t%s\n", name, fmt.Sprintf(format, args...))
	}
	m := info.Manifest
	row("name", "%s", m.Name)
	row("security version", "%d", m.SecurityVersion)
	row("digest", "%s", info.Digest)
	switch s := info.Signature; {
	case s == nil:
		row("signature", "none")
	case s.Valid:
		row("signature", "%s, valid", s.Algorithm)
		row("signer", "%s", s.Signer)
	default:
		row("signature", "%s, NOT VALID", s.Algorithm)
	}
	debugText := "no"
	if m.Debug {
		debugText = "yes: never for production"
	}
	row("debug", "%s", debugText)
	row("memory", "%s", size(m.Memory))
	row("lanes", "%d, of %s at most, with %d workers each", m.Lanes, size(m.LaneMemory), m.Workers)
	row("may attach", "%s", list(m.Attach))
	row("may call", "%s", list(m.Services))
	row("program", "%s, %s", info.Arch, size(uint64(info.ProgramSize)))
	if e := info.Encryption; e != nil {
		row("encrypted", "%s", e.Cipher)
		row("image key", "%s", e.Key)
	}
	if g := info.Go; g != nil {
		row("package", "%s, built with %s", g.Package, g.Version)
		for _, mod := range g.Modules {
			row("module", "%s %s", mod.Path, mod.Version)
		}
	}
	return t.Flush()
}

// size writes a number of bytes with the largest unit that divides it, or with
// one decimal.
func size(n uint64) string {
	units := []string{"bytes", "KiB", "MiB", "GiB", "TiB"}
	v, unit := float64(n), 0
	for v >= 1024 && unit < len(units)-1 {
		v, unit = v/1024, unit+1
	}
	return strings.TrimSuffix(fmt.Sprintf("%.1f", v), ".0") + " " + units[unit]
}

func list(s []string) string {
	if len(s) == 0 {
		return "none listed"
	}
	return strings.Join(s, ", ")
}

// imageDigest is what "secgear digest --json" prints.
type imageDigest struct {
	Image  string       `json:"image"` // file
	Digest image.Digest `json:"digest"`
}

func runDigest(i *invocation) error {
	asJSON := i.json()
	tee := i.flags.String("tee", "", "print what the evidence of this `TEE` says if it launches the image: "+measuredNames())
	l := i.launchFlags()
	args, err := i.parse(1, 1)
	if err != nil {
		return err
	}
	if *tee != "" {
		return i.printReference(*tee, args[0], l, *asJSON)
	}
	f, err := readImage(args[0])
	if err != nil {
		return err
	}
	if *asJSON {
		return i.printJSON(imageDigest{args[0], f.Digest})
	}
	_, err = fmt.Fprintln(i.stdout, f.Digest)
	return err
}
