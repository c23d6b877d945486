package sgx

import (
	"encoding/binary"
	"fmt"
	"os"

	"github.com/secgear/secgear/sdk/image"
	"github.com/secgear/secgear/sdk/image/reference"
)

// Reference returns what quotes of the image's enclave say, from the one that was
// signed beforehand, in the folder that SECGEAR_SGX_SIGNED names. Without one its
// error matches [ErrNeedsGramine].
func Reference(img *image.Image) (*reference.Set, error) {
	dir := os.Getenv(signedVariable)
	if dir == "" {
		return nil, fmt.Errorf("%w; let it sign what secgear gramine writes, and set %s to that folder", ErrNeedsGramine, signedVariable)
	}
	s, err := ReadSigned(img, dir)
	if err != nil {
		return nil, err
	}
	signer, le := s.Sigstruct.MRSIGNER(), binary.LittleEndian
	return &reference.Set{
		TEE: Name,
		Values: []reference.Value{
			{Name: "MRENCLAVE", Algorithm: "sha256", Value: s.Sigstruct.MRENCLAVE[:]},
			{Name: "MRSIGNER", Algorithm: "sha256", Value: signer[:]},
			{Name: "ISVPRODID", Algorithm: "uint16", Value: le.AppendUint16(nil, s.Sigstruct.ProdID)},
			{Name: "ISVSVN", Algorithm: "uint16", Value: le.AppendUint16(nil, s.Sigstruct.SVN)},
		},
		Inputs: []reference.Input{
			reference.FileInput(signedFile, s.Manifest),
			reference.FileInput(sigFile, s.Sigstruct.Encode()),
		},
	}, nil
}
