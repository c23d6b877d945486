package main

// details are the longer explanations in "secgear help COMMAND".
var details = map[string]string{
	"new": `NAME is the path of the new Go module; the project goes into a directory named
after its last element.`,

	"generate": `For each directory (default: the current one) with interfaces marked
//secgear:ecall or //secgear:ocall it writes secgear_gen.go and
secgear_gen_test.go beside them.`,

	"run": `A project has its enclave in the directory enclave, and its host program in the
directory host; dir is the directory they are in (default: the current one), or
the enclave's own. The enclave is built and signed with your development key,
the host is built, and it is run with these variables:

  SECGEAR_IMAGE  name of the image file, which is removed at the end
  SECGEAR_TEE    what --tee says, if it is given

With --arch the enclave alone is built for another architecture. The simulation
runs it in an emulator, which Debian's package qemu-user-static has.

secgear run ends with the status of the host.`,

	"build": `The package main in dir (default: the current one) and its manifest, secgear.json
beside it, become an image, which is not signed unless --sign says so. The same
source, Go version and target give the same digest on any machine; the digest is
printed.`,

	"sign": `In one step, with a key in a file:

  secgear sign --key key.pem demo.sgi

In two steps, with a key kept elsewhere (Ed25519, ECDSA on P-256 or P-384):

  secgear sign --message-out message demo.sgi
  openssl pkeyutl -sign -rawin -inkey key.pem -in message -out signature  # Ed25519
  openssl dgst -sha256 -sign key.pem -out signature message               # P-256
  openssl dgst -sha384 -sign key.pem -out signature message               # P-384
  secgear sign --signature signature --public-key key.pub demo.sgi

A signature is verified before it is written.`,

	"key": `  secgear key new -o key.pem [--alg ed25519|p256|p384]
  secgear key id key.pem

The signer ID is SHA-256 over the public key (PKIX, DER). key id takes private
and public keys.`,

	"inspect": `An image without signature can be inspected too. If there is a signature that
does not hold, the exit status is 1.`,
}
