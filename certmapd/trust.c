/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * trust.c owns the search for chains and the order in which a chain is judged.
 *
 * X509_verify_cert() follows one issuer per step and stops at its first error. Where authorities
 * are cross-signed, that is one path of several, and perhaps the one that ends nowhere. So we walk
 * the paths here, and let X509_verify_cert() judge one path at a time, whole. Usage and revocation
 * come after it in passes of their own: inside of it they would come before the signatures are
 * verified, and a stranger's extensions could name the reason.
 */
#include "trust.h"

#include "certificate.h"
#include "crl.h"
#include "openssl_error.h"

#include <openssl/x509_vfy.h>
#include <stdio.h>
#include <stdlib.h>

#define SECURITY_LEVEL 2

/* The time that a search may take, whatever the certificates that have each other's names. Each
 * path costs as many verifications as it is long; each step a comparison with all there are. */
#define PATHS_MAX 16u
#define STEPS_MAX 256u

/* One certificate that a chain is made of. */
struct authority {
	X509 *certificate;
	bool is_anchor;
	uint8_t fingerprint[FINGERPRINT_BYTES];
	int64_t not_before_sec;
	int64_t not_after_sec;
	char subject[CERTIFICATE_NAME_MAX_BYTES];
	char issuer[CERTIFICATE_NAME_MAX_BYTES];
};

struct trust_material {
	struct authority **authorities;
	size_t authority_count;
	struct crl **crls;
	size_t crl_count;
};

/* One search from the mapped certificate, which is the first of the chain. */
struct search {
	const struct trust_material *material;
	const struct trust_rule *rule;
	int64_t now_sec;
	const struct authority *chain[TRUST_CHAIN_MAX];
	size_t length;
	size_t deepest; /* dead end that was explained */
	size_t path_count, step_count;
	bool is_judged; /* `best` is of a whole chain */
	struct trust_verdict best;
};

static void x509_freep(X509 **certificate)
{
	X509_free(*certificate);
}

/* Not the certificates, which are borrowed. */
static void x509_stack_freep(STACK_OF(X509) * *stack)
{
	sk_X509_free(*stack);
}

static void x509_store_ctx_freep(X509_STORE_CTX **context)
{
	X509_STORE_CTX_free(*context);
}

static void authority_free(struct authority *authority)
{
	if (!authority)
		return;
	X509_free(authority->certificate);
	free(authority);
}

static void authority_freep(struct authority **authority)
{
	authority_free(*authority);
}

static void crl_freep(struct crl **crl)
{
	crl_free(*crl);
}

enum error trust_material_new(struct trust_material **ret)
{
	struct trust_material *material = calloc(1, sizeof(*material));

	if (!material)
		return ERROR_MEMORY;
	*ret = material;
	return OK;
}

void trust_material_free(struct trust_material *material)
{
	if (!material)
		return;
	for (size_t i = 0; i < material->authority_count; i++)
		authority_free(material->authorities[i]);
	for (size_t i = 0; i < material->crl_count; i++)
		crl_free(material->crls[i]);
	free(material->authorities);
	free(material->crls);
	free(material);
}

/* `der` is known to be one certificate as far as certificate_read() goes. */
static enum error try_x509(struct span der, X509 **ret, const char **ret_problem)
{
	__attribute__((cleanup(x509_freep))) X509 *certificate = NULL;
	const unsigned char *at = der.bytes;
	const char *problem = NULL;

	ERR_clear_error();
	certificate = d2i_X509(NULL, &at, (long)der.length);
	/* Extensions, key and its strength are worked out once. Where memory is short meanwhile,
	 * what is missing stays missing as long as the certificate is there. */
	if (!certificate)
		problem = "not a certificate that can be verified";
	else if (X509_check_purpose(certificate, -1, 0) != 1)
		problem = "a certificate with malformed extensions";
	else if (!X509_get0_pubkey(certificate) ||
		 EVP_PKEY_get_security_bits(X509_get0_pubkey(certificate)) <= 0)
		problem = "a certificate with a key that can't be used";
	if (openssl_error_is_memory())
		return ERROR_MEMORY;
	*ret_problem = problem;
	if (!problem) {
		*ret = certificate;
		certificate = NULL;
	}
	return OK;
}

/* OpenSSL 3.0 drops the error of decoding a key, also where memory was short: see
 * find_chain_surely(). */
static enum error read_x509(struct span der, X509 **ret, const char **ret_problem)
{
	enum error error = try_x509(der, ret, ret_problem);

	if (error == OK && *ret_problem)
		error = try_x509(der, ret, ret_problem);
	return error;
}

/* *ret is set only where there is no problem. */
static enum error authority_new(struct span der, struct authority **ret, const char **ret_problem)
{
	__attribute__((cleanup(authority_freep))) struct authority *authority =
		calloc(1, sizeof(*authority));
	struct certificate_facts facts;
	const char *problem;
	enum error error;

	if (!authority)
		return ERROR_MEMORY;
	if ((error = certificate_read(der, &facts, &problem)) != OK)
		return error;
	if (!problem && (error = read_x509(der, &authority->certificate, &problem)) != OK)
		return error;
	*ret_problem = problem;
	if (problem)
		return OK;
	memcpy(authority->fingerprint, facts.fingerprint, sizeof(facts.fingerprint));
	memcpy(authority->subject, facts.subject, sizeof(facts.subject));
	memcpy(authority->issuer, facts.issuer, sizeof(facts.issuer));
	authority->not_before_sec = facts.not_before_sec;
	authority->not_after_sec = facts.not_after_sec;
	*ret = authority;
	authority = NULL;
	return OK;
}

static struct authority *find_authority(
	const struct trust_material *material, const uint8_t fingerprint[FINGERPRINT_BYTES])
{
	for (size_t i = 0; i < material->authority_count; i++)
		if (memcmp(material->authorities[i]->fingerprint, fingerprint, FINGERPRINT_BYTES) ==
			0)
			return material->authorities[i];
	return NULL;
}

/* RFC 5280 6.1.4 (k), (n): basicConstraints, and keyCertSign where there is a keyUsage. Roots of
 * version 1 can't have them, and are believed because the administrator says so. */
static const char *check_authority(X509 *certificate, bool is_anchor)
{
	switch (X509_check_ca(certificate)) {
	case 1:
		return NULL;
	case 3: /* self-signed and of version 1 */
		if (is_anchor)
			return NULL;
		break;
	}
	return "not the certificate of a certificate authority";
}

static enum error add_authority(
	struct trust_material *material, struct span der, bool is_anchor, const char **ret_problem)
{
	__attribute__((cleanup(authority_freep))) struct authority *authority = NULL;
	struct authority **grown, *known;
	const char *problem = NULL;
	enum error error;

	if ((error = authority_new(der, &authority, &problem)) != OK)
		return error;
	if (!problem)
		problem = check_authority(authority->certificate, is_anchor);
	*ret_problem = problem;
	if (problem)
		return OK;
	authority->is_anchor = is_anchor;
	/* Twice the same would double the paths at every step. */
	known = find_authority(material, authority->fingerprint);
	if (known) {
		known->is_anchor = known->is_anchor || is_anchor;
		return OK;
	}
	grown = reallocarray(material->authorities, material->authority_count + 1, sizeof(*grown));
	if (!grown)
		return ERROR_MEMORY;
	material->authorities = grown;
	grown[material->authority_count++] = authority;
	authority = NULL;
	return OK;
}

enum error trust_add_anchor(
	struct trust_material *material, struct span der, const char **ret_problem)
{
	return add_authority(material, der, true, ret_problem);
}

enum error trust_add_intermediate(
	struct trust_material *material, struct span der, const char **ret_problem)
{
	return add_authority(material, der, false, ret_problem);
}

enum error trust_add_crl(struct trust_material *material, struct span der, const char **ret_problem)
{
	__attribute__((cleanup(crl_freep))) struct crl *crl = NULL;
	const char *problem = NULL;
	struct crl **grown;
	enum error error;

	if ((error = crl_new(der, &crl, &problem)) != OK)
		return error;
	if (!problem) {
		grown = reallocarray(material->crls, material->crl_count + 1, sizeof(*grown));
		if (!grown)
			return ERROR_MEMORY;
		material->crls = grown;
		grown[material->crl_count++] = crl;
		crl = NULL;
	}
	*ret_problem = problem;
	return OK;
}

int64_t trust_lists_end_sec(const struct trust_material *material)
{
	int64_t end_sec = INT64_MAX;

	for (size_t i = 0; i < material->crl_count; i++)
		if (material->crls[i]->next_update_sec != CRL_NO_NEXT_UPDATE &&
			material->crls[i]->next_update_sec < end_sec)
			end_sec = material->crls[i]->next_update_sec;
	return end_sec;
}

/* Cut at a whole character where it is too long. */
__attribute__((format(printf, 2, 3))) static void explain(
	struct trust_verdict *verdict, const char *format, ...)
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
static enum trust_finding judge_times(const struct search *search, struct trust_verdict *verdict)
{
	for (size_t i = 1; i < search->length; i++) {
		const struct authority *authority = search->chain[i];

		if (search->now_sec < authority->not_before_sec) {
			explain(verdict, "not yet valid: %s", authority->subject);
			return TRUST_UNTRUSTED;
		}
		if (search->now_sec > authority->not_after_sec) {
			explain(verdict, "expired: %s", authority->subject);
			return TRUST_UNTRUSTED;
		}
	}
	return TRUST_TRUSTED;
}

/* A path of a single one is an anchor that is mapped itself. */
static enum error fill_stacks(
	const struct search *search, STACK_OF(X509) * trusted, STACK_OF(X509) * untrusted)
{
	const size_t last = search->length - 1;

	for (size_t i = 1; i < last; i++)
		if (!sk_X509_push(untrusted, search->chain[i]->certificate))
			return ERROR_MEMORY;
	return sk_X509_push(trusted, search->chain[last]->certificate) ? OK : ERROR_MEMORY;
}

/* PARTIAL_CHAIN: an anchor need not be self-signed. NO_CHECK_TIME: see judge_times(). Without
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
static bool is_same_chain(const struct search *search, X509_STORE_CTX *context)
{
	STACK_OF(X509) *chain = X509_STORE_CTX_get0_chain(context);

	if (sk_X509_num(chain) != (int)search->length)
		return false;
	for (size_t i = 0; i < search->length; i++)
		if (sk_X509_value(chain, (int)i) != search->chain[i]->certificate)
			return false;
	return true;
}

static void explain_failure(
	const struct search *search, X509_STORE_CTX *context, struct trust_verdict *verdict)
{
	const int depth = X509_STORE_CTX_get_error_depth(context);
	const char *subject = "";

	if (depth >= 0 && (size_t)depth < search->length)
		subject = search->chain[depth]->subject;
	explain(verdict, "%s: %s", X509_verify_cert_error_string(X509_STORE_CTX_get_error(context)),
		subject);
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
	const struct search *search, struct trust_verdict *verdict, enum trust_finding *ret)
{
	__attribute__((cleanup(x509_stack_freep))) STACK_OF(X509) *trusted = sk_X509_new_null();
	__attribute__((cleanup(x509_stack_freep))) STACK_OF(X509) *untrusted = sk_X509_new_null();
	__attribute__((cleanup(x509_store_ctx_freep))) X509_STORE_CTX *context =
		X509_STORE_CTX_new();
	int result;

	ERR_clear_error();
	if (!trusted || !untrusted || !context || fill_stacks(search, trusted, untrusted) != OK ||
		!X509_STORE_CTX_init(context, NULL, search->chain[0]->certificate, untrusted))
		return ERROR_MEMORY;
	X509_STORE_CTX_set0_trusted_stack(context, trusted);
	set_parameters(context);
	result = X509_verify_cert(context);
	if (result != 1 && is_out_of_memory(context, result))
		return ERROR_MEMORY;
	if (result != 1)
		explain_failure(search, context, verdict);
	else if (!is_same_chain(search, context))
		explain(verdict, "a shorter chain was found first: %s", search->chain[0]->subject);
	else
		*ret = TRUST_TRUSTED;
	return OK;
}

/* X509_V_PURPOSE_SSL_CLIENT would refuse anyExtendedKeyUsage (RFC 5280 4.2.1.12), and asks about
 * Netscape's extension. An authority's extended usage limits what is below it: no RFC says so, but
 * OpenSSL, NSS and Windows all do. */
static enum trust_finding judge_usage(const struct search *search, struct trust_verdict *verdict)
{
	X509 *certificate = search->chain[0]->certificate;

	if (!(X509_get_key_usage(certificate) & (KU_DIGITAL_SIGNATURE | KU_KEY_AGREEMENT))) {
		explain(verdict, "keyUsage has neither digitalSignature nor keyAgreement: %s",
			search->chain[0]->subject);
		return TRUST_WRONG_USAGE;
	}
	for (size_t i = 0; i < search->length; i++) {
		certificate = search->chain[i]->certificate;
		if (X509_get_extended_key_usage(certificate) & (XKU_SSL_CLIENT | XKU_ANYEKU))
			continue;
		explain(verdict, "extendedKeyUsage does not have clientAuth: %s",
			search->chain[i]->subject);
		return TRUST_WRONG_USAGE;
	}
	return TRUST_TRUSTED;
}

/* Everything below the anchor, to the end: one certificate whose list is missing must not hide
 * another one that is revoked. */
static enum error judge_revocation(
	const struct search *search, struct trust_verdict *verdict, enum trust_finding *ret)
{
	enum trust_finding finding = TRUST_TRUSTED;

	for (size_t i = 0; i + 1 < search->length; i++) {
		const struct authority *const *link = &search->chain[i];
		enum crl_standing standing;
		const char *why;
		enum error error;

		error = crl_judge(search->material->crls, search->material->crl_count,
			link[0]->certificate, link[1]->certificate, search->now_sec, &standing,
			&why);
		if (error != OK)
			return error;
		if (standing == CRL_REVOKED) {
			explain(verdict, "revoked: %s", link[0]->subject);
			*ret = TRUST_REVOKED;
			return OK;
		}
		if (standing != CRL_GOOD && finding == TRUST_TRUSTED) {
			explain(verdict, "%s: %s, of %s", why, link[0]->subject, link[1]->subject);
			finding = TRUST_REVOCATION_UNKNOWN;
		}
	}
	*ret = finding;
	return OK;
}

static enum error judge_chain(const struct search *search, struct trust_verdict *verdict)
{
	enum trust_finding finding = TRUST_UNTRUSTED;
	enum error error;

	if ((error = judge_signatures(search, verdict, &finding)) != OK)
		return error;
	if (finding == TRUST_TRUSTED && search->rule->require_client_auth)
		finding = judge_usage(search, verdict);
	if (finding == TRUST_TRUSTED && search->rule->revocation != TRUST_REVOCATION_NONE) {
		if ((error = judge_revocation(search, verdict, &finding)) != OK)
			return error;
		if (finding == TRUST_REVOCATION_UNKNOWN &&
			search->rule->revocation == TRUST_REVOCATION_PREFER) {
			verdict->degraded = true;
			finding = TRUST_TRUSTED;
		}
	}
	verdict->finding = finding;
	return OK;
}

static bool is_better(const struct trust_verdict *one, const struct trust_verdict *other)
{
	if (one->finding != other->finding)
		return one->finding > other->finding;
	return other->degraded && !one->degraded;
}

/* The chain from the mapped certificate to an anchor is whole. */
static enum error end_path(struct search *search)
{
	struct trust_verdict verdict = { 0 };
	enum error error;

	if (judge_times(search, &verdict) == TRUST_TRUSTED) {
		search->path_count++;
		if ((error = judge_chain(search, &verdict)) != OK)
			return error;
	}
	if (!search->is_judged || is_better(&verdict, &search->best))
		search->best = verdict;
	search->is_judged = true;
	return OK;
}

static bool is_clean(const struct trust_verdict *verdict)
{
	return verdict->finding == TRUST_TRUSTED && !verdict->degraded;
}

static bool is_over(const struct search *search)
{
	return is_clean(&search->best) || search->path_count >= PATHS_MAX ||
	       search->step_count >= STEPS_MAX;
}

static bool is_in_chain(const struct search *search, const struct authority *authority)
{
	for (size_t i = 0; i < search->length; i++)
		if (search->chain[i] == authority)
			return true;
	return false;
}

/* Names, key identifiers and the right to sign; the signature is looked at once the path is whole.
 */
static bool may_be_next(const struct search *search, const struct authority *authority)
{
	const struct authority *last = search->chain[search->length - 1];

	return X509_check_issued(authority->certificate, last->certificate) == X509_V_OK &&
	       !is_in_chain(search, authority);
}

/* The dead end that is nearest to an anchor is the one to repair. */
static void explain_dead_end(struct search *search, const char *why, const char *name)
{
	if (search->is_judged || search->length <= search->deepest)
		return;
	search->deepest = search->length;
	explain(&search->best, "%s: %s", why, name);
}

static enum error walk(struct search *search);

static enum error step(struct search *search, const struct authority *authority)
{
	enum error error = OK;

	search->step_count++;
	search->chain[search->length++] = authority;
	if (authority->is_anchor)
		error = end_path(search);
	else if (search->length < TRUST_CHAIN_MAX)
		error = walk(search);
	else
		explain_dead_end(search, "the chain is too long", search->chain[0]->subject);
	search->length--;
	return error;
}

/* Everything that may have issued the last one of the chain, anchors first: the shortest paths come
 * first. Recursive, at most TRUST_CHAIN_MAX deep. */
static enum error walk(struct search *search)
{
	const struct trust_material *material = search->material;
	bool is_dead_end = true;
	enum error error;

	for (size_t i = 0; i < 2 * material->authority_count && !is_over(search); i++) {
		const bool is_anchor_turn = i < material->authority_count;
		const struct authority *authority =
			material->authorities[i % material->authority_count];

		if (authority->is_anchor != is_anchor_turn || !may_be_next(search, authority))
			continue;
		is_dead_end = false;
		if ((error = step(search, authority)) != OK)
			return error;
	}
	if (is_dead_end && !is_over(search))
		explain_dead_end(search, "no anchor or intermediate is its issuer",
			search->chain[search->length - 1]->subject);
	return OK;
}

static enum error find_chain(struct search *search, struct authority *mapped)
{
	const struct authority *anchor = find_authority(search->material, mapped->fingerprint);
	enum error error = OK;

	search->chain[0] = mapped;
	search->length = 1;
	if (anchor && anchor->is_anchor)
		error = end_path(search);
	if (error == OK && !is_over(search))
		error = walk(search);
	if (error == OK && is_over(search) && search->best.finding == TRUST_UNTRUSTED)
		explain(&search->best, "too many chains are possible: %s", mapped->subject);
	return error;
}

/* Where memory is short for a moment, a key is "too weak" to some functions of OpenSSL, a signature
 * "wrong" or an issuer none. A verdict is remembered, so anything but a clean yes must come out
 * twice, and with memory to spare. */
static enum error find_chain_surely(struct search *search, struct authority *mapped)
{
	struct search again = *search;
	enum error error = find_chain(search, mapped);

	if (error != OK || is_clean(&search->best))
		return error;
	if ((error = find_chain(&again, mapped)) != OK)
		return error;
	if (openssl_error_is_memory())
		return ERROR_MEMORY;
	return again.best.finding == search->best.finding &&
			       again.best.degraded == search->best.degraded
		       ? OK
		       : ERROR_MEMORY;
}

/* Something changes at `change_sec`: it is another case from that second on. */
static void narrow(struct trust_verdict *verdict, int64_t now_sec, int64_t change_sec)
{
	if (change_sec <= now_sec && change_sec > verdict->stands_from_sec)
		verdict->stands_from_sec = change_sec;
	if (change_sec > now_sec && change_sec - 1 < verdict->stands_until_sec)
		verdict->stands_until_sec = change_sec - 1;
}

/* Every time in the material counts, not only those of the chain: another certificate that becomes
 * valid, or another list, can open a better path. Looking again too early costs one check; a
 * verdict that outlives its reasons would let somebody in. */
static void set_times(struct trust_verdict *verdict, const struct search *search)
{
	const struct trust_material *material = search->material;
	const int64_t now_sec = search->now_sec;

	verdict->stands_from_sec = INT64_MIN;
	verdict->stands_until_sec = INT64_MAX;
	for (size_t i = 0; i < material->authority_count; i++) {
		narrow(verdict, now_sec, material->authorities[i]->not_before_sec);
		narrow(verdict, now_sec, material->authorities[i]->not_after_sec + 1);
	}
	if (search->rule->revocation == TRUST_REVOCATION_NONE)
		return;
	for (size_t i = 0; i < material->crl_count; i++) {
		narrow(verdict, now_sec, material->crls[i]->this_update_sec);
		if (material->crls[i]->next_update_sec != CRL_NO_NEXT_UPDATE)
			narrow(verdict, now_sec, material->crls[i]->next_update_sec + 1);
	}
}

enum error trust_check(struct trust_material *material, const struct trust_rule *rule,
	struct span der, int64_t now_sec, struct trust_verdict *ret)
{
	__attribute__((cleanup(authority_freep))) struct authority *mapped = NULL;
	struct search search = { .material = material, .rule = rule, .now_sec = now_sec };
	const char *problem = NULL;
	enum error error;

	if ((error = authority_new(der, &mapped, &problem)) != OK)
		return error;
	if (problem)
		explain(&search.best, "%s", problem);
	else if ((error = find_chain_surely(&search, mapped)) != OK)
		return error;
	ERR_clear_error();
	set_times(&search.best, &search);
	*ret = search.best;
	return OK;
}
