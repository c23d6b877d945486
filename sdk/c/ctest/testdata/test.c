/* SPDX-License-Identifier: MulanPSL-2.0 */
/* What the tests of the C library run: test MODE ENCLAVE [NUMBER]. It prints what
 * went wrong and exits with status 1, or prints "ok". */
#define _GNU_SOURCE
#include "secgear.h"

#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { CONTRACT = 0xc0ffee };
enum { ECHO, BLOCK, SLEEP, OUT, FAIL, LARGE, INVERT, GIVE, DIE, OUT_SWITCHED };

#define CHECK(cond, ...)                                        \
	do {                                                    \
		if (!(cond)) {                                  \
			printf("line %d: %s: ", __LINE__, #cond); \
			printf(__VA_ARGS__);                    \
			printf("\n");                           \
			fflush(stdout);                         \
			_exit(1);                               \
		}                                               \
	} while (0)

static const char *enclave;

static secgear *attach(void)
{
	secgear *s;
	int err = secgear_attach(enclave, &s);
	CHECK(err == 0, "%s: errno %d", secgear_strerror(err), errno);
	return s;
}

/* begin begins a call with n bytes, pattern i. */
static int begin(secgear *s, secgear_call *c, uint16_t method, uint32_t n, unsigned i)
{
	unsigned char *args;
	int err = secgear_begin(s, c, CONTRACT, method, 4 + (size_t)n, &args);
	if (err != 0)
		return err;
	memcpy(args, &n, 4);
	for (uint32_t k = 0; k < n; k++)
		args[4 + k] = (unsigned char)(i + k * 7);
	return 0;
}

/* finish compares an answer with what begin sent. */
static int finish(secgear_call *c, int r, const unsigned char *results, size_t size, uint32_t n, unsigned i)
{
	uint32_t got = 0;
	if (r == 0) {
		CHECK(size == 4 + (size_t)n, "%zu bytes for %u", size, n);
		memcpy(&got, results, 4);
		CHECK(got == n, "%u for %u", got, n);
		for (uint32_t k = 0; k < n; k++)
			CHECK(results[4 + k] == (unsigned char)(i + k * 7), "byte %u of %u differs", k, n);
	}
	secgear_end(c);
	return r;
}

static int echo(secgear *s, uint32_t n, unsigned i)
{
	secgear_call c;
	const unsigned char *results;
	size_t size;
	int r = begin(s, &c, ECHO, n, i);
	if (r != 0)
		return r;
	r = secgear_run(&c, &results, &size);
	return finish(&c, r, results, size, n, i);
}

static void must_echo(secgear *s, uint32_t n, unsigned i)
{
	int r = echo(s, n, i);
	CHECK(r == 0, "%d: %s", r, secgear_strerror(r));
}

/* all_free checks that no slot is lost: as many calls as there are fit. */
static void all_free(secgear *s)
{
	static secgear_call c[SECGEAR_SLOTS];
	for (int i = 0; i < SECGEAR_SLOTS; i++) {
		int r = begin(s, &c[i], ECHO, 1, 1);
		CHECK(r == 0, "slot %d: %s", i, secgear_strerror(r));
		CHECK(secgear_set_timeout(&c[i], 10000000) == 0, "timeout");
	}
	for (int i = 0; i < SECGEAR_SLOTS; i++)
		secgear_end(&c[i]);
}

static void calls(void)
{
	secgear *s = attach();
	secgear_call c, many[SECGEAR_SLOTS];
	const unsigned char *results;
	unsigned char digest[32], zero[32] = {0}, *args, *mem;
	size_t size;
	int r;
	static const uint32_t sizes[] = {0, 1, 12, 28, 29, 92, 93, 100, 108, 109, 4000, 4092, 4093, 16000, 16380, 16381, 100000, 3000000};

	CHECK(secgear_identity(s, digest, NULL) == 0 && memcmp(digest, zero, 32) != 0, "no digest");
	for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
		must_echo(s, sizes[i], (unsigned)i);

	/* Several at a time, waited for in another order. */
	for (unsigned round = 0; round < 20; round++) {
		for (unsigned i = 0; i < SECGEAR_SLOTS; i++) {
			CHECK((r = begin(s, &many[i], ECHO, i * 60, i)) == 0, "%d", r);
			CHECK((r = secgear_send(&many[i])) == 0, "%d", r);
		}
		for (unsigned i = SECGEAR_SLOTS; i-- > 0;) {
			r = secgear_wait(&many[i], &results, &size);
			CHECK(finish(&many[i], r, results, size, i * 60, i) == 0, "%s", secgear_strerror(r));
		}
	}

	/* What the method says when it fails; our refusal of its calls. */
	CHECK(begin(s, &c, FAIL, 1, 'x') == 0, "begin");
	r = secgear_run(&c, &results, &size);
	CHECK(r > 0 && size == 12 && memcmp(results, "it failed: x", 12) == 0, "%d %.*s", r, (int)size, (const char *)results);
	secgear_end(&c);
	for (uint16_t m = OUT; m <= OUT_SWITCHED; m += OUT_SWITCHED - OUT) {
		CHECK(begin(s, &c, m, 5, 'x') == 0, "begin");
		r = secgear_run(&c, &results, &size);
		CHECK(r == 0x8002, "a call of the enclave's: %d %.*s", r, (int)size, (const char *)results);
		secgear_end(&c);
	}

	/* Results larger than arguments, many at a time, waited for late. */
	for (unsigned i = 0; i < 16; i++) {
		CHECK((r = begin(s, &many[i], LARGE, 2000, i)) == 0, "%d", r);
		CHECK((r = secgear_send(&many[i])) == 0, "%d", r);
	}
	for (unsigned i = 0; i < 16; i++) {
		r = secgear_wait(&many[i], &results, &size);
		CHECK(r == 0 && size == 4 + 2000 * 1024, "%s, %zu bytes", secgear_strerror(r), size);
		CHECK(results[4] == i && results[4 + 2000 * 1024 - 1] == (unsigned char)(i + ((2000 * 1024 - 1) % 2000) * 7), "results differ");
		secgear_end(&many[i]);
	}

	/* Time outs; what ends twice. */
	CHECK(begin(s, &c, BLOCK, 0, 0) == 0 && secgear_set_timeout(&c, 20000) == 0, "begin");
	r = secgear_run(&c, &results, &size);
	CHECK(r == SECGEAR_E_TIMEOUT || r == 0x8001, "%d", r);
	secgear_end(&c);
	secgear_end(&c);
	CHECK(begin(s, &c, BLOCK, 0, 0) == 0 && secgear_send(&c) == 0, "begin");
	secgear_end(&c);
	CHECK(secgear_begin(s, &c, CONTRACT, ECHO, (size_t)1 << 31, &args) == SECGEAR_E_TOO_LARGE, "not too large");
	CHECK(secgear_wait(&c, &results, &size) == SECGEAR_E_USE, "a call that is none was waited for");
	all_free(s);

	/* Buffers. */
	secgear_ref ref;
	CHECK(secgear_buffer(s, 100000, &ref, &mem) == 0, "buffer");
	memset(mem, 0x5a, 100000);
	CHECK(secgear_begin(s, &c, CONTRACT, INVERT, sizeof ref, &args) == 0, "begin");
	memcpy(args, &ref, sizeof ref);
	r = secgear_run(&c, &results, &size);
	CHECK(r == 0 && mem[0] == 0xa5 && mem[99999] == 0xa5, "%d %.*s", r, (int)size, (const char *)results);
	secgear_end(&c);
	CHECK(secgear_free(s, &ref) == 0 && secgear_free(s, &ref) == SECGEAR_E_USE, "free");
	for (int i = 0; i < 300; i++) { /* more than fit the arena, were they not freed */
		CHECK(begin(s, &c, GIVE, 1000000, (unsigned)i) == 0, "begin");
		r = secgear_run(&c, &results, &size);
		CHECK(r == 0 && size == sizeof ref, "%d %.*s", r, (int)size, (const char *)results);
		memcpy(&ref, results, sizeof ref);
		CHECK(secgear_view(s, &ref, &mem) == 0 && ref.len == 1000000 && mem[1] == (unsigned char)(i + 7), "view");
		secgear_end(&c);
		CHECK(secgear_free(s, &ref) == 0, "free");
	}
	secgear_detach(s);
}

/* ---- threads ---- */

static secgear *shared;
static volatile int stop;

static void *call_much(void *arg)
{
	unsigned n = 0, i = (unsigned)(uintptr_t)arg;
	while (!__atomic_load_n(&stop, __ATOMIC_RELAXED))
		must_echo(shared, n++ % 5 == 0 ? 5000 : 60, i);
	return (void *)(uintptr_t)n;
}

static void *call_long(void *arg)
{
	unsigned n = 0, i = (unsigned)(uintptr_t)arg;
	secgear_call c;
	const unsigned char *results;
	size_t size;
	while (!__atomic_load_n(&stop, __ATOMIC_RELAXED)) {
		CHECK(begin(shared, &c, SLEEP, 10, i) == 0, "begin");
		int r = secgear_run(&c, &results, &size);
		CHECK(finish(&c, r, results, size, 10, i) == 0, "%s", secgear_strerror(r));
		n++;
	}
	return (void *)(uintptr_t)n;
}

static void ms(unsigned n)
{
	struct timespec t = {n / 1000, (long)(n % 1000) * 1000000};
	while (nanosleep(&t, &t) != 0)
		;
}

static void threads(unsigned n)
{
	pthread_t t[16];
	unsigned long total = 0;
	shared = attach();
	for (unsigned i = 0; i < 16; i++)
		CHECK(pthread_create(&t[i], NULL, i % 2 ? call_long : call_much, (void *)(uintptr_t)i) == 0, "thread");
	ms(n);
	__atomic_store_n(&stop, 1, __ATOMIC_RELAXED);
	for (unsigned i = 0; i < 16; i++) {
		void *made;
		pthread_join(t[i], &made);
		CHECK(made != NULL, "thread %u made no call", i);
		total += (unsigned long)(uintptr_t)made;
	}
	all_free(shared);
	secgear_detach(shared);
	printf("%lu calls\n", total);
}

static void end(void *c) { secgear_end(c); }

static void *block(void *arg)
{
	secgear_call c;
	const unsigned char *results;
	size_t size;
	(void)arg;
	for (;;) {
		CHECK(begin(shared, &c, (uintptr_t)arg % 2 ? BLOCK : SLEEP, 200, 1) == 0, "begin");
		pthread_cleanup_push(end, &c);
		secgear_run(&c, &results, &size);
		pthread_testcancel();
		pthread_cleanup_pop(1);
	}
	return NULL;
}

/* cancel: threads are cancelled in calls while others call. */
static void cancel(unsigned rounds)
{
	pthread_t steady[2], t[8];
	shared = attach();
	pthread_create(&steady[0], NULL, call_much, NULL);
	pthread_create(&steady[1], NULL, call_long, NULL);
	for (unsigned round = 0; round < rounds; round++) {
		for (unsigned i = 0; i < 8; i++)
			CHECK(pthread_create(&t[i], NULL, block, (void *)(uintptr_t)i) == 0, "thread");
		ms(round % 7);
		for (unsigned i = 0; i < 8; i++)
			pthread_cancel(t[i]);
		for (unsigned i = 0; i < 8; i++) {
			void *r;
			pthread_join(t[i], &r);
			CHECK(r == PTHREAD_CANCELED, "a thread was not cancelled");
		}
	}
	__atomic_store_n(&stop, 1, __ATOMIC_RELAXED);
	for (unsigned i = 0; i < 2; i++) {
		void *made;
		pthread_join(steady[i], &made);
		CHECK(made != NULL, "the others could not call");
	}
	all_free(shared);
	secgear_detach(shared);
}

/* want begins a call for which there is no room, and is cancelled meanwhile. */
static void *want(void *size)
{
	secgear_call c = {0};
	pthread_cleanup_push(end, &c);
	begin(shared, &c, ECHO, (uint32_t)(uintptr_t)size, 1);
	pthread_cleanup_pop(1);
	return NULL;
}

static void cancel_those_who_want(uint32_t size, unsigned rounds)
{
	pthread_t t[4];
	for (unsigned round = 0; round < rounds; round++) {
		for (int i = 0; i < 4; i++)
			CHECK(pthread_create(&t[i], NULL, want, (void *)(uintptr_t)size) == 0, "thread");
		ms(round % 5);
		for (int i = 0; i < 4; i++)
			pthread_cancel(t[i]);
		for (int i = 0; i < 4; i++) {
			void *r;
			pthread_join(t[i], &r);
			CHECK(r == PTHREAD_CANCELED, "there was room");
		}
	}
}

/* starve: threads are cancelled while they wait for a slot, and for memory. */
static void starve(unsigned rounds)
{
	enum { LARGE_CALL = 30000 };
	static secgear_call held[SECGEAR_SLOTS];
	static secgear_ref refs[4096];
	unsigned char *mem;
	size_t n = 0;

	shared = attach();
	for (int i = 0; i < SECGEAR_SLOTS; i++)
		CHECK(begin(shared, &held[i], ECHO, 1, 1) == 0, "begin");
	cancel_those_who_want(1, rounds);
	for (int i = 0; i < SECGEAR_SLOTS; i++)
		secgear_end(&held[i]);
	all_free(shared);
	for (size_t size = (size_t)8 << 20; size >= 16384; size /= 2)
		while (n < sizeof refs / sizeof *refs && secgear_buffer(shared, size, &refs[n], &mem) == 0)
			n++;
	CHECK(n < sizeof refs / sizeof *refs, "the arena has no end");
	cancel_those_who_want(LARGE_CALL, rounds);
	while (n > 0)
		CHECK(secgear_free(shared, &refs[--n]) == 0, "free");
	must_echo(shared, LARGE_CALL, 1);
	all_free(shared);
	secgear_detach(shared);
}

/* until_lost: calls until the owner has ended. */
static void until_lost(void)
{
	secgear *s = attach();
	int r;
	must_echo(s, 1, 1);
	printf("attached\n");
	fflush(stdout);
	while ((r = echo(s, 1000, 1)) == 0)
		;
	CHECK(r == SECGEAR_E_LOST, "%s", secgear_strerror(r));
	secgear_detach(s);
}

/* jump: a signal handler leaves calls by longjmp. */
static sigjmp_buf out;
static volatile sig_atomic_t jumping;

static void leave(int sig)
{
	(void)sig;
	if (jumping)
		siglongjmp(out, 1);
}

static void jump(unsigned rounds)
{
	static secgear_call c; /* survives the jump */
	const unsigned char *results;
	size_t size;
	pthread_t steady[2];
	sigset_t alarm;
	timer_t timer;
	struct sigevent ev = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGALRM};

	shared = attach();
	signal(SIGALRM, leave);
	sigemptyset(&alarm);
	sigaddset(&alarm, SIGALRM);
	pthread_sigmask(SIG_BLOCK, &alarm, NULL); /* for the threads */
	pthread_create(&steady[0], NULL, call_much, NULL);
	pthread_create(&steady[1], NULL, call_long, NULL);
	pthread_sigmask(SIG_UNBLOCK, &alarm, NULL);
	CHECK(timer_create(CLOCK_MONOTONIC, &ev, &timer) == 0, "timer");
	for (volatile unsigned i = 0; i < rounds; i++) {
		if (sigsetjmp(out, 1) == 0) {
			struct itimerspec in = {.it_value = {0, 1000 + (long)(i * 7919 % 500) * 1000}};
			CHECK(begin(shared, &c, i % 2 ? BLOCK : ECHO, i % 3 == 0 ? 50 : 6000, i) == 0, "begin");
			jumping = 1;
			timer_settime(timer, 0, &in, NULL);
			for (;;) { /* until the alarm */
				secgear_run(&c, &results, &size);
			}
		}
		jumping = 0;
		secgear_end(&c);
	}
	timer_delete(timer);
	__atomic_store_n(&stop, 1, __ATOMIC_RELAXED);
	for (unsigned i = 0; i < 2; i++) {
		void *made;
		pthread_join(steady[i], &made);
		CHECK(made != NULL, "the others could not call");
	}
	all_free(shared);
	secgear_detach(shared);
}

/* ---- forks ---- */

static void wait_ok(pid_t pid)
{
	int status;
	CHECK(waitpid(pid, &status, 0) == pid, "waitpid");
	CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0, "a child ended with status %x", (unsigned)status);
}

/* prefork: children with lanes of their own are killed at random moments, while
 * the parent and a steady child call. */
static void prefork(unsigned rounds)
{
	enum { CHILDREN = 6 };
	pid_t child[CHILDREN], parent = getpid();
	secgear *s = attach();
	int go[2];
	char b;

	must_echo(s, 10, 1);
	CHECK(pipe(go) == 0, "pipe");
	pid_t steady = fork();
	if (steady == 0) {
		close(go[1]);
		signal(SIGALRM, SIG_DFL);
		unsigned n = 0;
		while (getppid() == parent && !stop) {
			must_echo(s, 1000, n++);
			if (n % 64 == 0) {
				fd_set set;
				struct timeval none = {0, 0};
				FD_ZERO(&set);
				FD_SET(go[0], &set);
				if (select(go[0] + 1, &set, NULL, NULL, &none) == 1 && read(go[0], &b, 1) == 0)
					break;
			}
		}
		secgear_detach(s);
		_exit(n > 0 ? 0 : 1);
	}
	close(go[0]);
	memset(child, 0, sizeof child);
	srand(4711);
	for (unsigned round = 0; round < rounds; round++) {
		int i = (int)(round % CHILDREN);
		if (child[i] > 0) {
			kill(child[i], SIGKILL);
			CHECK(waitpid(child[i], NULL, 0) == child[i], "waitpid");
		}
		child[i] = fork();
		CHECK(child[i] >= 0, "fork");
		if (child[i] == 0) {
			close(go[1]);
			for (unsigned n = 0; getppid() == parent; n++)
				must_echo(s, n % 3 == 0 ? 20000 : 40, n);
			_exit(0);
		}
		for (int n = rand() % 40; n > 0; n--)
			must_echo(s, 40 + (uint32_t)n * 100, (unsigned)n);
		if (rand() % 3 == 0)
			ms((unsigned)rand() % 4);
	}
	for (int i = 0; i < CHILDREN; i++)
		if (child[i] > 0) {
			kill(child[i], SIGKILL);
			waitpid(child[i], NULL, 0);
		}
	must_echo(s, 10, 1);
	close(go[1]);
	wait_ok(steady);
	all_free(s);
	secgear_detach(s);
}

/* forks: a handler forks in the middle of calls. */
static volatile pid_t forked;
static secgear *parents;

static void fork_here(int sig)
{
	(void)sig;
	forked = fork();
}

static void forks(unsigned rounds, bool alone)
{
	const unsigned char *results;
	size_t size;
	parents = attach();
	signal(SIGALRM, fork_here);
	pthread_t steady;
	shared = parents;
	sigset_t alarm;
	sigemptyset(&alarm);
	sigaddset(&alarm, SIGALRM);
	pthread_sigmask(SIG_BLOCK, &alarm, NULL);
	if (!alone)
		pthread_create(&steady, NULL, call_much, NULL);
	pthread_sigmask(SIG_UNBLOCK, &alarm, NULL);
	for (unsigned i = 0; i < rounds; i++) {
		secgear_call c;
		struct itimerspec in = {.it_value = {0, 100000 + (long)(i * 7919 % 9000) * 1000}};
		struct sigevent ev = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGALRM};
		timer_t timer;
		forked = -1;
		CHECK(timer_create(CLOCK_MONOTONIC, &ev, &timer) == 0, "timer");
		CHECK(begin(parents, &c, SLEEP, i % 2 ? 50 : 6000, i) == 0, "begin");
		timer_settime(timer, 0, &in, NULL);
		int r = secgear_run(&c, &results, &size);
		if (forked == 0) { /* the child, in the parent's call */
			CHECK(r == SECGEAR_E_FORKED, "the child got %d", r);
			secgear_end(&c);
			must_echo(parents, 5000, i);
			pid_t grand = fork();
			if (grand == 0) {
				must_echo(parents, 50, i);
				secgear_detach(parents);
				_exit(0);
			}
			must_echo(parents, 50, i);
			wait_ok(grand);
			if (i % 2)
				secgear_detach(parents);
			_exit(0);
		}
		CHECK(finish(&c, r, results, size, i % 2 ? 50 : 6000, i) == 0, "the parent got %s", secgear_strerror(r));
		while (forked < 0)
			ms(1);
		timer_delete(timer);
		if (forked == 0) { /* after the call */
			must_echo(parents, 50, i);
			_exit(0);
		}
		wait_ok(forked);
	}
	__atomic_store_n(&stop, 1, __ATOMIC_RELAXED);
	if (!alone)
		pthread_join(steady, NULL);
	all_free(parents);
	secgear_detach(parents);
}

/* dies: the enclave ends during a call. */
static void dies(void)
{
	secgear *s = attach();
	secgear_call c;
	const unsigned char *results;
	size_t size;
	CHECK(begin(s, &c, DIE, 0, 0) == 0, "begin");
	int r = secgear_run(&c, &results, &size);
	CHECK(r == SECGEAR_E_LOST, "%d", r);
	secgear_end(&c);
	CHECK(echo(s, 1, 1) == SECGEAR_E_LOST, "it lives");
	secgear_detach(s);
}

/* hostile: calls to something that answers anything. Only how it ends counts. */
static void hostile(unsigned rounds)
{
	secgear_options o = {.timeout_us = 2000};
	for (unsigned i = 0; i < rounds; i++) {
		secgear *s;
		secgear_ref ref;
		unsigned char *mem, sum = 0;
		if (secgear_attach_with(enclave, &o, &s) != 0)
			continue;
		for (unsigned n = 0; n < 200; n++) {
			secgear_call c;
			const unsigned char *results;
			size_t size;
			if (begin(s, &c, ECHO, n % 4 == 0 ? 6000 : n % 4 == 1 ? 30000 : 60, n) != 0)
				break;
			int r = secgear_run(&c, &results, &size);
			for (size_t k = 0; r >= 0 && k < size; k++)
				sum = (unsigned char)(sum + results[k]);
			if (size >= sizeof ref) {
				memcpy(&ref, results, sizeof ref);
				if (secgear_view(s, &ref, &mem) == 0 && ref.len > 0)
					sum = (unsigned char)(sum + mem[0] + mem[ref.len - 1]);
				secgear_free(s, &ref);
			}
			secgear_end(&c);
		}
		secgear_detach(s);
		if (sum == 1)
			fflush(stdout);
	}
}

/* attach: prints what attaching comes to. */
static void try_attach(void)
{
	secgear *s;
	int err = secgear_attach(enclave, &s);
	printf("%s\n", secgear_strerror(err));
	secgear_detach(s);
}

int main(int argc, char **argv)
{
	if (argc < 3)
		return 2;
	enclave = argv[2];
	unsigned n = argc > 3 ? (unsigned)atoi(argv[3]) : 1;
	if (strcmp(argv[1], "calls") == 0)
		calls();
	else if (strcmp(argv[1], "threads") == 0)
		threads(n);
	else if (strcmp(argv[1], "cancel") == 0)
		cancel(n);
	else if (strcmp(argv[1], "starve") == 0)
		starve(n);
	else if (strcmp(argv[1], "until-lost") == 0)
		until_lost();
	else if (strcmp(argv[1], "jump") == 0)
		jump(n);
	else if (strcmp(argv[1], "prefork") == 0)
		prefork(n);
	else if (strcmp(argv[1], "forks") == 0)
		forks(n, false);
	else if (strcmp(argv[1], "forks-alone") == 0)
		forks(n, true);
	else if (strcmp(argv[1], "dies") == 0)
		dies();
	else if (strcmp(argv[1], "hostile") == 0)
		hostile(n);
	else if (strcmp(argv[1], "attach") == 0)
		try_attach();
	else
		return 2;
	printf("ok\n");
	return 0;
}
