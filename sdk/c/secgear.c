/* SPDX-License-Identifier: MulanPSL-2.0 */
/*
 * The host's side of a lane, in C. The layout and rules are those of
 * sdk/internal/ring and sdk/shm, where they are explained; this file says what is
 * different for a library without threads of its own.
 *
 * Whoever waits for an answer looks for it himself. When that takes long one of
 * those who wait leads: it sleeps on the lane's wake word, which the enclave
 * wakes, and wakes the others, who sleep on a word of this process's. A leader
 * that vanishes (longjmp) is replaced.
 *
 * What is held for more than an instant is held with all signals blocked, so that
 * no handler's longjmp can leave it held. Cancellation happens in one place only,
 * doze, where nothing is held.
 *
 * Locks lie in a page that a fork wipes: a child finds them open, and knows by the
 * same page that it is one.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "secgear.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/un.h>
#include <sys/vfs.h>
#include <time.h>
#include <unistd.h>

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "lanes need a little-endian processor"
#endif

#ifndef MADV_WIPEONFORK
#define MADV_WIPEONFORK 18
#endif
#ifndef MAP_FIXED_NOREPLACE
#define MAP_FIXED_NOREPLACE 0x100000
#endif
#ifndef F_GET_SEALS
#define F_GET_SEALS 1034
#define F_SEAL_SHRINK 2
#define F_SEAL_GROW 4
#endif
#define TMPFS 0x01021994

/* The layout: sdk/internal/ring/layout.go. */
enum {
	SLOTS = SECGEAR_SLOTS,
	ENTRIES = 128,
	LINE = 128,
	HALF = 64,
	OFF_WAKE_HOST = 0,
	OFF_CPU_HOST = 4,
	OFF_WAKE_ENCLAVE = 128,
	OFF_CPU_ENCLAVE = 132,
	OFF_ACK = 256,
	OFF_TAKEN_ECALL = 768,
	OFF_TAKEN_OCALL = 896,
	OFF_SUBMIT_ECALL = 4096,
	OFF_SUBMIT_OCALL = 20480,
	OFF_REPLY_ECALL = 36864,
	OFF_REPLY_OCALL = 45056,
	HEADER = 65536,
	INLINE_ARGS = 96,
	INLINE_RESULTS = 112
};

/* Kinds of submissions, states of a side, states of a slot, states of a call. */
enum { KIND_INLINE, KIND_ARENA, KIND_CANCEL, KIND_FREE, KIND_DRAIN };
enum { AWAKE, PARKED, WOKEN };
enum { IDLE, FLYING, TAKEN, DRAINING, DRAINED, ABANDONED };
enum { OVER, BEGUN, SENDING, SENT, ANSWERED };

enum {
	SCRATCH = 4096,            /* results up to this need no malloc */
	CHUNK = 16384,             /* arguments up to this need no lock, at most */
	UNREAD = 64,               /* submissions beside calls that may lie unread */
	FIRST_PAUSES = 128,        /* of the first look */
	MORE_PAUSES = 64,          /* between looks at the clock */
	PATIENCE = 3,              /* spins that may fail in a row before they get short */
	PROBE_EVERY = 16,
	UNSUPPORTED = 0x8000 + 2   /* errors.ErrUnsupported on the wire */
};

#define US UINT64_C(1000)
#define MS (1000 * US)
#define STALL (50 * US)
#define SHORT_SPIN (2 * US)
#define LONG_NAP (100 * MS)
#define NEVER UINT64_MAX

/* What a fork wipes. */
struct page {
	uint32_t alive; /* 1: this process's lane is attached */
	uint32_t arena, aux, poll, bell;
	uint32_t attaching; /* in the process's own page */
};

struct slot {
	uint32_t state, gen;
	uint64_t chunk; /* allocated for arguments, if chunked */
	bool chunked;
	/* An answer that was copied for an owner who does not wait yet. */
	int err;
	uint32_t status;
	unsigned char *results;
	size_t size;
	void *owned;
};

struct extent {
	uint64_t off, n;
};

struct aside {
	uint8_t kind, slot;
	uint32_t gen;
	uint64_t off;
};

struct secgear {
	struct page *page;
	pid_t pid;     /* if pages can't be wiped */
	bool wipes;
	char *name;
	secgear_options opt;

	uint32_t lane; /* counts attachments */
	int dead;      /* why the lane has ended */
	int bell, conn;
	ino_t bell_ino, conn_ino;
	unsigned char *mem;
	bool cut;      /* mem is this child's own, in place of the parent's lane */
	size_t size, arena, chunk;
	unsigned char digest[32], signer[32];
	unsigned char *scratch; /* SLOTS * SCRATCH */
	struct slot slot[SLOTS];

	uint32_t tail, head; /* of the rings; never read back from the lane */
	uint64_t claims[ENTRIES]; /* position << 8 | slot, or PUBLISHED */
	uint64_t spin;
	uint32_t fails;
	uint64_t copied;

	uint32_t lead, beat, ids, epoch, starved, freed;
	uint64_t waiting, abandoned;
	uint64_t woke;
	uint32_t streak;

	struct extent *used; /* sorted; under page->arena */
	size_t nused, maxused;
	uint32_t unread[UNREAD]; /* under page->aux */
	int nunread;
	struct aside *asides;
	size_t nasides, maxasides;
	unsigned char frame[32]; /* under page->bell */
	size_t nframe;
	uint64_t skip;

	_Alignas(LINE) uint64_t free_slots;
};

#define LOAD(p) __atomic_load_n(p, __ATOMIC_ACQUIRE)
#define PEEK(p) __atomic_load_n(p, __ATOMIC_RELAXED)
#define STORE(p, v) __atomic_store_n(p, v, __ATOMIC_RELEASE)
#ifdef __SANITIZE_THREAD__ /* which does not know fences */
static uint32_t fence_word;
#define FENCE() __atomic_fetch_add(&fence_word, 0, __ATOMIC_SEQ_CST)
#else
#define FENCE() __atomic_thread_fence(__ATOMIC_SEQ_CST)
#endif

static bool cas(uint32_t *p, uint32_t from, uint32_t to)
{
	return __atomic_compare_exchange_n(p, &from, to, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
}

static uint32_t *word(secgear *s, size_t off) { return (uint32_t *)(void *)(s->mem + off); }
static uint32_t *reply(secgear *s, int slot) { return word(s, OFF_REPLY_ECALL + (size_t)slot * LINE); }
static uint64_t bit(int slot) { return UINT64_C(1) << slot; }

static void pause_cpu(void)
{
#if defined(__x86_64__) || defined(__i386__)
	__builtin_ia32_pause();
#elif defined(__aarch64__)
	__asm__ volatile("isb" ::: "memory");
#else
	__asm__ volatile("" ::: "memory");
#endif
}

static uint64_t now(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000 * MS + (uint64_t)t.tv_nsec;
}

/* futex_wait returns false when the time is over. errno stays. */
static bool futex_wait(uint32_t *w, uint32_t v, uint64_t ns, int flags)
{
	int saved = errno;
	struct timespec t = {(time_t)(ns / (1000 * MS)), (long)(ns % (1000 * MS))};
	long r = syscall(SYS_futex, w, FUTEX_WAIT | flags, v, &t, NULL, 0);
	bool in_time = r == 0 || errno != ETIMEDOUT;
	errno = saved;
	return in_time;
}

static void futex_wake(uint32_t *w, int n, int flags)
{
	int saved = errno;
	syscall(SYS_futex, w, FUTEX_WAKE | flags, n, NULL, NULL, 0);
	errno = saved;
}

/* Locks: 0 open, 1 held, 2 held and wanted. They are held for moments, with all
 * signals blocked. */
static void hush(sigset_t *old)
{
	sigset_t all;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, old);
}

static void unhush(const sigset_t *old) { pthread_sigmask(SIG_SETMASK, old, NULL); }

static bool try_lock(uint32_t *l) { return cas(l, 0, 1); }

static void lock(uint32_t *l, sigset_t *old)
{
	hush(old);
	if (try_lock(l))
		return;
	while (__atomic_exchange_n(l, 2, __ATOMIC_SEQ_CST) != 0)
		futex_wait(l, 2, LONG_NAP, FUTEX_PRIVATE_FLAG);
}

static void unlock(uint32_t *l)
{
	if (__atomic_exchange_n(l, 0, __ATOMIC_SEQ_CST) == 2)
		futex_wake(l, 1, FUTEX_PRIVATE_FLAG);
}

/* attached tells whether this process has the lane, and not its parent. */
static bool attached(secgear *s)
{
	return LOAD(&s->page->alive) == 1 && (s->wipes || s->pid == getpid());
}

/* A copy of a large answer is a head of COPY bytes, its length in them, and the
 * answer. Where it is noted is set with signals blocked, so that it is not lost. */
enum { COPY = 16 };

static bool make_copy(secgear *s, size_t len, void **note)
{
	sigset_t old;
	hush(&old);
	*note = NULL;
	if (__atomic_add_fetch(&s->copied, len, __ATOMIC_RELAXED) > s->arena || (*note = malloc(COPY + len)) == NULL)
		__atomic_sub_fetch(&s->copied, len, __ATOMIC_RELAXED);
	else
		memcpy(*note, &len, sizeof len);
	unhush(&old);
	return *note != NULL;
}

/* drop_copy frees one; counted says whether it counts in s. */
static void drop_copy(secgear *s, void **note, bool counted)
{
	sigset_t old;
	size_t len;
	if (*note == NULL)
		return;
	hush(&old);
	memcpy(&len, *note, sizeof len);
	if (counted)
		__atomic_sub_fetch(&s->copied, len, __ATOMIC_RELAXED);
	free(*note);
	*note = NULL;
	unhush(&old);
}

/* ---- waking the enclave: sdk/shm/waker.go, apart.go ---- */

enum { MOVE_EVERY = 8 };

/* stay_apart moves this thread off the enclave's processor if it has to wake it
 * there again and again. */
static void stay_apart(secgear *s)
{
	uint64_t t = now();
	uint64_t last = __atomic_exchange_n(&s->woke, t, __ATOMIC_RELAXED);
	if (t - last > 500 * US) {
		STORE(&s->streak, 0);
		return;
	}
	if (__atomic_add_fetch(&s->streak, 1, __ATOMIC_RELAXED) % MOVE_EVERY != 0)
		return;
	int saved = errno, cpu = sched_getcpu();
	cpu_set_t may, others;
	if (cpu >= 0 && (uint32_t)cpu + 1 == PEEK(word(s, OFF_CPU_ENCLAVE)) && sched_getaffinity(0, sizeof may, &may) == 0) {
		others = may;
		CPU_CLR((size_t)cpu, &others);
		if (CPU_COUNT(&others) > 0 && sched_setaffinity(0, sizeof others, &others) == 0)
			sched_setaffinity(0, sizeof may, &may);
	}
	errno = saved;
}

/* ring_enclave and wake_enclave: what was published comes before. */
static void ring_enclave(secgear *s)
{
	stay_apart(s);
	futex_wake(word(s, OFF_WAKE_ENCLAVE), 1, 0);
}

static void wake_enclave(secgear *s)
{
	uint32_t *w = word(s, OFF_WAKE_ENCLAVE);
	FENCE();
	if (PEEK(w) == PARKED && cas(w, PARKED, WOKEN))
		ring_enclave(s);
}

/* ---- submissions: sdk/internal/ring/submit.go, sdk/shm/auxiliary.go ---- */

struct submission {
	uint32_t gen, contract, len, timeout;
	uint16_t method;
	uint8_t slot, kind;
	uint64_t off;
};

enum { PUBLISHED = 0xff, ASIDE = 0xfe };

/* claim takes the next position for a slot. Who has it is noted, so that a thread
 * that left by longjmp can fill it when the call is ended. Entries are free by
 * count; only an enclave that lies about what it has taken lets them run out. */
static bool claim(secgear *s, uint8_t slot, uint32_t *pos)
{
	for (;;) {
		uint32_t p = LOAD(&s->tail);
		uint64_t *c = &s->claims[p % ENTRIES], v = LOAD(c);
		if (v == ((uint64_t)(p - ENTRIES) << 8 | PUBLISHED)) {
			bool got = __atomic_compare_exchange_n(c, &v, (uint64_t)p << 8 | slot, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
			cas(&s->tail, p, p + 1);
			*pos = p;
			if (got)
				return true;
		} else if (v >> 8 == p) {
			cas(&s->tail, p, p + 1);
		} else if (LOAD(&s->tail) == p) {
			return false;
		}
	}
}

/* fill publishes at a claimed position. To do it twice does no harm. */
static void fill(secgear *s, uint32_t pos, const struct submission *m, const unsigned char *args)
{
	unsigned char *e = s->mem + OFF_SUBMIT_ECALL + (size_t)(pos % ENTRIES) * LINE;
	uint64_t head[4];

	if (m->kind != KIND_INLINE)
		memcpy(e + 32, &m->off, sizeof m->off);
	else if (m->len > HALF - 32)
		memcpy(e + HALF, args + (HALF - 32), m->len - (HALF - 32)); /* first: see Send */
	head[1] = m->contract | (uint64_t)m->method << 32 | (uint64_t)m->slot << 48 | (uint64_t)m->kind << 56;
	head[2] = m->len;
	head[3] = 0xff | (uint64_t)m->timeout << 32; /* no parent, level 0 */
	memcpy(e + 4, &m->gen, sizeof m->gen);
	memcpy(e + 8, head + 1, 3 * sizeof head[0]);
	if (m->kind == KIND_INLINE && m->len > 0)
		memcpy(e + 32, args, m->len < HALF - 32 ? m->len : HALF - 32);
	STORE((uint32_t *)(void *)e, pos / ENTRIES + 1);
}

static void filled(secgear *s, uint32_t pos) { STORE(&s->claims[pos % ENTRIES], (uint64_t)pos << 8 | PUBLISHED); }

/* taken_by_enclave is its word. */
static uint32_t taken_by_enclave(secgear *s) { return PEEK(word(s, OFF_TAKEN_ECALL)); }

/* flush sends what waits as far as the enclave has read what was sent. */
static void flush(secgear *s)
{
	int kept = 0;
	size_t sent = 0;
	uint32_t taken = taken_by_enclave(s);

	for (int i = 0; i < s->nunread; i++)
		if ((int32_t)(taken - s->unread[i]) <= 0)
			s->unread[kept++] = s->unread[i];
	s->nunread = kept;
	while (sent < s->nasides && s->nunread < UNREAD) {
		const struct aside *a = &s->asides[sent++];
		struct submission m = {.gen = a->gen, .slot = a->slot, .kind = a->kind, .off = a->off};
		if (!claim(s, ASIDE, &s->unread[s->nunread]))
			break;
		fill(s, s->unread[s->nunread], &m, NULL);
		filled(s, s->unread[s->nunread++]);
	}
	if (sent > 0) {
		memmove(s->asides, s->asides + sent, (s->nasides - sent) * sizeof *s->asides);
		s->nasides -= sent;
		FENCE();
		STORE(word(s, OFF_WAKE_ENCLAVE), WOKEN);
		ring_enclave(s);
	}
}

/* aside sends a submission that is no call, now or later. When memory has run out
 * it is dropped: the enclave loses a buffer, or learns late that nobody waits. */
static void aside(secgear *s, uint8_t kind, uint8_t slot, uint32_t gen, uint64_t off)
{
	sigset_t old;
	lock(&s->page->aux, &old);
	if (s->nasides == s->maxasides && s->maxasides < s->arena / LINE + SLOTS) {
		size_t n = s->maxasides ? 2 * s->maxasides : 16;
		struct aside *grown = realloc(s->asides, n * sizeof *grown);
		if (grown != NULL) {
			s->asides = grown;
			s->maxasides = n;
		}
	}
	if (s->nasides < s->maxasides)
		s->asides[s->nasides++] = (struct aside){kind, slot, gen, off};
	flush(s);
	unlock(&s->page->aux);
	unhush(&old);
}

/* ---- this side's arena: SLOTS chunks, and ranges after them ---- */

static int arena_alloc(secgear *s, size_t n, uint64_t *off)
{
	sigset_t old;
	int err = SECGEAR_E_MEMORY;
	uint64_t at = (uint64_t)s->chunk * SLOTS;

	n = n == 0 ? LINE : (n + LINE - 1) / LINE * LINE;
	lock(&s->page->arena, &old);
	if (s->nused == s->maxused) {
		size_t more = s->maxused ? 2 * s->maxused : 16;
		struct extent *grown = realloc(s->used, more * sizeof *grown);
		if (grown != NULL) {
			s->used = grown;
			s->maxused = more;
		}
	}
	if (s->nused < s->maxused) {
		size_t i;
		for (i = 0; i < s->nused && s->used[i].off - at < n; i++)
			at = s->used[i].off + s->used[i].n;
		if (i < s->nused || s->arena - at >= n) {
			memmove(s->used + i + 1, s->used + i, (s->nused - i) * sizeof *s->used);
			s->used[i] = (struct extent){at, n};
			s->nused++;
			*off = at;
			err = 0;
		}
	}
	unlock(&s->page->arena);
	unhush(&old);
	return err;
}

static bool arena_free(secgear *s, uint64_t off)
{
	sigset_t old;
	bool found = false;
	lock(&s->page->arena, &old);
	for (size_t i = 0; i < s->nused && !found; i++)
		if (s->used[i].off == off) {
			s->nused--;
			memmove(s->used + i, s->used + i + 1, (s->nused - i) * sizeof *s->used);
			found = true;
		}
	unlock(&s->page->arena);
	unhush(&old);
	return found;
}

static void something_freed(secgear *s)
{
	if (PEEK(&s->starved) == 0)
		return;
	__atomic_add_fetch(&s->freed, 1, __ATOMIC_SEQ_CST);
	futex_wake(&s->freed, INT_MAX, FUTEX_PRIVATE_FLAG);
}

/* ---- answers ---- */

static bool answered(secgear *s, int slot) { return LOAD(reply(s, slot)) == PEEK(&s->slot[slot].gen); }

/* read_answer copies the answer of a slot to private memory: at most INLINE_RESULTS
 * bytes to small, more to the slot's scratch or to *owned. Each byte of the lane is
 * read once, and every number in it is the enclave's. */
static int read_answer(secgear *s, int slot, uint32_t *status, unsigned char *small, const unsigned char **results, size_t *size, void **owned)
{
	unsigned char *line = (unsigned char *)reply(s, slot);
	uint32_t len = PEEK((uint32_t *)(void *)(line + 4));
	uint64_t word8 = PEEK((uint64_t *)(void *)(line + 8));

	*status = (uint32_t)word8;
	*owned = NULL;
	*results = small;
	*size = 0;
	if (word8 >> 32 == 0) {
		if (len > INLINE_RESULTS)
			return SECGEAR_E_PROTOCOL;
		memcpy(small, line + 16, len);
		*size = len;
		return 0;
	}
	uint64_t off = PEEK((uint64_t *)(void *)(line + 16));
	int err = 0;
	if (off > s->arena || len > s->arena - off) {
		err = SECGEAR_E_PROTOCOL;
	} else {
		unsigned char *to = s->scratch + (size_t)slot * SCRATCH;
		if (len > SCRATCH) {
			if (make_copy(s, len, owned))
				to = (unsigned char *)*owned + COPY;
			else
				err = SECGEAR_E_MEMORY;
		}
		if (err == 0) {
			memcpy(to, s->mem + HEADER + s->arena + off, len);
			*results = to;
			*size = len;
		}
	}
	STORE(word(s, OFF_ACK + (size_t)slot * 4), PEEK(&s->slot[slot].gen));
	return err;
}

/* release_slot gives a slot back whose call is over on both sides. */
static void release_slot(secgear *s, int slot)
{
	struct slot *t = &s->slot[slot];
	if (t->chunked) {
		t->chunked = false;
		arena_free(s, t->chunk);
	}
	STORE(&t->state, IDLE);
	__atomic_fetch_or(&s->free_slots, bit(slot), __ATOMIC_SEQ_CST);
	something_freed(s);
}

/* reap frees slots that were given up and have been answered since. */
static void reap(secgear *s)
{
	for (uint64_t set = PEEK(&s->abandoned); set != 0; set &= set - 1) {
		int slot = __builtin_ctzll(set);
		struct slot *t = &s->slot[slot];
		if (!answered(s, slot) || !cas(&t->state, ABANDONED, TAKEN))
			continue;
		STORE(word(s, OFF_ACK + (size_t)slot * 4), t->gen);
		__atomic_fetch_and(&s->abandoned, ~bit(slot), __ATOMIC_SEQ_CST);
		release_slot(s, slot);
	}
}

/* drain copies answers that nobody waits for yet out of the enclave's arena, which
 * is full. Signals are blocked. */
static void drain(secgear *s)
{
	for (uint64_t set = ~PEEK(&s->free_slots); set != 0; set &= set - 1) {
		int slot = __builtin_ctzll(set);
		struct slot *t = &s->slot[slot];
		if (!answered(s, slot) || !cas(&t->state, FLYING, DRAINING))
			continue;
		const unsigned char *results;
		t->err = read_answer(s, slot, &t->status, s->scratch + (size_t)slot * SCRATCH, &results, &t->size, &t->owned);
		t->results = (unsigned char *)(uintptr_t)results;
		STORE(&t->state, DRAINED);
	}
	reap(s);
}

/* ---- what comes from the enclave ---- */

static const char refusal[] = "this process serves no calls";

static bool incoming(secgear *s)
{
	uint32_t head = PEEK(&s->head);
	return LOAD(word(s, OFF_SUBMIT_OCALL + (size_t)(head % ENTRIES) * LINE)) == head / ENTRIES + 1;
}

/* refuse answers a call of the enclave's. */
static void refuse(secgear *s, unsigned slot, uint32_t gen)
{
	unsigned char *line = s->mem + OFF_REPLY_OCALL + (size_t)slot * LINE;
	uint32_t len = sizeof refusal - 1;
	uint64_t status = UNSUPPORTED;
	memcpy(line + 16, refusal, len);
	memcpy(line + 4, &len, sizeof len);
	memcpy(line + 8, &status, sizeof status);
	STORE((uint32_t *)(void *)line, gen);
}

/* serve takes what the enclave submitted. There are no buffers of ours with it and
 * no calls that it could cancel, so that its calls and drains are all there is. */
static void serve(secgear *s)
{
	sigset_t old;
	bool answers = false;

	hush(&old);
	if (try_lock(&s->page->poll)) {
		for (int n = 0; n < ENTRIES && incoming(s); n++) {
			uint32_t head = PEEK(&s->head);
			unsigned char *e = s->mem + OFF_SUBMIT_OCALL + (size_t)(head % ENTRIES) * LINE;
			uint32_t gen = PEEK((uint32_t *)(void *)(e + 4));
			uint64_t what = PEEK((uint64_t *)(void *)(e + 8));
			unsigned kind = (unsigned)(what >> 56), slot = (unsigned)(what >> 48) & 0xff;
			STORE(&s->head, head + 1);
			STORE(word(s, OFF_TAKEN_OCALL), head + 1);
			if (kind <= KIND_ARENA && slot < SLOTS && gen != 0) {
				refuse(s, slot, gen);
				answers = true;
			} else if (kind == KIND_DRAIN) {
				drain(s);
			}
		}
		unlock(&s->page->poll);
	}
	unhush(&old);
	if (answers)
		wake_enclave(s);
}

/* die ends the lane. */
static void die(secgear *s, int why)
{
	int alive = 0;
	__atomic_compare_exchange_n(&s->dead, &alive, why, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
	__atomic_add_fetch(&s->epoch, 1, __ATOMIC_SEQ_CST);
	futex_wake(&s->epoch, INT_MAX, FUTEX_PRIVATE_FLAG);
	something_freed(s);
}

static uint32_t get32(const unsigned char *b)
{
	uint32_t v;
	memcpy(&v, b, sizeof v);
	return v;
}

/* hear_frame deals with the head of a frame of the bell's: sdk/shm/bell.go. */
static int hear_frame(secgear *s)
{
	unsigned char *f = s->frame, answer[32] = {2, f[1]};
	uint32_t len = get32(f + 12), status = UNSUPPORTED;

	if (len > s->arena || f[0] < 1 || f[0] > 4 || (f[0] > 2 && len != 0))
		return SECGEAR_E_PROTOCOL;
	s->skip = len;
	s->nframe = 0;
	if (f[0] != 1)
		return 0;
	memcpy(answer + 4, f + 4, 4);
	memcpy(answer + 8, &status, 4);
	if (send(s->bell, answer, sizeof answer, MSG_DONTWAIT | MSG_NOSIGNAL) != sizeof answer)
		return SECGEAR_E_LOST; /* it does not listen, or half of it was sent */
	return 0;
}

/* hear reads what came over the bell, a bounded piece of it. */
static int hear(secgear *s)
{
	unsigned char b[4096];
	for (int i = 0; i < 8; i++) {
		size_t want = s->skip == 0 ? sizeof s->frame - s->nframe : s->skip < sizeof b ? (size_t)s->skip : sizeof b;
		ssize_t n = recv(s->bell, s->skip == 0 ? s->frame + s->nframe : b, want, MSG_DONTWAIT);
		if (n < 0)
			return errno == EAGAIN || errno == EINTR ? 0 : SECGEAR_E_LOST;
		if (n == 0)
			return SECGEAR_E_LOST;
		if (s->skip > 0) {
			s->skip -= (uint64_t)n;
			continue;
		}
		s->nframe += (size_t)n;
		if (s->nframe == sizeof s->frame) {
			int err = hear_frame(s);
			if (err != 0)
				return err;
		}
	}
	return 0;
}

/* check_bell notices the end of the enclave, or of its owner. */
static void check_bell(secgear *s)
{
	sigset_t old;
	unsigned char b;
	int saved = errno, err = 0;

	hush(&old);
	if (try_lock(&s->page->bell)) {
		if (attached(s))
			err = hear(s);
		if (err == 0 && attached(s)) {
			ssize_t n = recv(s->conn, &b, 1, MSG_DONTWAIT);
			if (n >= 0 || (errno != EAGAIN && errno != EINTR))
				err = SECGEAR_E_LOST;
		}
		unlock(&s->page->bell);
	}
	unhush(&old);
	errno = saved;
	if (err != 0)
		die(s, err);
}

/* ---- waiting ---- */

/* handover has one of the others that wait look after the lane. */
static void handover(secgear *s, int slot)
{
	if ((PEEK(&s->waiting) & ~bit(slot)) == 0 || PEEK(&s->lead) != 0)
		return;
	__atomic_add_fetch(&s->epoch, 1, __ATOMIC_SEQ_CST);
	futex_wake(&s->epoch, 1, FUTEX_PRIVATE_FLAG);
}

/* look wakes those that wait if any of them, slot's owner aside, is answered. */
static void look(secgear *s, int slot)
{
	for (uint64_t set = PEEK(&s->waiting) & ~bit(slot); set != 0; set &= set - 1)
		if (answered(s, __builtin_ctzll(set))) {
			__atomic_add_fetch(&s->epoch, 1, __ATOMIC_SEQ_CST);
			futex_wake(&s->epoch, INT_MAX, FUTEX_PRIVATE_FLAG);
			return;
		}
}

/* sleep_leading sleeps on the wake word, which stays PARKED until the enclave makes
 * it WOKEN: nobody here clears it, as others may count on it. */
static void sleep_leading(secgear *s, int slot, uint64_t ns)
{
	uint32_t *w = word(s, OFF_WAKE_HOST);
	__atomic_add_fetch(&s->beat, 1, __ATOMIC_SEQ_CST);
	__atomic_store_n(w, PARKED, __ATOMIC_SEQ_CST);
	FENCE();
	look(s, slot);
	if (!answered(s, slot) && !incoming(s) && attached(s)) {
		futex_wait(w, PARKED, ns, 0);
		if (!attached(s))
			return;
		int cpu = sched_getcpu();
		if (cpu >= 0)
			STORE(word(s, OFF_CPU_HOST), (uint32_t)cpu + 1);
	}
	look(s, slot);
}

/* sleep_following sleeps until a leader, or one that leaves, says that something has
 * happened. *patience counts sleeps during which the leader gave no sign. */
static void sleep_following(secgear *s, int slot, uint64_t ns, int *patience)
{
	uint32_t e = LOAD(&s->epoch), beat = LOAD(&s->beat), lead = __atomic_load_n(&s->lead, __ATOMIC_SEQ_CST);
	if (lead == 0 || answered(s, slot) || PEEK(&s->dead) != 0)
		return;
	if (futex_wait(&s->epoch, e, ns, FUTEX_PRIVATE_FLAG) || LOAD(&s->beat) != beat || LOAD(&s->lead) != lead)
		*patience = 0;
	else if (ns >= LONG_NAP && ++*patience > 3)
		cas(&s->lead, lead, 0); /* it has left by longjmp */
}

static void give_up(secgear_call *c);

/* cancelled is what is left to do of a thread that was cancelled. */
static void cancelled(void *call)
{
	secgear_call *c = call;
	secgear *s = c->s;
	int slot = c->slot;
	give_up(c);
	handover(s, slot);
}

/* doze sleeps until something may have happened, at most ns, and is where threads
 * are cancelled. */
static void doze(secgear *s, secgear_call *c, uint64_t ns, int *patience)
{
	int slot = c->slot;
	uint32_t me = __atomic_add_fetch(&s->ids, 1, __ATOMIC_RELAXED) | UINT32_C(1) << 31;

	__atomic_fetch_or(&s->waiting, bit(slot), __ATOMIC_SEQ_CST);
	if (cas(&s->lead, 0, me)) {
		sleep_leading(s, slot, ns);
		cas(&s->lead, me, 0);
	} else {
		sleep_following(s, slot, ns < LONG_NAP ? ns : LONG_NAP, patience);
	}
	__atomic_fetch_and(&s->waiting, ~bit(slot), __ATOMIC_SEQ_CST);
	pthread_cleanup_push(cancelled, c);
	pthread_testcancel();
	pthread_cleanup_pop(0);
}

/* budget is how long the next spin may last: sdk/shm/backoff.go. */
static uint64_t budget(secgear *s)
{
	uint32_t f = PEEK(&s->fails);
	if (f < PATIENCE)
		return s->spin;
	if (f % PROBE_EVERY == 0)
		return 2 * s->spin;
	return s->spin < SHORT_SPIN ? s->spin : SHORT_SPIN;
}

/* spin looks for the answer for n pauses. */
static bool spin(secgear *s, int slot, uint32_t gen, int n)
{
	uint32_t *own = reply(s, slot), head = PEEK(&s->head);
	uint32_t *in = word(s, OFF_SUBMIT_OCALL + (size_t)(head % ENTRIES) * LINE);
	for (; n > 0; n--) {
		__builtin_prefetch((char *)own + HALF);
		if (LOAD(own) == gen)
			return true;
		if (PEEK(in) == head / ENTRIES + 1)
			return false;
		pause_cpu();
	}
	return false;
}

struct stall {
	uint64_t since, backoff;
	uint32_t taken;
};

/* check_stall rouses the enclave's idle worker when it takes nothing of what was
 * submitted: sdk/shm/poll.go. */
static void check_stall(secgear *s, struct stall *w, uint64_t t)
{
	uint32_t taken = taken_by_enclave(s);
	if (taken == PEEK(&s->tail)) {
		w->since = 0;
	} else if (w->since == 0 || w->taken != taken) {
		w->taken = taken;
		w->since = t;
	} else if (t - w->since >= STALL + w->backoff) {
		if (t - w->since < MS && PEEK(word(s, OFF_WAKE_ENCLAVE)) == WOKEN)
			return; /* it is on its way */
		STORE(word(s, OFF_WAKE_ENCLAVE), WOKEN);
		ring_enclave(s);
		w->backoff = 2 * w->backoff > STALL ? 2 * w->backoff : STALL;
		if (w->backoff > LONG_NAP)
			w->backoff = LONG_NAP;
		w->since = t;
	}
}

/* ready tells whether a call's answer is there, or why it will never be. */
static bool ready(secgear *s, secgear_call *c, int *err)
{
	struct slot *t = &s->slot[c->slot];
	if (!attached(s) || s->lane != c->lane) {
		*err = SECGEAR_E_FORKED;
		return true;
	}
	uint32_t state = LOAD(&t->state);
	while (state == DRAINING) {
		pause_cpu();
		state = LOAD(&t->state);
	}
	if (state == DRAINED || LOAD(reply(s, c->slot)) == c->gen)
		return true;
	*err = PEEK(&s->dead);
	return *err != 0;
}

/* await waits for a call's answer. */
static int __attribute__((noinline)) await(secgear *s, secgear_call *c)
{
	struct stall w = {0, 0, 0};
	uint64_t begun = now(), nap = MS, t = begun;
	bool slept = false;
	int err = 0, patience = 0;

	while (!ready(s, c, &err)) {
		if (t >= c->deadline) {
			err = SECGEAR_E_TIMEOUT;
			break;
		}
		if (incoming(s)) {
			serve(s);
			t = now();
			continue;
		}
		if (PEEK(&s->abandoned) != 0)
			reap(s);
		if (PEEK(&s->waiting) != 0)
			look(s, c->slot);
		check_stall(s, &w, t);
		if (t - begun < budget(s)) {
			spin(s, c->slot, c->gen, MORE_PAUSES);
			t = now();
			continue;
		}
		__atomic_add_fetch(&s->fails, 1, __ATOMIC_RELAXED);
		slept = true;
		uint64_t most = c->deadline - t < nap ? c->deadline - t : nap;
		doze(s, c, w.since != 0 && most > MS ? MS : most, &patience);
		nap = 2 * nap < LONG_NAP ? 2 * nap : LONG_NAP;
		if (!ready(s, c, &err)) {
			check_bell(s);
			begun = now() - budget(s); /* no more spinning but for what is new */
		}
		t = now();
	}
	if (!slept && err == 0)
		STORE(&s->fails, 0);
	if (slept && attached(s))
		handover(s, c->slot);
	return err;
}

/* ---- attaching: sdk/internal/rendezvous ---- */

/* Children's handles are made safe at once: their parent's lane is replaced by
 * memory of their own, and its sockets are closed. */
enum { HANDLES = 64 };
static secgear *handles[HANDLES];
static pthread_once_t once = PTHREAD_ONCE_INIT;
static struct page *attaching; /* its lock keeps forks off half an attachment */
static sigset_t forking;

static void close_inherited(int *fd, ino_t ino)
{
	struct stat st;
	if (*fd >= 0 && fstat(*fd, &st) == 0 && S_ISSOCK(st.st_mode) && st.st_ino == ino)
		close(*fd);
	*fd = -1;
}

/* cut leaves nothing of the parent's lane in a child. The kernel has left a gap,
 * which somebody else may have filled. */
static void cut(secgear *s)
{
	if (s->mem != NULL && !s->cut) {
		void *p = mmap(s->mem, s->size, PROT_READ | PROT_WRITE,
			MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE | MAP_NORESERVE, -1, 0);
		s->cut = p == s->mem;
		if (p != MAP_FAILED && !s->cut)
			munmap(p, s->size);
	}
	close_inherited(&s->bell, s->bell_ino);
	close_inherited(&s->conn, s->conn_ino);
}

static void in_child(void)
{
	int saved = errno;
	for (int i = 0; i < HANDLES; i++) {
		secgear *s = LOAD(&handles[i]);
		if (s == NULL)
			continue;
		memset(s->page, 0, sizeof *s->page);
		cut(s);
	}
	errno = saved;
}

static void before_fork(void)
{
	sigset_t old;
	lock(&attaching->attaching, &old);
	forking = old;
}

static void after_fork(void)
{
	sigset_t old = forking;
	unlock(&attaching->attaching);
	unhush(&old);
}

static void child_after_fork(void)
{
	sigset_t old = forking;
	memset(attaching, 0, sizeof *attaching);
	in_child();
	unhush(&old);
}

static void *anonymous(size_t n)
{
	void *p = mmap(NULL, n, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	return p == MAP_FAILED ? NULL : p;
}

static void watch_forks(void)
{
	attaching = anonymous(4096);
	if (attaching == NULL)
		return;
	madvise(attaching, 4096, MADV_WIPEONFORK);
	pthread_atfork(before_fork, after_fork, child_after_fork);
}

/* run_dir writes where sockets are: Dir. */
static int run_dir(char *dir, size_t n)
{
	const char *d = secure_getenv("SECGEAR_RUN"), *rt = secure_getenv("XDG_RUNTIME_DIR"), *tmp = secure_getenv("TMPDIR");
	struct stat st;
	int k;
	if (d != NULL && *d != '\0')
		k = snprintf(dir, n, "%s", d);
	else if (rt != NULL && *rt == '/')
		k = snprintf(dir, n, "%s/secgear", rt);
	else if (geteuid() == 0)
		k = snprintf(dir, n, "/run/secgear");
	else
		k = snprintf(dir, n, "%s/secgear-%u", tmp != NULL && *tmp != '\0' ? tmp : "/tmp", (unsigned)geteuid());
	if (k < 0 || (size_t)k >= n)
		return SECGEAR_E_NOT_FOUND;
	if (lstat(dir, &st) != 0)
		return errno == ENOENT ? SECGEAR_E_NOT_FOUND : SECGEAR_E_SYSTEM;
	if (!S_ISDIR(st.st_mode) || (st.st_uid != geteuid() && st.st_uid != 0) || (st.st_mode & 022) != 0) {
		errno = EACCES; /* others could have put their sockets there */
		return SECGEAR_E_SYSTEM;
	}
	return 0;
}

/* connect_at connects to a socket in a folder, by a name that fits an address. */
static int connect_at(int dir, const char *file)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	struct timeval patience = {10, 0};
	int n = snprintf(a.sun_path, sizeof a.sun_path, "/proc/self/fd/%d/%s", dir, file);
	if (n < 0 || (size_t)n >= sizeof a.sun_path) {
		errno = ENAMETOOLONG;
		return -1;
	}
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -1;
	if (setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience) == 0 &&
	    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience) == 0 &&
	    connect(fd, (struct sockaddr *)&a, sizeof a) == 0)
		return fd;
	n = errno;
	close(fd);
	errno = n;
	return -1;
}

/* matches tells whether file is NAME-PID-N.sock, or name with or without .sock. */
static bool matches(const char *file, const char *name)
{
	size_t n = strlen(name), len = strlen(file);
	if (len < 6 || strcmp(file + len - 5, ".sock") != 0)
		return false;
	if (strcmp(file, name) == 0 || (len == n + 5 && strncmp(file, name, n) == 0))
		return true;
	if (strncmp(file, name, n) != 0 || file[n] != '-')
		return false;
	const char *p = file + n + 1;
	size_t digits = strspn(p, "0123456789");
	if (digits == 0 || p[digits] != '-')
		return false;
	p += digits + 1;
	digits = strspn(p, "0123456789");
	return digits > 0 && strcmp(p + digits, ".sock") == 0;
}

/* find_named connects to the one enclave of a name that runs. */
static int find_named(const char *name, int *fd)
{
	char path[PATH_MAX];
	int err = run_dir(path, sizeof path);
	if (err != 0)
		return err;
	DIR *d = opendir(path);
	if (d == NULL)
		return errno == ENOENT ? SECGEAR_E_NOT_FOUND : SECGEAR_E_SYSTEM;
	err = SECGEAR_E_NOT_FOUND;
	for (struct dirent *e; (e = readdir(d)) != NULL;) {
		if (!matches(e->d_name, name))
			continue;
		int got = connect_at(dirfd(d), e->d_name);
		if (got < 0) {
			if (errno != ECONNREFUSED && errno != ENOENT && err == SECGEAR_E_NOT_FOUND)
				err = SECGEAR_E_SYSTEM;
		} else if (err == 0) {
			close(got);
			close(*fd);
			err = SECGEAR_E_AMBIGUOUS;
			break;
		} else {
			*fd = got;
			err = 0;
		}
	}
	closedir(d);
	return err;
}

static int find(const char *name, int *fd)
{
	const char *slash = strrchr(name, '/');
	char path[PATH_MAX];
	if (slash == NULL)
		return find_named(name, fd);
	if ((size_t)(slash - name) + 2 > sizeof path)
		return SECGEAR_E_NOT_FOUND;
	memcpy(path, name, (size_t)(slash - name) + 1);
	path[slash - name + 1] = '\0';
	int dir = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (dir < 0)
		return errno == ENOENT ? SECGEAR_E_NOT_FOUND : SECGEAR_E_SYSTEM;
	*fd = connect_at(dir, slash + 1);
	int saved = errno;
	close(dir);
	errno = saved;
	if (*fd >= 0)
		return 0;
	return errno == ENOENT || errno == ECONNREFUSED ? SECGEAR_E_NOT_FOUND : SECGEAR_E_SYSTEM;
}

struct files {
	int fd[2], n;
};

static void close_files(struct files *f)
{
	while (f->n > 0)
		close(f->fd[--f->n]);
}

/* receive reads n bytes and keeps the descriptors that come with them. */
static int receive(int fd, void *b, size_t n, struct files *f)
{
	for (size_t got = 0; got < n;) {
		union {
			struct cmsghdr align;
			char b[CMSG_SPACE(2 * sizeof(int))];
		} control;
		struct iovec io = {(char *)b + got, n - got};
		struct msghdr m = {.msg_iov = &io, .msg_iovlen = 1, .msg_control = control.b, .msg_controllen = sizeof control.b};
		ssize_t k = recvmsg(fd, &m, MSG_CMSG_CLOEXEC);
		if (k < 0 && errno == EINTR)
			continue;
		if (k < 0)
			return errno == EAGAIN ? SECGEAR_E_TIMEOUT : SECGEAR_E_SYSTEM;
		int err = 0;
		for (struct cmsghdr *c = CMSG_FIRSTHDR(&m); c != NULL; c = CMSG_NXTHDR(&m, c)) {
			if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
				continue;
			for (size_t i = 0; i < (c->cmsg_len - CMSG_LEN(0)) / sizeof(int); i++) {
				int got_fd;
				memcpy(&got_fd, CMSG_DATA(c) + i * sizeof(int), sizeof got_fd);
				if (f->n < 2) {
					f->fd[f->n++] = got_fd;
				} else {
					close(got_fd);
					err = SECGEAR_E_PROTOCOL;
				}
			}
		}
		if (err != 0 || (m.msg_flags & MSG_CTRUNC) != 0)
			return SECGEAR_E_PROTOCOL;
		if (k == 0)
			return SECGEAR_E_LOST;
		got += (size_t)k;
	}
	return 0;
}

/* refused turns the owner's refusal into an error. */
static int refused(uint32_t code)
{
	switch (code) {
	case 1: return SECGEAR_E_DENIED;
	case 2: return SECGEAR_E_FULL;
	case 4: return SECGEAR_E_UNSUPPORTED;
	case 6: return SECGEAR_E_LOST;
	case 3: return SECGEAR_E_USE;
	}
	return SECGEAR_E_PROTOCOL;
}

/* ask asks the owner for a lane: sdk/internal/rendezvous/attach.go. */
static int ask(secgear *s, int fd, struct files *f, uint64_t *size)
{
	unsigned char request[5 + 16] = {2, 16, 0, 0, 0, 1}, head[5], body[80], waste[1024];
	uint64_t memory = s->opt.memory;
	memcpy(request + 13, &memory, sizeof memory);
	if (send(fd, request, sizeof request, MSG_NOSIGNAL) != sizeof request)
		return SECGEAR_E_SYSTEM;
	int err = receive(fd, head, sizeof head, f);
	if (err != 0)
		return err;
	uint32_t n = get32(head + 1);
	if (n > 1 << 20 || (head[0] == 0x81 && n < 4) || (head[0] == 0x80 && n < sizeof body) || (head[0] & 0xfe) != 0x80)
		return SECGEAR_E_PROTOCOL;
	uint32_t first = head[0] == 0x80 ? sizeof body : 4;
	err = receive(fd, body, first, f);
	for (n -= first; err == 0 && n > 0;) {
		uint32_t k = n < sizeof waste ? n : sizeof waste;
		err = receive(fd, waste, k, f);
		n -= k;
	}
	if (err != 0)
		return err;
	if (head[0] == 0x81)
		return refused(get32(body));
	if (get32(body) != 1 || f->n != 2)
		return SECGEAR_E_PROTOCOL;
	memcpy(size, body + 8, sizeof *size);
	memcpy(s->digest, body + 16, 32);
	memcpy(s->signer, body + 48, 32);
	return 0;
}

/* adopt makes the lane of its descriptors, which may be anything. Memory that could
 * shrink would fault. */
static int adopt(secgear *s, struct files *f, uint64_t size)
{
	struct stat st;
	struct statfs fs;
	int type = 0, domain = 0;
	socklen_t n = sizeof type;
	int seals = fcntl(f->fd[0], F_GET_SEALS);
	const uint64_t most = HEADER + 2 * (((UINT64_C(1) << 31) - 1) & ~(uint64_t)8191);

	if (seals < 0 || (seals & (F_SEAL_SHRINK | F_SEAL_GROW)) != (F_SEAL_SHRINK | F_SEAL_GROW))
		return SECGEAR_E_PROTOCOL;
	if (fstatfs(f->fd[0], &fs) != 0 || fs.f_type != TMPFS || fstat(f->fd[0], &st) != 0 || st.st_size < 0 || (uint64_t)st.st_size < size)
		return SECGEAR_E_PROTOCOL;
	if (size < HEADER + 2 * 65536 || size > most || size > SIZE_MAX)
		return SECGEAR_E_PROTOCOL;
	if (getsockopt(f->fd[1], SOL_SOCKET, SO_TYPE, &type, &n) != 0 || type != SOCK_STREAM ||
	    getsockopt(f->fd[1], SOL_SOCKET, SO_DOMAIN, &domain, &n) != 0 || domain != AF_UNIX || fstat(f->fd[1], &st) != 0)
		return SECGEAR_E_PROTOCOL;
	void *mem = mmap(NULL, (size_t)size, PROT_READ | PROT_WRITE, MAP_SHARED, f->fd[0], 0);
	if (mem == MAP_FAILED)
		return SECGEAR_E_SYSTEM;
	if (madvise(mem, (size_t)size, MADV_DONTFORK) != 0) {
		munmap(mem, (size_t)size);
		return SECGEAR_E_SYSTEM;
	}
	s->mem = mem;
	s->size = (size_t)size;
	s->arena = (s->size - HEADER) / 2 & ~(size_t)(LINE - 1);
	s->chunk = (s->arena / 2 / SLOTS) & ~(size_t)(LINE - 1);
	if (s->chunk > CHUNK)
		s->chunk = CHUNK;
	s->bell = f->fd[1];
	s->bell_ino = st.st_ino;
	close(f->fd[0]);
	f->n = 0;
	return 0;
}

/* begin_lane makes everything about the lane new. */
static void begin_lane(secgear *s)
{
	for (int i = 0; i < SLOTS; i++) {
		if (s->slot[i].state == DRAINED)
			free(s->slot[i].owned);
		memset(&s->slot[i], 0, sizeof s->slot[i]);
	}
	s->dead = 0;
	s->tail = s->head = s->fails = 0;
	for (uint32_t i = 0; i < ENTRIES; i++)
		s->claims[i] = (uint64_t)(i - ENTRIES) << 8 | PUBLISHED;
	s->copied = 0;
	s->lead = s->starved = 0;
	s->waiting = s->abandoned = 0;
	s->nused = s->nasides = s->nframe = 0;
	s->nunread = 0;
	s->skip = 0;
	STORE(&s->free_slots, ~UINT64_C(0));
}

/* attach_lane gives this process a lane. The handle's lock is held, signals are
 * blocked. */
static int attach_lane(secgear *s)
{
	struct files f = {{-1, -1}, 0};
	struct stat st;
	uint64_t size = 0;
	int fd = -1, err = find(s->name, &fd);

	if (err != 0)
		return err;
	err = ask(s, fd, &f, &size);
	if (err == 0)
		err = adopt(s, &f, size);
	if (err == 0 && fstat(fd, &st) != 0)
		err = SECGEAR_E_SYSTEM;
	if (err != 0) {
		int saved = errno;
		close_files(&f);
		close(fd);
		errno = saved;
		return err;
	}
	s->conn = fd;
	s->conn_ino = st.st_ino;
	s->pid = getpid();
	begin_lane(s);
	s->lane++;
	STORE(&s->page->alive, 1);
	return 0;
}

/* unmap forgets the lane's memory. A child's is the parent's if it is not cut. */
static void unmap(secgear *s)
{
	unsigned char *mem = s->mem;
	bool ours = attached(s) || s->cut;
	s->mem = NULL; /* first: a fork must not map over what is there next */
	FENCE();
	if (mem != NULL && ours)
		munmap(mem, s->size);
	s->cut = false;
}

/* reattach gives a child its own lane. */
static int reattach(secgear *s)
{
	sigset_t old;
	int err = 0;

	int state;
	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &state);
	lock(&attaching->attaching, &old);
	if (!attached(s)) {
		if (s->lane > 0)
			cut(s); /* again: nobody need have noticed the fork */
		unmap(s);
		err = attach_lane(s);
	}
	unlock(&attaching->attaching);
	unhush(&old);
	pthread_setcancelstate(state, NULL);
	return err;
}

static void forget(secgear *s)
{
	for (int i = 0; i < HANDLES; i++) {
		secgear *have = s;
		__atomic_compare_exchange_n(&handles[i], &have, NULL, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
	}
	if (s->page != NULL)
		munmap(s->page, 4096);
	if (s->scratch != NULL)
		munmap(s->scratch, SLOTS * SCRATCH);
	free(s->asides);
	free(s->used);
	free(s->name);
	free(s);
}

static void remember(secgear *s)
{
	for (int i = 0; i < HANDLES; i++) {
		secgear *none = NULL;
		if (__atomic_compare_exchange_n(&handles[i], &none, s, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST))
			return;
	}
}

int secgear_attach_with(const char *name, const secgear_options *o, secgear **out)
{
	if (name == NULL || out == NULL)
		return SECGEAR_E_USE;
	*out = NULL;
	pthread_once(&once, watch_forks);
	if (attaching == NULL)
		return SECGEAR_E_MEMORY;
	sigset_t old;
	hush(&old);
	int err = SECGEAR_E_MEMORY;
	secgear *s = aligned_alloc(LINE, (sizeof *s + LINE - 1) / LINE * LINE);
	if (s != NULL) {
		memset(s, 0, sizeof *s);
		s->bell = s->conn = -1;
		s->page = anonymous(4096);
		s->scratch = anonymous(SLOTS * SCRATCH);
		/* A name that is no absolute path must mean the same after chdir. */
		s->name = name[0] != '/' && strchr(name, '/') != NULL ? realpath(name, NULL) : strdup(name);
		if (s->name == NULL && errno == ENOENT)
			err = SECGEAR_E_NOT_FOUND;
		if (s->page != NULL && s->scratch != NULL && s->name != NULL) {
			if (o != NULL)
				s->opt = *o;
			s->spin = s->opt.spin_us < 0 ? 0 : s->opt.spin_us == 0 ? 50 * US : (uint64_t)s->opt.spin_us * US;
			if (s->spin > MS)
				s->spin = MS;
			if (sysconf(_SC_NPROCESSORS_ONLN) == 1 && s->spin > SHORT_SPIN)
				s->spin = SHORT_SPIN;
			s->wipes = madvise(s->page, 4096, MADV_WIPEONFORK) == 0;
			remember(s);
			err = reattach(s);
		}
	}
	if (err != 0 && s != NULL) {
		int saved = errno;
		forget(s);
		errno = saved;
	} else if (err == 0) {
		*out = s;
	}
	unhush(&old);
	return err;
}

int secgear_attach(const char *name, secgear **s) { return secgear_attach_with(name, NULL, s); }

void secgear_detach(secgear *s)
{
	sigset_t old;
	if (s == NULL)
		return;
	hush(&old);
	int saved = errno;
	if (!attached(s))
		cut(s);
	if (s->bell >= 0)
		close(s->bell);
	if (s->conn >= 0)
		close(s->conn);
	s->bell = s->conn = -1;
	unmap(s);
	for (int i = 0; i < SLOTS; i++)
		if (s->slot[i].state == DRAINED)
			free(s->slot[i].owned);
	forget(s);
	errno = saved;
	unhush(&old);
}

int secgear_identity(secgear *s, unsigned char digest[32], unsigned char signer[32])
{
	if (s == NULL)
		return SECGEAR_E_USE;
	int err = attached(s) ? 0 : reattach(s);
	if (err == 0 && digest != NULL)
		memcpy(digest, s->digest, 32);
	if (err == 0 && signer != NULL)
		memcpy(signer, s->signer, 32);
	return err;
}

/* ---- calls ---- */

/* take_slot returns the lowest free slot, or -1. */
static int take_slot(secgear *s)
{
	uint64_t v = PEEK(&s->free_slots);
	while (v != 0)
		if (__atomic_compare_exchange_n(&s->free_slots, &v, v & (v - 1), true, __ATOMIC_SEQ_CST, __ATOMIC_RELAXED))
			return __builtin_ctzll(v);
	return -1;
}

static void count_starved(void *s) { __atomic_sub_fetch(&((secgear *)s)->starved, 1, __ATOMIC_SEQ_CST); }

/* starve waits a little for something to become free, and may be cancelled. */
static int starve(secgear *s, uint64_t deadline)
{
	__atomic_add_fetch(&s->starved, 1, __ATOMIC_SEQ_CST);
	pthread_cleanup_push(count_starved, s);
	uint32_t v = LOAD(&s->freed);
	if (incoming(s))
		serve(s);
	reap(s);
	if (PEEK(&s->free_slots) == 0 || v == LOAD(&s->freed))
		futex_wait(&s->freed, v, MS, FUTEX_PRIVATE_FLAG);
	pthread_testcancel();
	pthread_cleanup_pop(1);
	check_bell(s);
	if (!attached(s))
		return SECGEAR_E_FORKED;
	if (PEEK(&s->dead) != 0)
		return PEEK(&s->dead);
	return now() >= deadline ? SECGEAR_E_TIMEOUT : 0;
}

int secgear_set_timeout(secgear_call *c, uint32_t us)
{
	if (c->state != BEGUN)
		return SECGEAR_E_USE;
	c->timeout = us;
	c->deadline = us == 0 ? NEVER : now() + us * US;
	return 0;
}

/* room finds a place for the arguments. */
static int room(secgear *s, secgear_call *c, unsigned char **args)
{
	struct slot *t = &s->slot[c->slot];
	int err;

	c->chunked = c->size > INLINE_ARGS;
	c->chunk = (uint64_t)c->slot * s->chunk;
	*args = c->small;
	if (!c->chunked)
		return 0;
	while (c->size > s->chunk && (err = arena_alloc(s, c->size, &c->chunk)) != 0)
		if ((err = starve(s, c->deadline)) != 0)
			return err;
	if (c->size > s->chunk) {
		t->chunk = c->chunk;
		t->chunked = true;
	}
	*args = s->mem + HEADER + c->chunk;
	return 0;
}

static void end_call(void *c) { secgear_end(c); }

int secgear_begin(secgear *s, secgear_call *c, uint32_t contract, uint16_t method, size_t size, unsigned char **args)
{
	if (c == NULL)
		return SECGEAR_E_USE;
	c->state = OVER;
	if (s == NULL || args == NULL)
		return SECGEAR_E_USE;
	int err = attached(s) ? 0 : reattach(s);
	if (err != 0)
		return err;
	if ((err = PEEK(&s->dead)) != 0)
		return err;
	if (size > INLINE_ARGS && size > s->chunk && size > s->arena - SLOTS * s->chunk)
		return SECGEAR_E_TOO_LARGE;
	c->s = s;
	c->lane = s->lane;
	c->contract = contract;
	c->method = method;
	c->size = size;
	c->owned = NULL;
	c->open = 0;
	c->timeout = s->opt.timeout_us;
	c->deadline = c->timeout == 0 ? NEVER : now() + c->timeout * US;
	int slot = take_slot(s);
	while (slot < 0) {
		if ((err = starve(s, c->deadline)) != 0)
			return err;
		slot = take_slot(s);
	}
	c->slot = (int16_t)slot;
	c->state = BEGUN;
	c->gen = s->slot[slot].gen + 1;
	if (c->gen == 0)
		c->gen = 1; /* zero is a line never answered */
	if (size <= INLINE_ARGS) {
		*args = c->small;
		c->chunked = 0;
		return 0;
	}
	pthread_cleanup_push(end_call, c);
	err = room(s, c, args);
	pthread_cleanup_pop(0);
	if (err != 0)
		secgear_end(c);
	return err;
}

/* mine tells whether c is a call of this process's lane, in a state. */
static int mine(secgear_call *c, int state)
{
	if (c == NULL || c->state != state)
		return SECGEAR_E_USE;
	return attached(c->s) && c->lane == c->s->lane ? 0 : SECGEAR_E_FORKED;
}

/* submit fills a call's position. */
static void submit(secgear *s, const secgear_call *c, uint32_t pos)
{
	struct submission m = {
		.gen = c->gen, .contract = c->contract, .len = (uint32_t)c->size, .timeout = c->timeout, .method = c->method,
		.slot = (uint8_t)c->slot, .kind = c->chunked ? KIND_ARENA : KIND_INLINE, .off = c->chunk,
	};
	fill(s, pos, &m, c->small);
}

int secgear_send(secgear_call *c)
{
	int err = mine(c, BEGUN);
	if (err != 0)
		return err;
	secgear *s = c->s;
	if ((err = PEEK(&s->dead)) != 0)
		return err;
	if (c->deadline != NEVER) {
		uint64_t t = now();
		if (t >= c->deadline)
			return SECGEAR_E_TIMEOUT;
		c->timeout = (uint32_t)((c->deadline - t) / US);
		if (c->timeout == 0)
			c->timeout = 1;
	}
	uint32_t pos;
	STORE(&s->slot[c->slot].gen, c->gen);
	STORE(&s->slot[c->slot].state, FLYING);
	STORE(&c->open, 1);
	STORE(&c->state, SENDING);
	if (!claim(s, (uint8_t)c->slot, &pos)) {
		STORE(&c->state, BEGUN);
		STORE(&c->open, 0);
		die(s, SECGEAR_E_PROTOCOL);
		return SECGEAR_E_PROTOCOL;
	}
	submit(s, c, pos);
	STORE(&c->state, SENT);
	filled(s, pos);
	STORE(&c->open, 0);
	wake_enclave(s);
	return 0;
}

/* mend finishes the sending of a call that was left in the middle of it by longjmp,
 * or makes it one that was not sent. */
static void mend(secgear_call *c)
{
	secgear *s = c->s;
	c->open = 0;
	if (mine(c, c->state) != 0)
		return;
	for (uint32_t i = 0; i < ENTRIES; i++) {
		uint64_t v = LOAD(&s->claims[i]);
		if ((v & 0xff) != (uint64_t)c->slot)
			continue;
		submit(s, c, (uint32_t)(v >> 8));
		c->state = SENT;
		filled(s, (uint32_t)(v >> 8));
		wake_enclave(s);
		return;
	}
	if (c->state == SENDING)
		c->state = BEGUN;
}

/* give_up leaves a call that was sent to whoever notices its answer. */
static void give_up(secgear_call *c)
{
	secgear *s = c->s;
	struct slot *t = &s->slot[c->slot];

	if (c->state != SENT || !attached(s) || c->lane != s->lane)
		return;
	c->state = OVER;
	__atomic_fetch_and(&s->waiting, ~bit(c->slot), __ATOMIC_SEQ_CST);
	/* First the set, then the state: who finds the state ABANDONED clears both. */
	__atomic_fetch_or(&s->abandoned, bit(c->slot), __ATOMIC_SEQ_CST);
	for (;;) {
		uint32_t state = LOAD(&t->state);
		if (state == FLYING && cas(&t->state, FLYING, ABANDONED)) {
			aside(s, KIND_CANCEL, (uint8_t)c->slot, c->gen, 0);
			return;
		}
		if (state == DRAINED && cas(&t->state, DRAINED, TAKEN)) {
			__atomic_fetch_and(&s->abandoned, ~bit(c->slot), __ATOMIC_SEQ_CST);
			drop_copy(s, &t->owned, true);
			release_slot(s, c->slot);
			return;
		}
		if (state == TAKEN) { /* its owner left by longjmp as the answer was being read */
			__atomic_fetch_and(&s->abandoned, ~bit(c->slot), __ATOMIC_SEQ_CST);
			release_slot(s, c->slot);
			return;
		}
		pause_cpu();
	}
}

int secgear_wait(secgear_call *c, const unsigned char **results, size_t *size)
{
	static const unsigned char none[1];
	*results = none;
	*size = 0;
	if (c != NULL && c->state != OVER && c->open)
		mend(c);
	int err = mine(c, SENT);
	if (err != 0)
		return err;
	secgear *s = c->s;
	struct slot *t = &s->slot[c->slot];
	if (!spin(s, c->slot, c->gen, s->spin > 0 ? FIRST_PAUSES : 1)) {
		if ((err = await(s, c)) != 0) {
			if (err != SECGEAR_E_FORKED)
				give_up(c);
			return err;
		}
	} else if (PEEK(&s->fails) != 0) {
		STORE(&s->fails, 0);
	}
	uint32_t status;
	while (!cas(&t->state, FLYING, TAKEN))
		if (LOAD(&t->state) == DRAINED)
			break;
	if (LOAD(&t->state) == DRAINED) {
		sigset_t old;
		hush(&old);
		err = t->err;
		status = t->status;
		*results = t->results;
		*size = t->size;
		c->owned = t->owned;
		STORE(&t->state, TAKEN);
		unhush(&old);
	} else {
		err = read_answer(s, c->slot, &status, c->small, results, size, &c->owned);
	}
	c->state = ANSWERED;
	if (err == 0 && status > INT_MAX)
		err = SECGEAR_E_PROTOCOL;
	if (!attached(s))
		err = SECGEAR_E_FORKED; /* what was read was not the lane any more */
	if (err != 0) {
		*results = none;
		*size = 0;
		return err;
	}
	return (int)status;
}

int secgear_run(secgear_call *c, const unsigned char **results, size_t *size)
{
	int err = secgear_send(c);
	if (err != 0) {
		*results = NULL;
		*size = 0;
		return err;
	}
	return secgear_wait(c, results, size);
}

void secgear_end(secgear_call *c)
{
	if (c == NULL || c->state == OVER)
		return;
	secgear *s = c->s;
	bool ours = attached(s) && c->lane == s->lane;
	if (c->open)
		mend(c);
	switch (c->state) {
	case SENT:
		give_up(c);
		break;
	case ANSWERED:
	case BEGUN:
		c->state = OVER;
		if (ours)
			release_slot(s, c->slot);
		break;
	}
	c->state = OVER;
	drop_copy(s, &c->owned, ours);
}

/* ---- buffers ---- */

int secgear_buffer(secgear *s, size_t size, secgear_ref *ref, unsigned char **mem)
{
	if (s == NULL || ref == NULL || mem == NULL || size == 0)
		return SECGEAR_E_USE;
	int err = attached(s) ? 0 : reattach(s);
	if (err != 0)
		return err;
	if (size > s->arena - SLOTS * s->chunk)
		return SECGEAR_E_TOO_LARGE;
	uint64_t off;
	if ((err = arena_alloc(s, size, &off)) != 0)
		return err;
	*ref = (secgear_ref){0, (uint32_t)size, off};
	*mem = s->mem + HEADER + off;
	return 0;
}

int secgear_view(secgear *s, const secgear_ref *ref, unsigned char **mem)
{
	if (s == NULL || ref == NULL || mem == NULL)
		return SECGEAR_E_USE;
	if (!attached(s))
		return SECGEAR_E_FORKED;
	if (ref->arena > 1 || ref->off > s->arena || ref->len > s->arena - ref->off)
		return SECGEAR_E_PROTOCOL;
	*mem = s->mem + HEADER + ref->arena * s->arena + ref->off;
	return 0;
}

int secgear_free(secgear *s, const secgear_ref *ref)
{
	if (s == NULL || ref == NULL || ref->arena > 1)
		return SECGEAR_E_USE;
	if (!attached(s))
		return SECGEAR_E_FORKED;
	if (ref->arena == 1) {
		aside(s, KIND_FREE, 0, 0, ref->off);
		return 0;
	}
	if (!arena_free(s, ref->off))
		return SECGEAR_E_USE;
	something_freed(s);
	return 0;
}

const char *secgear_strerror(int error)
{
	static const char *const ours[] = {
		"success",
		"the enclave or its owner has ended",
		"the call took longer than it may",
		"larger than the lane's arena",
		"no memory left",
		"the other side broke the protocol",
		"the enclave's manifest does not let this process attach",
		"as many processes are attached as may be",
		"no such enclave is running",
		"several enclaves of this name are running",
		"the enclave's TEE has no lanes for other processes",
		"the call is that of the parent process",
		"a system call failed",
		"the function may not be called so",
	};
	static const char *const framework[] = { /* sdk/call/errors.go */
		"the call was cancelled",
		"the call's time is over",
		"unsupported operation",
		"malformed message",
		"contract not served",
		"no such method",
		"handler panicked",
		"larger than the lane's arena",
		"no memory left for the call",
		"the other side broke the lane's protocol",
		"too many calls are nested too deeply",
		"buffer used after its release",
		"buffer is lent to a call in flight",
	};
	if (error <= 0 && error > -(int)(sizeof ours / sizeof *ours))
		return ours[-error];
	if (error >= 0x8000 && error - 0x8000 < (int)(sizeof framework / sizeof *framework))
		return framework[error - 0x8000];
	return error > 0 ? "the method failed" : "unknown error";
}
