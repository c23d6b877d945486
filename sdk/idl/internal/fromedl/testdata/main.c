/* Calls each function of calls.edl, honestly or with mistakes; with "attach" and a
 * socket's path in the enclave there. With another argument it calls one function whose answer the test has made up, and its exit status says
 * whether that was refused. */
#include "calls_u.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CHECK(what)                                                                \
	do {                                                                       \
		if (!(what)) {                                                     \
			fprintf(stderr, "main.c:%d: not true: %s\n", __LINE__, #what); \
			exit(1);                                                   \
		}                                                                  \
	} while (0)

static secgear *enclave; /* of the real library; the stand-in needs none */

static void honest(void)
{
	int n = -1;
	int64_t total = -1;
	const int32_t numbers[3] = {1, -2, 1 << 30};
	CHECK(sum(enclave, &n, numbers, 3, &total) == 0 && n == 3 && total == (1 << 30) - 1);
	CHECK(sum(enclave, NULL, NULL, 0, &total) == 0 && total == 0);

	uint8_t buf[4] = {9, 9, 9, 9};
	CHECK(fill(enclave, &n, buf, 4, 7, SHRINK) == 0 && memcmp(buf, "\7\7\0\0", 4) == 0);
	CHECK(invert(enclave, &n, buf, 2, KEEP) == 0 && buf[0] == 0xf8 && buf[2] == 0);

	uint16_t data[12] = {0};
	CHECK(blocks(enclave, &n, data, 8, 3) == 0 && n == 4);

	char text[] = "small";
	CHECK(upper(enclave, &n, text, KEEP) == 0 && strcmp(text, "SMALL") == 0);
	size_t wides = 0;
	CHECK(wide(enclave, &wides, L"Gr\u00fc\u00dfe") == 0 && wides == 7);

	uint8_t key[32] = {1}, digest[32] = {0};
	CHECK(hash(enclave, &n, key, "x", 1, digest) == 0 && digest[0] == 0x5f);

	uint8_t a[2] = "ab", b[2] = "cd";
	struct Part parts[2] = {{2, a}, {2, b}};
	struct Message m = {41, {1, 2, 3, 4}, 2, parts, &m};
	CHECK(relay(enclave, &n, &m, KEEP) == 0 && m.number == 42 && m.cookie == &m && m.id[3] == 4);
	CHECK(m.parts == parts && parts[0].data == a && memcmp(a, "cd", 2) == 0 && memcmp(b, "ab", 2) == 0);

	int32_t matrix[2][2] = {{1, 2}, {3, 4}};
	union Word w = {.whole = 5};
	CHECK(transpose(enclave, &n, matrix, w) == 0 && n == 5 && matrix[0][1] == 3 && matrix[1][0] == 2);
	static uint8_t block[20000], copy[20000];
	memset(block, 1, sizeof(block));
	memset(copy, 2, sizeof(copy));
	CHECK(large(enclave, &n, block, copy) == 0 && copy[19998] == 1 && copy[19999] == 0);
	uint64_t object = 0;
	CHECK(handle(enclave, &object, &m) == 0 && object == (uint64_t)(uintptr_t)&m);
}

static void mistaken(void)
{
	int n;
	int64_t total;
	uint16_t data[2] = {0};
	uint8_t byte = 0;
	struct Part part = {1, NULL};
	struct Message m = {0, {0}, 1, &part, NULL};

	CHECK(sum(enclave, &n, NULL, 1, &total) == SECGEAR_E_USE);
	CHECK(sum(enclave, &n, (int32_t *)data, -1, &total) == SECGEAR_E_USE);
	CHECK(sum(enclave, &n, NULL, 0, NULL) == SECGEAR_E_USE);
	CHECK(fill(enclave, &n, NULL, 1, 0, KEEP) == SECGEAR_E_USE);
	CHECK(fill(enclave, &n, &byte, SIZE_MAX, 0, KEEP) == SECGEAR_E_USE);
	CHECK(blocks(enclave, &n, data, 3, 1) == SECGEAR_E_USE);
	CHECK(blocks(enclave, &n, data, SIZE_MAX, 2) == SECGEAR_E_USE);
	CHECK(upper(enclave, &n, NULL, KEEP) == SECGEAR_E_USE);
	CHECK(wide(enclave, NULL, NULL) == SECGEAR_E_USE);
	CHECK(hash(enclave, &n, NULL, NULL, 0, &byte) == SECGEAR_E_USE);
	CHECK(relay(enclave, &n, NULL, KEEP) == SECGEAR_E_USE);
	CHECK(relay(enclave, &n, &m, KEEP) == SECGEAR_E_USE);
}

/* lied calls the function of a made-up answer; memory beyond what it may touch is
 * as before. */
static int lied(const char *name)
{
	int n, status = 0;
	unsigned char buf[8];

	memset(buf, 0x5a, sizeof(buf));
	if (strcmp(name, "fill") == 0)
		status = fill(enclave, &n, buf, 4, 0, KEEP);
	else if (strcmp(name, "upper") == 0) {
		memcpy(buf, "abc", 4);
		status = upper(enclave, &n, (char *)buf, KEEP);
	} else if (strcmp(name, "relay") == 0) {
		struct Part part = {4, buf};
		struct Message m = {0, {0}, 1, &part, NULL};
		status = relay(enclave, &n, &m, KEEP);
	}
	for (int i = 4; i < 8; i++)
		CHECK(buf[i] == 0x5a);
	return status == SECGEAR_E_PROTOCOL ? 0 : 2;
}

int main(int argc, char **argv)
{
	if (argc > 2)
		CHECK(secgear_attach(argv[2], &enclave) == 0);
	else if (argc > 1)
		return lied(argv[1]);
	honest();
	mistaken();
	secgear_detach(enclave);
	return 0;
}
