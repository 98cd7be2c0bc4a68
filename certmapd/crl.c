/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * crl.c owns the reading of revocation lists and the rule for what they say.
 *
 * X509_verify_cert()'s own check is not used: it picks one list per certificate by a score before
 * it looks at any signature, so that a list of another key with the issuer's name can displace the
 * right one; it does so before the chain's signatures are verified; and it can't tell a stale list
 * that names the certificate from one that does not.
 */
#include "crl.h"

#include "openssl_error.h"

#include <limits.h>
#include <openssl/evp.h>
#include <openssl/objects.h>
#include <openssl/rsa.h>
#include <stdlib.h>
#include <time.h>

/* OpenSSL's security level 2 is 112 bits, which is half of what a digest has. */
#define DIGEST_MIN_BYTES 28

/* What is nearest to a list that could be used is the most useful thing to say. */
enum shortcoming {
	SHORTCOMING_MISSING = 0,
	SHORTCOMING_OTHER_KEY,
	SHORTCOMING_MAY_NOT_SIGN,
	SHORTCOMING_PARTIAL,
	SHORTCOMING_WITHOUT_NEXT_UPDATE,
	SHORTCOMING_NOT_YET_VALID,
	SHORTCOMING_STALE,
	SHORTCOMING_NONE,
};

static const char *const shortcoming_texts[] = {
	[SHORTCOMING_MISSING] = "there is no revocation list",
	[SHORTCOMING_OTHER_KEY] = "the revocation list is signed by another key",
	[SHORTCOMING_MAY_NOT_SIGN] = "the issuer's certificate may not sign revocation lists",
	[SHORTCOMING_PARTIAL] = "the revocation list does not cover this certificate",
	[SHORTCOMING_WITHOUT_NEXT_UPDATE] = "the revocation list has no time of the next update",
	[SHORTCOMING_NOT_YET_VALID] = "the revocation list is not yet valid",
	[SHORTCOMING_STALE] = "the revocation list is stale",
	[SHORTCOMING_NONE] = NULL,
};

static void dist_points_freep(CRL_DIST_POINTS **points)
{
	CRL_DIST_POINTS_free(*points);
}

static void pss_freep(RSA_PSS_PARAMS **parameters)
{
	RSA_PSS_PARAMS_free(*parameters);
}

static void crl_freep(struct crl **crl)
{
	crl_free(*crl);
}

void crl_free(struct crl *crl)
{
	if (!crl)
		return;
	ISSUING_DIST_POINT_free(crl->scope);
	X509_CRL_free(crl->list);
	free(crl);
}

static bool is_digest_strong(int nid)
{
	const EVP_MD *digest = EVP_get_digestbynid(nid);

	return digest && EVP_MD_get_size(digest) >= DIGEST_MIN_BYTES;
}

/* RFC 4055 3.1: the digest stands in the parameters, and is SHA-1 where it does not. */
static bool is_pss_strong(const X509_ALGOR *algorithm)
{
	__attribute__((cleanup(pss_freep))) RSA_PSS_PARAMS *parameters = NULL;
	const ASN1_OBJECT *digest;
	const void *value;
	int type;

	X509_ALGOR_get0(NULL, &type, &value, algorithm);
	if (type != V_ASN1_SEQUENCE)
		return false;
	parameters = ASN1_item_unpack(value, ASN1_ITEM_rptr(RSA_PSS_PARAMS));
	if (!parameters || !parameters->hashAlgorithm)
		return false;
	X509_ALGOR_get0(&digest, NULL, NULL, parameters->hashAlgorithm);
	return is_digest_strong(OBJ_obj2nid(digest));
}

/* OpenSSL applies its security level to certificates alone. */
static bool is_signature_strong(const X509_CRL *list)
{
	const int nid = X509_CRL_get_signature_nid(list);
	const X509_ALGOR *algorithm;
	int digest;

	X509_CRL_get0_signature(list, NULL, &algorithm);
	if (nid == NID_rsassaPss)
		return is_pss_strong(algorithm);
	if (nid == NID_ED25519 || nid == NID_ED448)
		return true;
	return OBJ_find_sigid_algs(nid, &digest, NULL) && is_digest_strong(digest);
}

/* RFC 5280 5.2: a list with a critical extension that we can't process says nothing. */
static bool are_extensions_known(const X509_CRL *list)
{
	for (int i = 0; i < X509_CRL_get_ext_count(list); i++) {
		X509_EXTENSION *extension = X509_CRL_get_ext(list, i);
		const int nid = OBJ_obj2nid(X509_EXTENSION_get_object(extension));

		if (X509_EXTENSION_get_critical(extension) &&
			nid != NID_issuing_distribution_point &&
			nid != NID_authority_key_identifier && nid != NID_crl_number)
			return false;
	}
	return true;
}

/* RFC 5280 5.3: the same for entries. certificateIssuer would make an entry another issuer's. */
static bool is_entry_known(const X509_REVOKED *entry)
{
	for (int i = 0; i < X509_REVOKED_get_ext_count(entry); i++) {
		X509_EXTENSION *extension = X509_REVOKED_get_ext(entry, i);
		const int nid = OBJ_obj2nid(X509_EXTENSION_get_object(extension));

		if (nid == NID_certificate_issuer ||
			(X509_EXTENSION_get_critical(extension) && nid != NID_crl_reason &&
				nid != NID_invalidity_date && nid != NID_hold_instruction_code))
			return false;
	}
	return true;
}

static bool are_entries_known(X509_CRL *list)
{
	STACK_OF(X509_REVOKED) *entries = X509_CRL_get_REVOKED(list);

	for (int i = 0; i < sk_X509_REVOKED_num(entries); i++)
		if (!is_entry_known(sk_X509_REVOKED_value(entries, i)))
			return false;
	return true;
}

static bool read_time(const ASN1_TIME *time, int64_t *ret_sec)
{
	struct tm tm;

	if (!time || !ASN1_TIME_to_tm(time, &tm))
		return false;
	*ret_sec = timegm(&tm);
	return true;
}

static const char *read_times(struct crl *crl)
{
	const ASN1_TIME *next_update = X509_CRL_get0_nextUpdate(crl->list);

	crl->next_update_sec = CRL_NO_NEXT_UPDATE;
	if (!read_time(X509_CRL_get0_lastUpdate(crl->list), &crl->this_update_sec) ||
		(next_update && !read_time(next_update, &crl->next_update_sec)))
		return "a revocation list with a malformed time";
	if (next_update && crl->next_update_sec < crl->this_update_sec)
		return "a revocation list whose next update comes before it";
	return NULL;
}

static const char *read_scope(struct crl *crl)
{
	int found;

	if (X509_CRL_get_ext_by_NID(crl->list, NID_delta_crl, -1) >= 0)
		return "a delta revocation list: the complete one is needed";
	crl->scope = X509_CRL_get_ext_d2i(crl->list, NID_issuing_distribution_point, &found, NULL);
	if (!crl->scope)
		return found == -1 ? NULL : "a revocation list with a malformed scope";
	if (crl->scope->indirectCRL > 0)
		return "an indirect revocation list: the issuer's own is needed";
	if (crl->scope->onlyattr > 0)
		return "a revocation list of attribute certificates";
	return NULL;
}

static const char *read_list(struct crl *crl)
{
	const char *problem;

	if ((problem = read_times(crl)) || (problem = read_scope(crl)))
		return problem;
	if (!are_extensions_known(crl->list) || !are_entries_known(crl->list))
		return "a revocation list with a critical extension that is not known";
	if (!is_signature_strong(crl->list))
		return "a revocation list whose signature is too weak";
	return NULL;
}

/* The first search sorts the list, which must not be the first login's to wait for. */
static void sort_entries(X509_CRL *list)
{
	X509_REVOKED *entry;

	entry = sk_X509_REVOKED_value(X509_CRL_get_REVOKED(list), 0);
	if (entry)
		X509_CRL_get0_by_serial(
			list, &entry, (ASN1_INTEGER *)X509_REVOKED_get0_serialNumber(entry));
}

enum error crl_new(struct span der, struct crl **ret, const char **ret_problem)
{
	__attribute__((cleanup(crl_freep))) struct crl *crl = calloc(1, sizeof(*crl));
	const unsigned char *at = der.bytes;
	const char *problem = NULL;

	if (!crl)
		return ERROR_MEMORY;
	ERR_clear_error();
	if (span_is_present(der) && der.length <= LONG_MAX) {
		crl->list = d2i_X509_CRL(NULL, &at, (long)der.length);
		if (!crl->list && !openssl_error_is_fault())
			return ERROR_MEMORY;
	}
	if (!crl->list)
		problem = "not a revocation list";
	else if (at != der.bytes + der.length)
		problem = "bytes follow after the revocation list";
	else
		problem = read_list(crl);
	if (openssl_error_is_memory())
		return ERROR_MEMORY;
	*ret_problem = problem;
	if (problem)
		return OK;
	sort_entries(crl->list);
	*ret = crl;
	crl = NULL;
	return OK;
}

/* Twice, because OpenSSL does not always say that memory was short, and a wrong answer would be
 * remembered as long as the list is there. */
static bool is_signed_by(X509_CRL *list, X509 *issuer)
{
	EVP_PKEY *key = X509_get0_pubkey(issuer);

	return X509_CRL_verify(list, key) == 1 || X509_CRL_verify(list, key) == 1;
}

static const struct crl_judgment *find_judgment(const struct crl *crl, const X509 *issuer)
{
	for (size_t i = 0; i < CRL_JUDGMENTS; i++)
		if (crl->judgments[i].issuer == issuer)
			return &crl->judgments[i];
	return NULL;
}

/* The key that verifies, and nothing else, makes it the issuer's: authorities that got a new key
 * keep their name, and both their lists may be here. */
static enum error check_signature(struct crl *crl, X509 *issuer, bool *ret_is_theirs)
{
	const struct crl_judgment *known = find_judgment(crl, issuer);
	struct crl_judgment judgment = { .issuer = issuer };

	if (known) {
		*ret_is_theirs = known->is_theirs;
		return OK;
	}
	ERR_clear_error();
	judgment.is_theirs = is_signed_by(crl->list, issuer);
	if (!judgment.is_theirs && openssl_error_is_memory())
		return ERROR_MEMORY;
	crl->judgments[crl->next_judgment] = judgment;
	crl->next_judgment = (crl->next_judgment + 1) % CRL_JUDGMENTS;
	*ret_is_theirs = judgment.is_theirs;
	return OK;
}

static bool are_names_in_common(const GENERAL_NAMES *some, const GENERAL_NAMES *others)
{
	for (int i = 0; i < sk_GENERAL_NAME_num(some); i++)
		for (int j = 0; j < sk_GENERAL_NAME_num(others); j++)
			if (GENERAL_NAME_cmp(sk_GENERAL_NAME_value(some, i),
				    sk_GENERAL_NAME_value(others, j)) == 0)
				return true;
	return false;
}

/* RFC 5280 6.3.3 (b)(2)(i), for full names. A point with reasons or a list issuer of its own
 * promises less than a complete list. */
static bool is_point_of(const DIST_POINT *point, const DIST_POINT_NAME *partition)
{
	return point->distpoint && point->distpoint->type == 0 && !point->reasons &&
	       !point->CRLissuer &&
	       are_names_in_common(point->distpoint->name.fullname, partition->name.fullname);
}

/* Large authorities cut their list into parts; a certificate names the part that it is in. */
static bool is_in_partition(X509 *certificate, const DIST_POINT_NAME *partition)
{
	__attribute__((cleanup(dist_points_freep))) CRL_DIST_POINTS *points = NULL;

	if (partition->type != 0)
		return false;
	points = X509_get_ext_d2i(certificate, NID_crl_distribution_points, NULL, NULL);
	for (int i = 0; i < sk_DIST_POINT_num(points); i++)
		if (is_point_of(sk_DIST_POINT_value(points, i), partition))
			return true;
	return false;
}

/* Whether a certificate that is not on the list is thereby not revoked. */
static bool is_covered(const struct crl *crl, X509 *certificate)
{
	const bool is_authority = X509_get_extension_flags(certificate) & EXFLAG_CA;

	if (!crl->scope)
		return true;
	if (crl->scope->onlysomereasons || (crl->scope->onlyuser > 0 && is_authority) ||
		(crl->scope->onlyCA > 0 && !is_authority))
		return false;
	return !crl->scope->distpoint || is_in_partition(certificate, crl->scope->distpoint);
}

/* What keeps a list of the right key from proving that a certificate is good. */
static enum shortcoming find_shortcoming(const struct crl *crl, X509 *certificate, int64_t now_sec)
{
	if (!is_covered(crl, certificate))
		return SHORTCOMING_PARTIAL;
	if (crl->next_update_sec == CRL_NO_NEXT_UPDATE)
		return SHORTCOMING_WITHOUT_NEXT_UPDATE;
	if (now_sec < crl->this_update_sec)
		return SHORTCOMING_NOT_YET_VALID;
	if (now_sec > crl->next_update_sec)
		return SHORTCOMING_STALE;
	return SHORTCOMING_NONE;
}

/* What was heard of one certificate so far. */
struct hearing {
	int64_t now_sec;
	bool is_named, is_cleared;
	int64_t named_sec, cleared_sec; /* by the newest list that did so */
	enum shortcoming shortcoming;   /* the nearest */
};

static void hear_shortcoming(struct hearing *hearing, enum shortcoming shortcoming)
{
	if (shortcoming > hearing->shortcoming)
		hearing->shortcoming = shortcoming;
}

static void hear_entries(struct hearing *hearing, struct crl *crl, X509 *certificate)
{
	X509_REVOKED *entry = NULL;
	enum shortcoming shortcoming;

	/* 2 would be removeFromCRL, which names nobody. */
	if (X509_CRL_get0_by_cert(crl->list, &entry, certificate) == 1) {
		if (!hearing->is_named || crl->this_update_sec > hearing->named_sec)
			hearing->named_sec = crl->this_update_sec;
		hearing->is_named = true;
		return;
	}
	shortcoming = find_shortcoming(crl, certificate, hearing->now_sec);
	hear_shortcoming(hearing, shortcoming);
	if (shortcoming != SHORTCOMING_NONE)
		return;
	if (!hearing->is_cleared || crl->this_update_sec > hearing->cleared_sec)
		hearing->cleared_sec = crl->this_update_sec;
	hearing->is_cleared = true;
}

static enum error hear(struct hearing *hearing, struct crl *crl, X509 *certificate, X509 *issuer)
{
	enum error error;
	bool is_theirs;

	if (X509_NAME_cmp(X509_CRL_get_issuer(crl->list), X509_get_issuer_name(certificate)) != 0)
		return OK;
	if ((error = check_signature(crl, issuer, &is_theirs)) != OK)
		return error;
	if (!is_theirs)
		hear_shortcoming(hearing, SHORTCOMING_OTHER_KEY);
	else if (!(X509_get_key_usage(issuer) & KU_CRL_SIGN))
		hear_shortcoming(hearing, SHORTCOMING_MAY_NOT_SIGN);
	else
		hear_entries(hearing, crl, certificate);
	return OK;
}

/* A certificate that its issuer has ever named stays revoked: a list that got old, that is dated
 * into the future by a wrong clock, or that covers a part, names no less for it. Only a newer list
 * that is valid and complete can take it back (the end of certificateHold). */
static enum crl_standing conclude(const struct hearing *hearing)
{
	if (hearing->is_named &&
		!(hearing->is_cleared && hearing->cleared_sec > hearing->named_sec))
		return CRL_REVOKED;
	return hearing->is_cleared ? CRL_GOOD : CRL_UNKNOWN;
}

enum error crl_judge(struct crl *const *crls, size_t count, X509 *certificate, X509 *issuer,
	int64_t now_sec, enum crl_standing *ret, const char **ret_why)
{
	struct hearing hearing = { .now_sec = now_sec };
	enum error error;

	ERR_clear_error();
	for (size_t i = 0; i < count; i++)
		if ((error = hear(&hearing, crls[i], certificate, issuer)) != OK)
			return error;
	if (openssl_error_is_memory())
		return ERROR_MEMORY;
	*ret = conclude(&hearing);
	*ret_why = *ret == CRL_UNKNOWN ? shortcoming_texts[hearing.shortcoming] : NULL;
	return OK;
}
