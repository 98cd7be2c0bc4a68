/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * trust_path.c owns the order in which one path is judged: times, signatures, usage, revocation.
 *
 * Usage and revocation come after X509_verify_cert() in passes of their own: inside of it they
 * would come before the signatures are verified, and a stranger's extensions could name the reason.
 */
#include "trust_private.h"

#include "openssl_error.h"

#include <openssl/x509_vfy.h>
#include <stdarg.h>
#include <stdio.h>

#define SECURITY_LEVEL 2

/* Not the certificates, which are borrowed. */
static void x509_stack_freep(STACK_OF(X509) * *stack)
{
	sk_X509_free(*stack);
}

static void x509_store_ctx_freep(X509_STORE_CTX **context)
{
	X509_STORE_CTX_free(*context);
}

/* Cut at a whole character where it is too long. */
void trust_explain(struct trust_verdict *verdict, const char *format, ...)
{
	va_list arguments;
	int length;

	va_start(arguments, format);
	length = vsnprintf(verdict->why, sizeof(verdict->why), format, arguments);
	va_end(arguments);
	if (length < (int)sizeof(verdict->why))
		return;
	length = (int)sizeof(verdict->why) - 1;
	while (length > 0 && ((uint8_t)verdict->why[length - 1] & 0xc0u) == 0x80u)
		length--;
	if (length > 0 && (uint8_t)verdict->why[length - 1] >= 0xc0u)
		length--;
	verdict->why[length] = '\0';
}

/* RFC 5280 4.1.2.5: both ends belong to the validity. OpenSSL counts the last second as past, so
 * that it and the gate for the mapped certificate would differ. An anchor is no exception: an
 * administrator who sees it expired expects that it is. */
enum trust_finding trust_judge_times(const struct trust_path *path, struct trust_verdict *verdict)
{
	for (size_t i = 1; i < path->length; i++) {
		const struct authority *authority = path->chain[i];

		if (path->now_sec < authority->not_before_sec) {
			trust_explain(verdict, "not yet valid: %s", authority->subject);
			return TRUST_UNTRUSTED;
		}
		if (path->now_sec > authority->not_after_sec) {
			trust_explain(verdict, "expired: %s", authority->subject);
			return TRUST_UNTRUSTED;
		}
	}
	return TRUST_TRUSTED;
}

/* A path of a single one is an anchor that is mapped itself. */
static enum error fill_stacks(
	const struct trust_path *path, STACK_OF(X509) * trusted, STACK_OF(X509) * untrusted)
{
	const size_t last = path->length - 1;

	for (size_t i = 1; i < last; i++)
		if (!sk_X509_push(untrusted, path->chain[i]->certificate))
			return ERROR_MEMORY;
	return sk_X509_push(trusted, path->chain[last]->certificate) ? OK : ERROR_MEMORY;
}

/* PARTIAL_CHAIN: an anchor need not be self-signed. NO_CHECK_TIME: see trust_judge_times(). Without
 * TRUSTED_FIRST, so that an anchor which has the name of an intermediate does not displace it. No
 * purpose: see judge_usage(). */
static void set_parameters(X509_STORE_CTX *context)
{
	X509_VERIFY_PARAM *parameters = X509_STORE_CTX_get0_param(context);

	X509_VERIFY_PARAM_set_flags(
		parameters, X509_V_FLAG_PARTIAL_CHAIN | X509_V_FLAG_NO_CHECK_TIME);
	X509_VERIFY_PARAM_clear_flags(parameters, X509_V_FLAG_TRUSTED_FIRST);
	X509_VERIFY_PARAM_set_auth_level(parameters, SECURITY_LEVEL);
	X509_VERIFY_PARAM_set_depth(parameters, TRUST_CHAIN_MAX);
}

/* What was verified must be what is judged afterwards. */
static bool is_same_chain(const struct trust_path *path, X509_STORE_CTX *context)
{
	STACK_OF(X509) *chain = X509_STORE_CTX_get0_chain(context);

	if (sk_X509_num(chain) != (int)path->length)
		return false;
	for (size_t i = 0; i < path->length; i++)
		if (sk_X509_value(chain, (int)i) != path->chain[i]->certificate)
			return false;
	return true;
}

static void explain_failure(
	const struct trust_path *path, X509_STORE_CTX *context, struct trust_verdict *verdict)
{
	const int depth = X509_STORE_CTX_get_error_depth(context);
	const char *subject = "";

	if (depth >= 0 && (size_t)depth < path->length)
		subject = path->chain[depth]->subject;
	trust_explain(verdict, "%s: %s",
		X509_verify_cert_error_string(X509_STORE_CTX_get_error(context)), subject);
}

/* A refusal while memory was short is none that may be remembered. */
static bool is_out_of_memory(X509_STORE_CTX *context, int result)
{
	const int code = X509_STORE_CTX_get_error(context);

	return openssl_error_is_memory() || result < 0 || code == X509_V_ERR_OUT_OF_MEM ||
	       code == X509_V_ERR_UNSPECIFIED;
}

/* Keys, signatures, authorities, path lengths, name constraints, critical extensions. */
static enum error judge_signatures(
	const struct trust_path *path, struct trust_verdict *verdict, enum trust_finding *ret)
{
	__attribute__((cleanup(x509_stack_freep))) STACK_OF(X509) *trusted = sk_X509_new_null();
	__attribute__((cleanup(x509_stack_freep))) STACK_OF(X509) *untrusted = sk_X509_new_null();
	__attribute__((cleanup(x509_store_ctx_freep))) X509_STORE_CTX *context =
		X509_STORE_CTX_new();
	int result;

	ERR_clear_error();
	if (!trusted || !untrusted || !context || fill_stacks(path, trusted, untrusted) != OK ||
		!X509_STORE_CTX_init(context, NULL, path->chain[0]->certificate, untrusted))
		return ERROR_MEMORY;
	X509_STORE_CTX_set0_trusted_stack(context, trusted);
	set_parameters(context);
	result = X509_verify_cert(context);
	if (result != 1 && is_out_of_memory(context, result))
		return ERROR_MEMORY;
	if (result != 1)
		explain_failure(path, context, verdict);
	else if (!is_same_chain(path, context))
		trust_explain(
			verdict, "a shorter chain was found first: %s", path->chain[0]->subject);
	else
		*ret = TRUST_TRUSTED;
	return OK;
}

/* X509_V_PURPOSE_SSL_CLIENT would refuse anyExtendedKeyUsage (RFC 5280 4.2.1.12), and asks about
 * Netscape's extension. An authority's extended usage limits what is below it: no RFC says so, but
 * OpenSSL, NSS and Windows all do. */
static enum trust_finding judge_usage(const struct trust_path *path, struct trust_verdict *verdict)
{
	X509 *certificate = path->chain[0]->certificate;

	if (!(X509_get_key_usage(certificate) & (KU_DIGITAL_SIGNATURE | KU_KEY_AGREEMENT))) {
		trust_explain(verdict, "keyUsage has neither digitalSignature nor keyAgreement: %s",
			path->chain[0]->subject);
		return TRUST_WRONG_USAGE;
	}
	for (size_t i = 0; i < path->length; i++) {
		certificate = path->chain[i]->certificate;
		if (X509_get_extended_key_usage(certificate) & (XKU_SSL_CLIENT | XKU_ANYEKU))
			continue;
		trust_explain(verdict, "extendedKeyUsage does not have clientAuth: %s",
			path->chain[i]->subject);
		return TRUST_WRONG_USAGE;
	}
	return TRUST_TRUSTED;
}

/* Everything below the anchor, to the end: one certificate whose list is missing must not hide
 * another one that is revoked. */
static enum error judge_revocation(
	const struct trust_path *path, struct trust_verdict *verdict, enum trust_finding *ret)
{
	enum trust_finding finding = TRUST_TRUSTED;

	for (size_t i = 0; i + 1 < path->length; i++) {
		const struct authority *const *link = &path->chain[i];
		enum crl_standing standing;
		const char *why;
		enum error error;

		error = crl_judge(path->material->crls, path->material->crl_count,
			link[0]->certificate, link[1]->certificate, path->now_sec, &standing, &why);
		if (error != OK)
			return error;
		if (standing == CRL_REVOKED) {
			trust_explain(verdict, "revoked: %s", link[0]->subject);
			*ret = TRUST_REVOKED;
			return OK;
		}
		if (standing != CRL_GOOD && finding == TRUST_TRUSTED) {
			trust_explain(
				verdict, "%s: %s, of %s", why, link[0]->subject, link[1]->subject);
			finding = TRUST_REVOCATION_UNKNOWN;
		}
	}
	*ret = finding;
	return OK;
}

enum error trust_judge_path(const struct trust_path *path, struct trust_verdict *verdict)
{
	enum trust_finding finding = TRUST_UNTRUSTED;
	enum error error;

	if ((error = judge_signatures(path, verdict, &finding)) != OK)
		return error;
	if (finding == TRUST_TRUSTED && path->rule->require_client_auth)
		finding = judge_usage(path, verdict);
	if (finding == TRUST_TRUSTED && path->rule->revocation != TRUST_REVOCATION_NONE) {
		if ((error = judge_revocation(path, verdict, &finding)) != OK)
			return error;
		if (finding == TRUST_REVOCATION_UNKNOWN &&
			path->rule->revocation == TRUST_REVOCATION_PREFER) {
			verdict->degraded = true;
			finding = TRUST_TRUSTED;
		}
	}
	verdict->finding = finding;
	return OK;
}
