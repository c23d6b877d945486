package initramfs

import (
	"errors"
	"fmt"

	"github.com/secgear/secgear/sdk/image"
	"github.com/secgear/secgear/sdk/tee"
)

// Module is a module of the guest's kernel, not compressed.
type Module struct {
	Name string // as "nsm"
	Data []byte
}

// Where the guest finds what it is made of.
const (
	initFile     = "init"
	ownDir       = "secgear"
	identityFile = ownDir + "/identity"
	modulesDir   = ownDir + "/modules"
)

// maxModules is how many modules there can be: their files' names have two
// digits.
const maxModules = 100

// Build packs img for the platform of that name. The modules are loaded in
// their order. The same arguments give the same bytes, always.
func Build(img *image.Image, platform string, modules []Module) ([]byte, error) {
	if img.Program == nil {
		return nil, fmt.Errorf("packing %s: the program is encrypted, and nothing in the guest could decrypt it: %w",
			img.Manifest.Name, errors.ErrUnsupported)
	}
	return build(img.Program, platform, tee.Identity{Digest: img.Digest, Signer: img.Signer, Manifest: img.Manifest}, modules)
}

func build(program []byte, platform string, id tee.Identity, modules []Module) ([]byte, error) {
	identity, err := AppendIdentity(nil, platform, id)
	if err != nil {
		return nil, err
	}
	if len(modules) > maxModules {
		return nil, fmt.Errorf("packing %s: %d modules are more than %d", id.Manifest.Name, len(modules), maxModules)
	}
	files := []File{
		{Name: "dev", Mode: ModeDir | 0o755},
		{Name: "proc", Mode: ModeDir | 0o555},
		{Name: "sys", Mode: ModeDir | 0o555},
		{Name: ownDir, Mode: ModeDir | 0o500},
		{Name: identityFile, Mode: ModeFile | 0o400, Data: identity},
		{Name: modulesDir, Mode: ModeDir | 0o500},
	}
	for i, m := range modules {
		name := fmt.Sprintf("%s/%02d-%s.ko", modulesDir, i, m.Name)
		files = append(files, File{Name: name, Mode: ModeFile | 0o400, Data: m.Data})
	}
	return Archive(append(files, File{Name: initFile, Mode: ModeFile | 0o500, Data: program}))
}
