/*
 * Calls from C processes that are attached to the enclave, for the benchmark.
 * SPDX-License-Identifier: MulanPSL-2.0
 *
 * usage: attached SOCKET CONTRACT
 *
 * For each line "WORK MILLISECONDS" on standard input the program calls for that
 * long and prints "ok CALLS NANOSECONDS NANOSECONDS", the last being the median of
 * batches in nanoseconds per call, or the mean. WORK is "rtt64", one caller, or
 * "together1" and "together8", that many processes with lanes of their own. They
 * sleep in between. It ends with its standard input.
 */
#define _GNU_SOURCE
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "secgear.h"

enum { BATCH = 32, MAX_BATCHES = 1 << 17, PROCESSES = 8, SIZE = 64 };

struct board {
	double end; /* of the slice */
	struct {
		_Alignas(128) long calls;
		double last;
	} of[PROCESSES];
};

static secgear *s;
static uint32_t contract;
static double batches[MAX_BATCHES];

static void die(const char *what)
{
	fprintf(stderr, "attached: %s\n", what);
	exit(1);
}

static double now(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1e9 + t.tv_nsec;
}

static void echo(int i)
{
	secgear_call c;
	unsigned char data[SIZE] = {1, (unsigned char)i}, *args;
	const unsigned char *results;
	size_t size;
	int err = secgear_begin(s, &c, contract, 0, SIZE, &args);
	if (err == 0) {
		memcpy(args, data, SIZE);
		err = secgear_run(&c, &results, &size);
		if (err == 0 && (size != SIZE || memcmp(results, data, SIZE) != 0))
			die("the echo differs");
		secgear_end(&c);
	}
	if (err != 0)
		die(secgear_strerror(err));
}

static int by_size(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;
	return (x > y) - (x < y);
}

static void single(double ms)
{
	int n = 0;
	for (double warm = now() + 1e6; now() < warm;)
		echo(0);
	double begin = now(), before = begin, end = begin + ms * 1e6;
	while (before < end && n < MAX_BATCHES) {
		for (int i = 0; i < BATCH; i++)
			echo(i);
		double after = now();
		batches[n++] = (after - before) / BATCH;
		before = after;
	}
	qsort(batches, n, sizeof batches[0], by_size);
	printf("ok %d %.0f %.3f\n", n * BATCH, before - begin, batches[n / 2]);
}

/* work is one of the processes: it sleeps in read until a slice begins. */
static void work(struct board *b, int i, int start, int done)
{
	char c;
	while (read(start, &c, 1) == 1) {
		long n = 0;
		do {
			for (int k = 0; k < BATCH; k++)
				echo(k);
			n += BATCH;
		} while (now() < b->end);
		b->of[i].calls = n;
		b->of[i].last = now();
		if (write(done, "", 1) != 1)
			exit(1);
	}
	exit(0);
}

static void together(struct board *b, const int *starts, int done, int n, double ms)
{
	char c;
	long calls = 0;
	double begin = now(), last = begin;
	b->end = begin + ms * 1e6;
	for (int i = 0; i < n; i++)
		if (write(starts[i], "", 1) != 1)
			die("a process ended");
	for (int i = 0; i < n; i++)
		if (read(done, &c, 1) != 1)
			die("the processes ended");
	for (int i = 0; i < n; i++) {
		calls += b->of[i].calls;
		if (b->of[i].last > last)
			last = b->of[i].last;
	}
	printf("ok %ld %.0f %.3f\n", calls, last - begin, (last - begin) / calls);
}

int main(int argc, char **argv)
{
	char line[64];
	double ms;
	int starts[PROCESSES], done[2], err = SECGEAR_E_NOT_FOUND;

	if (argc != 3) {
		fprintf(stderr, "usage: attached SOCKET CONTRACT\n");
		return 2;
	}
	contract = (uint32_t)strtoul(argv[2], NULL, 0);
	for (int i = 0; err != 0 && i < 1000; i++) { /* the enclave is perhaps being loaded */
		struct timespec t = {0, 10000000};
		if ((err = secgear_attach(argv[1], &s)) != 0)
			nanosleep(&t, NULL);
	}
	struct board *b = mmap(NULL, sizeof *b, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (err != 0 || b == MAP_FAILED || pipe(done) != 0)
		die(err != 0 ? secgear_strerror(err) : "no memory");
	pid_t parent = getpid();
	for (int i = 0; i < PROCESSES; i++) {
		int p[2];
		if (pipe(p) != 0)
			die("pipe");
		starts[i] = p[1];
		pid_t child = fork();
		if (child < 0)
			die("fork");
		if (child == 0) {
			prctl(PR_SET_PDEATHSIG, SIGKILL);
			if (getppid() != parent)
				exit(1);
			for (int k = 0; k <= i; k++)
				close(starts[k]);
			close(done[0]);
			work(b, i, p[0], done[1]);
		}
		close(p[0]);
	}
	close(done[1]);
	while (scanf(" %63s %lf", line, &ms) == 2) {
		if (strcmp(line, "rtt64") == 0)
			single(ms);
		else if (strcmp(line, "together1") == 0)
			together(b, starts, done[0], 1, ms);
		else if (strcmp(line, "together8") == 0)
			together(b, starts, done[0], PROCESSES, ms);
		else
			printf("err no work %s\n", line);
		fflush(stdout);
	}
	for (int i = 0; i < PROCESSES; i++)
		close(starts[i]);
	while (wait(NULL) > 0)
		;
	secgear_detach(s);
	return 0;
}
