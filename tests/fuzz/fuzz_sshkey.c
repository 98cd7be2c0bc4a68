/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * fuzz_sshkey.c: a key that is read becomes one SEQUENCE within its limit, the same each time, and
 * where OpenSSL decodes it as a key, it is written by OpenSSL with the same bytes.
 */
#include "sshkey.h"

#include "armour.h"
#include "fuzz.h"

#include <openssl/err.h>
#include <openssl/x509.h>
#include <stdlib.h>

static void must_agree_with_openssl(struct span der)
{
	const unsigned char *at = der.bytes;
	X509_PUBKEY *key = d2i_X509_PUBKEY(NULL, &at, (long)der.length);
	unsigned char *again = NULL;

	if (key) {
		MUST(at == der.bytes + der.length);
		MUST(i2d_X509_PUBKEY(key, &again) == (int)der.length);
		MUST(memcmp(again, der.bytes, der.length) == 0);
	}
	OPENSSL_free(again);
	X509_PUBKEY_free(key);
	ERR_clear_error();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t *der = malloc(SSHKEY_MAX_BYTES), *again = malloc(SSHKEY_MAX_BYTES);
	size_t length = 0, same_length = 0;

	MUST(der && again);
	if (sshkey_read(span_of(data, size), der, &length)) {
		MUST(length > 0 && length <= SSHKEY_MAX_BYTES);
		MUST(armour_check_outer(span_of(der, length)) == ARMOUR_OPENED);
		MUST(sshkey_read(span_of(data, size), again, &same_length));
		MUST(span_is_equal(span_of(der, length), span_of(again, same_length)));
		must_agree_with_openssl(span_of(der, length));
	}
	free(der);
	free(again);
	return 0;
}
