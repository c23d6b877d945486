/*
 * The limit that calls through shared memory are held against: how long a
 * cache line takes from one processor to another and back, without anything
 * else. SPDX-License-Identifier: MulanPSL-2.0
 *
 * usage: limit CPU CPU
 *
 * Two processes, one on each processor. The first writes a number into a line,
 * the second spins on that line and answers in a line of its own. For each line
 * "limit MILLISECONDS" on standard input the program plays for that long and
 * prints "ok ROUNDTRIPS NANOSECONDS MEDIAN", the median being that of batches
 * of BATCH round trips, in nanoseconds per round trip. Between plays both
 * processes sleep. It ends with its standard input.
 */
#define _GNU_SOURCE
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { BATCH = 64, MAX_BATCHES = 1 << 17, PATIENCE = 1 << 30 };

struct table {
	_Alignas(128) _Atomic uint64_t ping;
	_Alignas(128) _Atomic uint64_t pong;
	_Alignas(128) _Atomic uint64_t last; /* the second player sleeps after this */
};

static double batches[MAX_BATCHES];

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

static void die(const char *what)
{
	perror(what);
	exit(1);
}

static void pin(const char *cpu)
{
	cpu_set_t set;
	CPU_ZERO(&set);
	CPU_SET(atoi(cpu), &set);
	if (sched_setaffinity(0, sizeof set, &set) != 0)
		die("sched_setaffinity");
}

static double now(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1e9 + t.tv_nsec;
}

/* await spins until *line holds want; a player that vanished ends the game. */
static void await(_Atomic uint64_t *line, uint64_t want)
{
	for (long spins = 0; __atomic_load_n(line, __ATOMIC_ACQUIRE) != want; spins++) {
		if (spins == PATIENCE) {
			fprintf(stderr, "limit: no answer from the other process\n");
			exit(1);
		}
		pause_cpu();
	}
}

/* answer is the second player: it sleeps in read until a play begins. */
static void answer(struct table *t, int starts)
{
	uint64_t seq = 0;
	char start;

	while (read(starts, &start, 1) == 1) {
		do {
			seq++;
			await(&t->ping, seq);
			__atomic_store_n(&t->pong, seq, __ATOMIC_RELEASE);
		} while (seq != __atomic_load_n(&t->last, __ATOMIC_ACQUIRE));
	}
	exit(0);
}

static void trip(struct table *t, uint64_t seq)
{
	__atomic_store_n(&t->ping, seq, __ATOMIC_RELEASE);
	await(&t->pong, seq);
}

static int by_size(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;
	return (x > y) - (x < y);
}

/* play makes round trips for ms milliseconds; *seq is the last number used. */
static void play(struct table *t, int starts, uint64_t *seq, double ms)
{
	int n = 0;

	__atomic_store_n(&t->last, 0, __ATOMIC_RELEASE);
	if (write(starts, "", 1) != 1)
		die("write");
	for (int i = 0; i < 10 * BATCH; i++) /* both awake, lines warm */
		trip(t, ++*seq);

	double begin = now(), before = begin, end = begin + ms * 1e6;
	while (before < end && n < MAX_BATCHES) {
		for (int i = 0; i < BATCH; i++)
			trip(t, ++*seq);
		double after = now();
		batches[n++] = (after - before) / BATCH;
		before = after;
	}
	__atomic_store_n(&t->last, *seq + 1, __ATOMIC_RELEASE);
	trip(t, ++*seq);

	qsort(batches, n, sizeof batches[0], by_size);
	printf("ok %d %.0f %.3f\n", n * BATCH, before - begin, n ? batches[n / 2] : 0);
	fflush(stdout);
}

int main(int argc, char **argv)
{
	if (argc != 3) {
		fprintf(stderr, "usage: limit CPU CPU\n");
		return 2;
	}
	struct table *t = mmap(NULL, sizeof *t, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	int starts[2];
	if (t == MAP_FAILED || pipe(starts) != 0)
		die("limit");
	pid_t parent = getpid(), child = fork();
	if (child < 0)
		die("fork");
	if (child == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (getppid() != parent)
			exit(1);
		close(starts[1]);
		pin(argv[2]);
		answer(t, starts[0]);
	}
	close(starts[0]);
	pin(argv[1]);

	uint64_t seq = 0;
	double ms;
	while (scanf(" limit %lf", &ms) == 1)
		play(t, starts[1], &seq, ms);
	close(starts[1]);
	waitpid(child, NULL, 0);
	return 0;
}
