// Package imagefile is the file of an enclave image: one file, by convention named *.sgi,
// that holds a program, its manifest, their digest and a signature.
//
// [Build] makes an unsigned image, [Sign] signs it with a key at hand, and
// [SigningMessage] with [Attach] do so with a key kept elsewhere. To load an
// image, take [Open] or [Verify]: they yield an [image.Image] only when the signature
// holds. [Parse] is for looking at images, signed or not.
//
// [Encrypt] hides the program from all but the holders of a key. Such an image is
// measured, signed and verified like any other, without the key; whoever runs the
// program takes [Decrypt].
//
// An image is canonical: the same manifest and program give the same bytes, and
// every other spelling of them is refused. Whatever is read was chosen by an
// attacker until its signature has been checked, and the signer is known; sizes
// are bounded by [image.MaxManifest] and [MaxProgram] and checked against the file
// before anything is allocated.
//
// Who may sign is not decided here: a signature proves that the holder of some
// key made it, and [image.Image] says which.
package imagefile

import "errors"

var (
	// ErrFormat: the bytes are no image, or not in canonical form.
	ErrFormat = errors.New("malformed image")
	// ErrAltered: the program or manifest is not the one that the digest was
	// taken of.
	ErrAltered = errors.New("image was altered: its digest does not match")
	// ErrUnsigned: the image has no signature and so can't be loaded.
	ErrUnsigned = errors.New("image is not signed (secgear sign signs it)")
	// ErrSignature: the signature was not made over this image by its key.
	ErrSignature = errors.New("image signature does not match")
)
