package main

// details are the longer explanations in "secgear help COMMAND".
var details = map[string]string{
	"new": `NAME is the path of the new Go module; the project goes into a directory named
after its last element.`,

	"generate": `For each directory (default: the current one) with interfaces marked
//secgear:ecall or //secgear:ocall it writes secgear_gen.go and
secgear_gen_test.go beside them.

For each file of EDL, the language of secGear, the SGX SDK and Open Enclave, it
writes the Go contract that says the same, and its stubs, to a folder beside the
file that is called like it.`,

	"run": `A project has its enclave in the directory enclave, and its host program in the
directory host; dir is the directory they are in (default: the current one), or
the enclave's own. The enclave is built and signed with your development key,
the host is built, and it is run with these variables:

  SECGEAR_IMAGE      name of the image file, which is removed at the end
  SECGEAR_TEE        what --tee says, if it is given
  SECGEAR_IMAGE_KEY  what --image-key says, if it is given

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

	"encrypt": `The program becomes ciphertext (AES-256-GCM); the manifest stays readable, and
bound to it. The same image and key give the same digest, which is printed. Sign
the image afterwards: measuring, signing, inspecting and verifying it take no
key, only running it does.

  secgear key image -o image.key
  secgear encrypt --key image.key demo.sgi
  secgear sign --key key.pem demo.sgi

secgear build --encrypt does so at once.`,

	"digest": `The digest is the image's own, the same everywhere. With --tee it prints reference
values: what the evidence of such a TEE says once the image is launched there, and
what they were computed of. Nothing runs, and no such hardware is needed. The
image has to be signed.

  secgear digest --tee sev-snp --cpus 2 demo.sgi    the launch digest
  secgear digest --tee tdx demo.sgi                 MRTD, RTMR1 and RTMR2
  secgear digest --tee nitro demo.sgi               PCR0, PCR1 and PCR2
  secgear digest --tee tpm demo.sgi                 PCR13; with --tee cvm, too
  secgear digest --tee sgx demo.sgi                 MRENCLAVE and MRSIGNER, as signed
                                                    in the folder SECGEAR_SGX_SIGNED

Firmware, kernel and command line are those that secgear launches with, unless
flags name others. See docs/reference-values.md.`,

	"gramine": `It writes the enclave of a signed image as Gramine takes it to SGX: the files
enclave, identity and enclave.manifest. gramine-sgx-sign, run in that folder,
measures and signs them:

  secgear gramine -o demo.gramine demo.sgi
  cd demo.gramine
  gramine-sgx-sign --key key.pem --manifest enclave.manifest --output enclave.manifest.sgx

The manifest holds the place and hash of Gramine's library OS: --gramine names its
folder as it is where the enclave is to run. With SECGEAR_SGX_SIGNED=demo.gramine
the enclave is launched as it was signed. See docs/sgx.md.`,

	"key": `  secgear key new -o key.pem [--alg ed25519|p256|p384]    a key to sign images
  secgear key image -o image.key                          a key to encrypt them
  secgear key id FILE

The signer ID is SHA-256 over the public key (PKIX, DER). key id takes private
and public keys, and image keys, which have an ID of their own. An image key is
a file of 32 random bytes that only its owner can read.`,

	"pprof": `NAME is that of a running enclave, or the path of its socket. KIND is cpu, heap,
allocs, goroutine or threadcreate. The enclave's image must be one for debugging
("debug": true in its manifest), and its program must import

  _ "github.com/secgear/secgear/sdk/enclave/pprof"`,

	"ps": `The enclaves that processes of yours have loaded, on this machine: calls of all
processes over half a second; how long those of the process that loaded it took
(half of them at most P50, 99 of 100 at most P99, estimated from some); failed
calls; those in flight (BUSY); open streams; lanes in use; that process's arena; memory and
workers inside. What concerns the inside is the enclave's own word.`,

	"tee": `LAUNCH says whether an enclave can be launched here now ("not yet": secgear has no
backend), OWNER whether hardware then keeps the machine's owner out of it,
HARDWARE whether processor, firmware and kernel have what it takes, and INSIDE
whether this machine is in that TEE itself. What it says comes from the kernel's
files and proves nothing to others: evidence does.

With a name only that TEE is shown.`,

	"top": `Columns as of secgear ps, over the time since the last look. It ends with q or
Ctrl-C. A terminal that is too narrow lacks the last columns. NO_COLOR in the
environment does without colour.`,

	"inspect": `An image without signature can be inspected too. If there is a signature that
does not hold, the exit status is 1.`,
}
