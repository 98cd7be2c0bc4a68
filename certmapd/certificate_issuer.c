/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * certificate_issuer.c owns the memory of the last issuer. In a bulk load it is nearly always that
 * of the row before, and decoding and printing a name is most of what reading a certificate takes.
 */
#include "certificate_private.h"

#include <stdlib.h>

/* Real names take some 100 octets. A longer one is decoded each time: what is remembered stays as
 * long as the process. */
#define REMEMBERED_MAX_BYTES 1024u

/* Static because the daemon and certmapctl have one thread. */
static struct certificate_issuer last;
static uint8_t last_der[REMEMBERED_MAX_BYTES];
static size_t last_length; /* 0: nothing is remembered */

void certificate_issuer_forget(void)
{
	free(last.line);
	last = (struct certificate_issuer){ 0 };
	last_length = 0;
}

static void remember(struct span der)
{
	if (der.length > sizeof last_der)
		return;
	memcpy(last_der, der.bytes, der.length);
	last_length = der.length;
}

static void name_freep(X509_NAME **name)
{
	X509_NAME_free(*name);
}

/* Into `last`, which is empty. */
static enum error decode(struct span der, const char **ret_problem)
{
	const unsigned char *at = der.bytes;
	__attribute__((cleanup(name_freep))) X509_NAME *name =
		d2i_X509_NAME(NULL, &at, (long)der.length);
	enum error error;

	if (!name)
		return certificate_judge("not an X.509 certificate", ret_problem);
	if ((error = certificate_name_print(name, last.text, ret_problem)) != OK || *ret_problem)
		return error;
	return certificate_name_print_line(name, &last.line);
}

enum error certificate_issuer_read(
	struct span der, const struct certificate_issuer **ret, const char **ret_problem)
{
	enum error error;

	*ret_problem = NULL;
	if (last_length == 0 || !span_is_equal(der, span_of(last_der, last_length))) {
		certificate_issuer_forget();
		if ((error = decode(der, ret_problem)) != OK || *ret_problem)
			return error;
		remember(der);
	}
	*ret = &last;
	return OK;
}
