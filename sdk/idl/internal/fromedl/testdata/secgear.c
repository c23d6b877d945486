/* The stand-in's calls: a head of 12 bytes and the arguments go out, a head of 8
 * bytes and the results come back. */
#include "secgear.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int secgear_attach(const char *name, secgear **s)
{
	(void)name;
	(void)s;
	return SECGEAR_E_USE;
}

void secgear_detach(secgear *s) { (void)s; }

int secgear_begin(secgear *s, secgear_call *c, uint32_t contract, uint16_t method, size_t size, unsigned char **args)
{
	(void)s;
	memset(c, 0, sizeof(*c));
	c->contract = contract;
	c->method = method;
	c->size = size;
	c->args = malloc(size + 1);
	*args = c->args;
	return c->args ? 0 : SECGEAR_E_USE;
}

int secgear_run(secgear_call *c, const unsigned char **results, size_t *size)
{
	uint32_t head[3] = {c->contract, c->method, (uint32_t)c->size}, answer[2];

	fwrite(head, 1, sizeof(head), stdout);
	fwrite(c->args, 1, c->size, stdout);
	fflush(stdout);
	if (fread(answer, 1, sizeof(answer), stdin) != sizeof(answer))
		exit(3);
	c->results = malloc(answer[1] + 1);
	if (!c->results || fread(c->results, 1, answer[1], stdin) != answer[1])
		exit(3);
	*results = c->results;
	*size = answer[1];
	return (int)answer[0];
}

void secgear_end(secgear_call *c)
{
	free(c->args);
	free(c->results);
	c->args = c->results = NULL;
}
