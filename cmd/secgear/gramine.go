package main

import (
	"errors"
	"fmt"
	"os"

	"github.com/secgear/secgear/sdk/tee/sgx"
)

func runGramine(i *invocation) error {
	out := i.flags.String("o", "", "write into the new folder `dir`")
	gramine := i.flags.String("gramine", sgx.GramineDir, "Gramine's library OS is in `dir`")
	args, err := i.parse(1, 1)
	if err != nil {
		return err
	}
	if *out == "" {
		return misuse("gramine: -o is missing: where to write to")
	}
	img, err := verifiedImage(args[0])
	if err != nil {
		return err
	}
	libOS, err := sgx.FindLibOS(*gramine)
	if err != nil {
		return hint(err, "install Gramine, or name its folder with --gramine")
	}
	l, err := sgx.Lay(img, sgx.Name, libOS)
	if err != nil {
		return fmt.Errorf("writing %s for Gramine: %w", args[0], err)
	}
	if err := os.Mkdir(*out, 0o700); err != nil {
		return fmt.Errorf("writing %s for Gramine: %w", args[0], err)
	}
	if err := l.Write(*out); err != nil {
		return errors.Join(fmt.Errorf("writing %s for Gramine: %w", args[0], err), os.RemoveAll(*out))
	}
	return nil
}
