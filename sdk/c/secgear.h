/* SPDX-License-Identifier: MulanPSL-2.0 */
/*
 * secgear.h: calls from C programs to a running enclave, through memory shared
 * with it.
 *
 *	secgear *s;
 *	secgear_call c;
 *	unsigned char *args;
 *	const unsigned char *results;
 *	size_t size;
 *
 *	if (secgear_attach("demo", &s) < 0) ...
 *	if (secgear_begin(s, &c, CONTRACT, METHOD, n, &args) < 0) ...
 *	memcpy(args, ..., n);
 *	r = secgear_run(&c, &results, &size);
 *	... r is 0, an error of this library (< 0) or of the method (> 0) ...
 *	secgear_end(&c);
 *	secgear_detach(s);
 *
 * A process of its own loads the enclave (host.Load in Go, or secgear run); its
 * manifest says who may attach. See docs/attach.md.
 *
 * Threads. A secgear may be used by many threads at a time; a call belongs to one
 * at a time. The library starts no threads and installs no signal handlers.
 *
 * Fork. A child may use what its parent attached: its first call attaches anew,
 * and it never touches its parent's lane. Calls begun before the fork are the
 * parent's; in the child they fail with SECGEAR_E_FORKED.
 *
 * Cancellation. secgear_begin, secgear_run and secgear_wait are cancellation points
 * while they sleep, and at no other moment: a call of a cancelled thread is given
 * up as by secgear_end. A thread that is cancelled between them and secgear_end,
 * or left by longjmp, is to call secgear_end for the call all the same
 * (pthread_cleanup_push); otherwise its slot, one of SECGEAR_SLOTS, is lost until
 * secgear_detach. Asynchronous cancellation must be off. A signal handler may
 * leave a call by longjmp; it must not use the library itself.
 *
 * The enclave is not trusted. Whatever it does, it can make calls fail and no
 * more; results are private copies, which it can't change.
 */
#ifndef SECGEAR_H
#define SECGEAR_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* What can go wrong. strerror-like texts: secgear_strerror. */
#define SECGEAR_E_LOST        (-1)  /* the enclave or its owner has ended */
#define SECGEAR_E_TIMEOUT     (-2)  /* the call took longer than it may */
#define SECGEAR_E_TOO_LARGE   (-3)  /* arguments larger than the lane's arena */
#define SECGEAR_E_MEMORY      (-4)  /* no memory left */
#define SECGEAR_E_PROTOCOL    (-5)  /* the other side broke the protocol */
#define SECGEAR_E_DENIED      (-6)  /* the manifest does not let this process attach */
#define SECGEAR_E_FULL        (-7)  /* as many processes are attached as may be */
#define SECGEAR_E_NOT_FOUND   (-8)  /* no such enclave is running */
#define SECGEAR_E_AMBIGUOUS   (-9)  /* several enclaves of this name are running */
#define SECGEAR_E_UNSUPPORTED (-10) /* the enclave's TEE has no lanes for others */
#define SECGEAR_E_FORKED      (-11) /* the call is that of the parent process */
#define SECGEAR_E_SYSTEM      (-12) /* a system call failed: errno */
#define SECGEAR_E_USE         (-13) /* the function may not be called so */

/* SECGEAR_SLOTS is how many calls may be begun and not ended at a time. */
#define SECGEAR_SLOTS 64

typedef struct secgear secgear;

/* A call. Its fields are the library's; it needs no initialisation. It must not be
 * moved between secgear_begin and secgear_end. */
typedef struct secgear_call {
	secgear *s;
	uint32_t lane, gen, timeout;
	int16_t slot;
	uint8_t state, chunked, open;
	uint32_t contract;
	uint16_t method;
	size_t size;
	uint64_t chunk, deadline;
	void *owned;
	unsigned char small[112];
} secgear_call;

/* Options of secgear_attach_with. All zero: as secgear_attach. */
typedef struct secgear_options {
	size_t memory;       /* size of the lane in bytes; 0: as the owner likes */
	uint32_t timeout_us; /* bound of each call in microseconds; 0: none */
	int32_t spin_us;     /* how long a wait keeps the processor; 0: 50; < 0: not at all */
} secgear_options;

/* secgear_attach gives this process a lane to the enclave of a name, or at the path
 * of its socket (with a '/' in it). The result is 0 or an error. */
int secgear_attach(const char *name, secgear **s);
int secgear_attach_with(const char *name, const secgear_options *o, secgear **s);

/* secgear_detach ends the lane and frees s. No call may be under way. NULL is
 * allowed. */
void secgear_detach(secgear *s);

/* secgear_identity tells what the owner says the enclave is: the digest of its
 * image and who signed that. Only evidence would prove it. Either may be NULL. */
int secgear_identity(secgear *s, unsigned char digest[32], unsigned char signer[32]);

/* secgear_begin begins a call with size bytes of arguments, which are to be written
 * to *args before it is sent; *args may be memory that the enclave sees, so write
 * each byte once and read none. It waits while all slots are taken. Unless it
 * fails, secgear_end must follow. */
int secgear_begin(secgear *s, secgear_call *c, uint32_t contract, uint16_t method, size_t size, unsigned char **args);

/* secgear_set_timeout bounds a call that is begun and not sent, in microseconds from
 * now; 0: it is not bounded. */
int secgear_set_timeout(secgear_call *c, uint32_t microseconds);

/* secgear_send sends a call; several may be under way. secgear_wait waits for its
 * answer. secgear_run does both. The result is 0, an error of this library (< 0),
 * or the status with which the method failed (> 0), whose text is then what
 * *results has, without NUL at its end. The results are there until secgear_end. */
int secgear_send(secgear_call *c);
int secgear_wait(secgear_call *c, const unsigned char **results, size_t *size);
int secgear_run(secgear_call *c, const unsigned char **results, size_t *size);

/* secgear_end ends a call, in whatever state: one that has no answer yet is
 * cancelled. It may be called again. */
void secgear_end(secgear_call *c);

/* Memory shared with the enclave, which passes without a copy as shm.Buffer: a
 * message has its 16 bytes as arena (uint32), length (uint32) and offset (uint64).
 * The enclave can change the bytes at any moment.
 *
 * secgear_buffer allocates; the buffer is this side's to free, and must not be
 * freed while a call has it. secgear_view finds the memory of a buffer that came as
 * a result and is this side's from then on. secgear_free frees either. */
typedef struct secgear_ref {
	uint32_t arena, len;
	uint64_t off;
} secgear_ref;

int secgear_buffer(secgear *s, size_t size, secgear_ref *ref, unsigned char **mem);
int secgear_view(secgear *s, const secgear_ref *ref, unsigned char **mem);
int secgear_free(secgear *s, const secgear_ref *ref);

/* secgear_strerror returns the text of an error, or of a framework's status. */
const char *secgear_strerror(int error);

#ifdef __cplusplus
}
#endif

#endif
