/* A stand-in for sdk/c/secgear.h with what generated code uses of it: its calls go
 * through standard output and input to the test that runs the program. */
#ifndef SECGEAR_H
#define SECGEAR_H

#include <stddef.h>
#include <stdint.h>

#define SECGEAR_E_PROTOCOL (-5)
#define SECGEAR_E_USE (-13)

typedef struct secgear secgear;
typedef struct secgear_call {
	uint32_t contract;
	uint16_t method;
	size_t size;
	unsigned char *args, *results;
} secgear_call;

int secgear_attach(const char *name, secgear **s);
void secgear_detach(secgear *s);
int secgear_begin(secgear *s, secgear_call *c, uint32_t contract, uint16_t method, size_t size, unsigned char **args);
int secgear_run(secgear_call *c, const unsigned char **results, size_t *size);
void secgear_end(secgear_call *c);

#endif
