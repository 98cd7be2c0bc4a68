/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* certificate_private.h owns what the files certificate*.c share and nobody else may use. */
#pragma once

#include "certificate.h"
#include "openssl_error.h"

#include <openssl/x509.h>

/* A problem of the certificate, unless memory was short: a row must not be marked as broken because
 * the machine was. Empties OpenSSL's error queue. */
WARN_UNUSED static inline enum error certificate_judge(
	const char *problem, const char **ret_problem)
{
	if (!openssl_error_is_fault())
		return ERROR_MEMORY;
	*ret_problem = problem;
	return OK;
}

/* certificate_name.c */

/* As struct certificate_facts has it. OK with *ret_problem set where it can't be printed; then, and
 * with ERROR_MEMORY, `ret` stays as it was. */
WARN_UNUSED enum error certificate_name_print(
	const X509_NAME *name, char ret[CERTIFICATE_NAME_MAX_BYTES], const char **ret_problem);
/* As struct certificate_names has it, for free(3); *ret stays as it was where that says NULL.
 * ERROR_MEMORY. */
WARN_UNUSED enum error certificate_name_print_line(const X509_NAME *name, char **ret);
/* Sets values and value_count of *names, which are not there yet. With ERROR_MEMORY some are, for
 * certificate_names_done(). */
WARN_UNUSED enum error certificate_name_read_values(
	const X509_NAME *name, struct certificate_names *names);

/* certificate_issuer.c */

/* What certificates say of an issuer, as struct certificate_facts and certificate_names have it. */
struct certificate_issuer {
	char text[CERTIFICATE_NAME_MAX_BYTES];
	char *line;
};

/* `der` is the name with its tag and length. OK with *ret_problem NULL: *ret is borrowed until the
 * next call. OK with *ret_problem a sentence, as in certificate_read(), or ERROR_MEMORY: *ret stays
 * as it was. */
WARN_UNUSED enum error certificate_issuer_read(
	struct span der, const struct certificate_issuer **ret, const char **ret_problem);
/* Frees what is remembered and what is borrowed. */
void certificate_issuer_forget(void);
