/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * trust.c owns the search for chains.
 *
 * X509_verify_cert() follows one issuer per step and stops at its first error. Where authorities
 * are cross-signed, that is one path of several, and perhaps the one that ends nowhere. So we walk
 * the paths here, and let trust_path.c judge one at a time, whole.
 */
#include "trust_private.h"

#include "openssl_error.h"

/* The time that a search may take, whatever the certificates that have each other's names. Each
 * path costs as many verifications as it is long; each step a comparison with all there are. */
#define PATHS_MAX 16u
#define STEPS_MAX 256u

/* One search from the mapped certificate, which is the first of the chain. */
struct search {
	struct trust_path path;
	size_t deepest; /* dead end that was explained */
	size_t path_count, step_count;
	bool is_judged; /* `best` is of a whole chain */
	struct trust_verdict best;
};

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

	if (trust_judge_times(&search->path, &verdict) == TRUST_TRUSTED) {
		search->path_count++;
		if ((error = trust_judge_path(&search->path, &verdict)) != OK)
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
	for (size_t i = 0; i < search->path.length; i++)
		if (search->path.chain[i] == authority)
			return true;
	return false;
}

/* Names, key identifiers and the right to sign; the signature is looked at once the path is whole.
 */
static bool may_be_next(const struct search *search, const struct authority *authority)
{
	const struct authority *last = search->path.chain[search->path.length - 1];

	return X509_check_issued(authority->certificate, last->certificate) == X509_V_OK &&
	       !is_in_chain(search, authority);
}

/* The dead end that is nearest to an anchor is the one to repair. */
static void explain_dead_end(struct search *search, const char *why, const char *name)
{
	if (search->is_judged || search->path.length <= search->deepest)
		return;
	search->deepest = search->path.length;
	trust_explain(&search->best, "%s: %s", why, name);
}

static enum error walk(struct search *search);

static enum error step(struct search *search, const struct authority *authority)
{
	enum error error = OK;

	search->step_count++;
	search->path.chain[search->path.length++] = authority;
	if (authority->is_anchor)
		error = end_path(search);
	else if (search->path.length < TRUST_CHAIN_MAX)
		error = walk(search);
	else
		explain_dead_end(search, "the chain is too long", search->path.chain[0]->subject);
	search->path.length--;
	return error;
}

/* Everything that may have issued the last one of the chain, anchors first: the shortest paths come
 * first. Recursive, at most TRUST_CHAIN_MAX deep. */
static enum error walk(struct search *search)
{
	const struct trust_material *material = search->path.material;
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
			search->path.chain[search->path.length - 1]->subject);
	return OK;
}

static enum error find_chain(struct search *search, struct authority *mapped)
{
	const struct authority *anchor =
		trust_find_authority(search->path.material, mapped->fingerprint);
	enum error error = OK;

	search->path.chain[0] = mapped;
	search->path.length = 1;
	if (anchor && anchor->is_anchor)
		error = end_path(search);
	if (error == OK && !is_over(search))
		error = walk(search);
	if (error == OK && is_over(search) && search->best.finding == TRUST_UNTRUSTED)
		trust_explain(&search->best, "too many chains are possible: %s", mapped->subject);
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
	const struct trust_material *material = search->path.material;
	const int64_t now_sec = search->path.now_sec;

	verdict->stands_from_sec = INT64_MIN;
	verdict->stands_until_sec = INT64_MAX;
	for (size_t i = 0; i < material->authority_count; i++) {
		narrow(verdict, now_sec, material->authorities[i]->not_before_sec);
		narrow(verdict, now_sec, material->authorities[i]->not_after_sec + 1);
	}
	if (search->path.rule->revocation == TRUST_REVOCATION_NONE)
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
	struct authority *mapped TRUST_AUTHORITY_FREE = NULL;
	struct search search = {
		.path = { .material = material, .rule = rule, .now_sec = now_sec },
	};
	const char *problem = NULL;
	enum error error;

	if ((error = trust_authority_new(der, &mapped, &problem)) != OK)
		return error;
	if (problem)
		trust_explain(&search.best, "%s", problem);
	else if ((error = find_chain_surely(&search, mapped)) != OK)
		return error;
	ERR_clear_error();
	set_times(&search.best, &search);
	*ret = search.best;
	return OK;
}
