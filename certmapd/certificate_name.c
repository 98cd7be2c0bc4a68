/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * certificate_name.c owns what is read out of a name: its two printed forms, and the attributes of
 * a subject that name one of many.
 */
#include "certificate_private.h"

#include "hex.h"
#include "utf8.h"

#include <stdio.h>
#include <stdlib.h>

static void bio_freep(BIO **bio)
{
	BIO_free(*bio);
}

/* What would let a name forge a line or change the direction of the text around it: C0, DEL and C1,
 * line and paragraph separators, and the marks, embeddings, overrides and isolates of Unicode's
 * bidirectional algorithm (UAX 9 2). */
static bool is_control(uint32_t code_point)
{
	return code_point < 0x20 || (code_point >= 0x7f && code_point <= 0x9f) ||
	       code_point == 0x061c || code_point == 0x200e || code_point == 0x200f ||
	       (code_point >= 0x2028 && code_point <= 0x202e) ||
	       (code_point >= 0x2066 && code_point <= 0x2069);
}

/* The bytes that are kept or cut together: a character, or an escape of RFC 4514 2.4. Sets
 * *ret_escape where the bytes must be written as hexadecimal pairs. */
static size_t name_unit(struct span text, bool *ret_escape)
{
	uint32_t code_point;
	size_t length;

	*ret_escape = false;
	if (text.bytes[0] == '\\' && text.length >= 3 && hex_digit(text.bytes[1]) >= 0 &&
		hex_digit(text.bytes[2]) >= 0)
		return 3;
	if (text.bytes[0] == '\\' && text.length >= 2 && text.bytes[1] >= 0x20 &&
		text.bytes[1] < 0x7f)
		return 2;
	length = utf8_read(text, &code_point);
	*ret_escape = length == 0 || is_control(code_point);
	return length == 0 ? 1 : length;
}

/* Copies a printed name, escapes what is left to escape, and cuts it to size. */
static void name_copy(struct span text, char ret[CERTIFICATE_NAME_MAX_BYTES])
{
	size_t length = 0, unit;
	bool escape;

	while (text.length > 0) {
		unit = name_unit(text, &escape);
		if (length + unit * (escape ? 3 : 1) >= CERTIFICATE_NAME_MAX_BYTES)
			break;
		for (size_t i = 0; i < unit; i++) {
			if (escape)
				length += (size_t)sprintf(ret + length, "\\%02X", text.bytes[i]);
			else
				ret[length++] = (char)text.bytes[i];
		}
		text = span_of(text.bytes + unit, text.length - unit);
	}
	ret[length] = '\0';
}

/* RFC 4514: last attribute first, special characters escaped, other string types turned to UTF-8.
 * ESC_MSB is left out: people read these names, and the logs escape them on their own. */
enum error certificate_name_print(
	const X509_NAME *name, char ret[CERTIFICATE_NAME_MAX_BYTES], const char **ret_problem)
{
	const unsigned long flags = XN_FLAG_RFC2253 & ~(unsigned long)ASN1_STRFLGS_ESC_MSB;
	__attribute__((cleanup(bio_freep))) BIO *bio = BIO_new(BIO_s_mem());
	char *text;
	long length;

	if (!bio)
		return ERROR_MEMORY;
	if (X509_NAME_print_ex(bio, name, 0, flags) < 0)
		return certificate_judge("a name that can't be printed", ret_problem);
	length = BIO_get_mem_data(bio, &text);
	name_copy(span_of(text, length > 0 ? (size_t)length : 0), ret);
	return OK;
}

void certificate_names_done(struct certificate_names *names)
{
	for (size_t i = 0; i < names->value_count; i++)
		free(names->values[i]);
	free(names->values);
	free(names->subject_line);
	free(names->issuer_line);
	*names = (struct certificate_names){ 0 };
}

/* In memory of its own, terminated. strndup(3) is for strings, and OpenSSL's buffers end without a
 * NUL. NULL: out of memory. */
static char *copy_text(const void *text, size_t length)
{
	char *copy = malloc(length + 1);

	if (!copy)
		return NULL;
	memcpy(copy, text, length);
	copy[length] = '\0';
	return copy;
}

/* The flags are stunnel's (X509_NAME2text() in its client.c): the strings are compared whole, so
 * they are printed by the same library in the same form, and nobody parses them. */
enum error certificate_name_print_line(const X509_NAME *name, char **ret)
{
	const unsigned long flags = XN_FLAG_ONELINE & ~(unsigned long)ASN1_STRFLGS_ESC_MSB &
				    ~(unsigned long)XN_FLAG_SPC_EQ;
	__attribute__((cleanup(bio_freep))) BIO *bio = BIO_new(BIO_s_mem());
	char *text;
	long length;

	if (!bio)
		return ERROR_MEMORY;
	if (X509_NAME_print_ex(bio, name, 0, flags) < 0) {
		ERR_clear_error();
		return ERROR_MEMORY;
	}
	length = BIO_get_mem_data(bio, &text);
	if (length <= 0 || (unsigned long)length > CERTIFICATE_LINE_MAX_BYTES ||
		memchr(text, '\0', (size_t)length))
		return OK;
	*ret = copy_text(text, (size_t)length);
	return *ret ? OK : ERROR_MEMORY;
}

/* One attribute as a string; *ret stays NULL where it can't be one. */
static enum error read_value(const X509_NAME_ENTRY *entry, char **ret)
{
	unsigned char *text = NULL;
	enum error error = OK;
	int length;

	ERR_clear_error();
	length = ASN1_STRING_to_UTF8(&text, X509_NAME_ENTRY_get_data(entry));
	/* Of a type that is no text it says nothing. */
	if (length < 0 && ERR_peek_error() == 0)
		return openssl_error_is_memory() ? ERROR_MEMORY : OK;
	if (length < 0)
		return openssl_error_is_fault() ? OK : ERROR_MEMORY;
	if (length > 0 && !memchr(text, '\0', (size_t)length)) {
		*ret = copy_text(text, (size_t)length);
		error = *ret ? OK : ERROR_MEMORY;
	}
	OPENSSL_free(text);
	return error;
}

/* Attributes that name one of many. What a whole organisation shares is nobody's name: certmap is
 * not told which attribute a service took, and CN=Example Ltd in a stranger's certificate must not
 * meet O=Example Ltd in a mapped one. */
static bool names_one(const X509_NAME_ENTRY *entry)
{
	switch (OBJ_obj2nid(X509_NAME_ENTRY_get_object(entry))) {
	case NID_commonName:
	case NID_userId:
	case NID_pkcs9_emailAddress:
	case NID_x500UniqueIdentifier:
	case NID_serialNumber:
		return true;
	default:
		return false;
	}
}

enum error certificate_name_read_values(const X509_NAME *name, struct certificate_names *names)
{
	const int count = X509_NAME_entry_count(name);
	enum error error;

	if (count <= 0)
		return OK;
	names->values = calloc((size_t)count, sizeof(*names->values));
	if (!names->values)
		return ERROR_MEMORY;
	for (int i = 0; i < count; i++) {
		const X509_NAME_ENTRY *entry = X509_NAME_get_entry(name, i);

		if (!names_one(entry))
			continue;
		error = read_value(entry, &names->values[names->value_count]);
		if (error != OK)
			return error;
		names->value_count += names->values[names->value_count] != NULL;
	}
	return OK;
}
