/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* assurance.c owns the memory of materials and verdicts, and when they are stale. */
#include "assurance.h"

#include "armour.h"
#include "crl_file.h"
#include "store_trust.h"
#include "trust.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Services whose anchors and lists are kept at a time: those that have some of their own, of which
 * a machine has few, and all others together. */
#define MATERIALS_MAX 8u
/* Verdicts that are kept; where two certificates meet in a place, the later one stays. */
#define VERDICTS_MAX 256u
#define SERVICE_BYTES 64u

struct material {
	bool is_used;
	char scope[SERVICE_BYTES + 1]; /* see scope_of() */
	struct trust_material *trust;
	char problem[256]; /* of the first row that could not be used; "": of none */
};

struct verdict {
	bool is_used;
	char scope[SERVICE_BYTES + 1];
	uint8_t fingerprint[MAPPING_FINGERPRINT_BYTES];
	enum store_revocation revocation;
	struct trust_verdict trust;
	char problem[256]; /* as in the material, which may be given up before */
};

struct assurance {
	unsigned version; /* of the database that all of this was read from */
	struct material materials[MATERIALS_MAX];
	size_t next_material; /* the place that is taken over next */
	struct verdict verdicts[VERDICTS_MAX];
	char concern[TRUST_WHY_MAX_BYTES + 256];
};

enum error assurance_new(struct assurance **ret)
{
	struct assurance *assurance = calloc(1, sizeof *assurance);

	if (!assurance)
		return ERROR_MEMORY;
	*ret = assurance;
	return OK;
}

void assurance_forget(struct assurance *assurance)
{
	for (size_t i = 0; i < MATERIALS_MAX; i++) {
		trust_material_free(assurance->materials[i].trust);
		assurance->materials[i] = (struct material){ 0 };
	}
	for (size_t i = 0; i < VERDICTS_MAX; i++)
		assurance->verdicts[i].is_used = false;
}

void assurance_free(struct assurance *assurance)
{
	if (!assurance)
		return;
	assurance_forget(assurance);
	free(assurance);
}

/* Who asks names the service, and may name any: with a material for each name, a client could have
 * long lists read for every one of its lookups. */
static struct span scope_of(
	const struct store_question *question, const struct store_answer *answer)
{
	return answer->has_own_trust ? question->service : span_of_string("*");
}

static bool is_scope(const char *name, struct span scope)
{
	return span_is_equal(span_of_string(name), scope);
}

static enum error add_list(
	struct trust_material *trust, struct span content, const char **ret_problem)
{
	uint8_t *room CRL_FILE_FREE = NULL;
	struct span der;
	enum error error = crl_file_open(content, &der, &room, ret_problem);

	if (error != OK || *ret_problem)
		return error;
	return trust_add_crl(trust, der, ret_problem);
}

static enum error add_certificate(struct trust_material *trust, enum store_trust_kind kind,
	struct span content, const char **ret_problem)
{
	uint8_t der[ARMOUR_DER_MAX_BYTES];
	size_t length;
	enum armour_finding finding = armour_open_stored(content, der, sizeof der, &length);

	if (finding != ARMOUR_OPENED) {
		*ret_problem = armour_finding_text(finding);
		return OK;
	}
	return kind == STORE_TRUST_ANCHOR
		       ? trust_add_anchor(trust, span_of(der, length), ret_problem)
		       : trust_add_intermediate(trust, span_of(der, length), ret_problem);
}

enum error assurance_add(struct trust_material *material, enum store_trust_kind kind,
	struct span content, const char **ret_problem)
{
	return kind == STORE_TRUST_CRL ? add_list(material, content, ret_problem)
				       : add_certificate(material, kind, content, ret_problem);
}

/* A row that can't be used makes more refusals, and they say why. */
static enum error take_row(
	int64_t id, enum store_trust_kind kind, struct span content, void *context)
{
	struct material *material = context;
	const char *problem = NULL;
	enum error error = assurance_add(material->trust, kind, content, &problem);

	if (error == OK && problem && material->problem[0] == '\0')
		snprintf(material->problem, sizeof material->problem, "row %lld of trust: %s",
			(long long)id, problem);
	return error;
}

/* Read for the very service: where it got rows of its own since the question, they are not to be
 * mixed with those of '*'. The version is another one then, and all of it forgotten at the next. */
static enum error read_material(struct assurance *assurance, struct store *store,
	struct span service, struct span scope, struct material **ret,
	struct store_trouble *ret_trouble)
{
	struct material *material = &assurance->materials[assurance->next_material];
	enum error error;

	trust_material_free(material->trust);
	*material = (struct material){ 0 };
	if (scope.length > SERVICE_BYTES)
		return ERROR_TOO_LARGE;
	if ((error = trust_material_new(&material->trust)) != OK ||
		(error = store_list_trust(store, service, take_row, material, ret_trouble)) != OK)
		return error;
	memcpy(material->scope, scope.bytes, scope.length);
	material->is_used = true;
	assurance->next_material = (assurance->next_material + 1) % MATERIALS_MAX;
	*ret = material;
	return OK;
}

static enum error find_material(struct assurance *assurance, struct store *store,
	struct span service, struct span scope, struct material **ret,
	struct store_trouble *ret_trouble)
{
	for (size_t i = 0; i < MATERIALS_MAX; i++) {
		struct material *material = &assurance->materials[i];

		if (material->is_used && is_scope(material->scope, scope)) {
			*ret = material;
			return OK;
		}
	}
	return read_material(assurance, store, service, scope, ret, ret_trouble);
}

static struct verdict *place_of(
	struct assurance *assurance, struct span scope, const struct mapping *mapping)
{
	size_t place = mapping->fingerprint[0];

	for (size_t i = 0; i < scope.length; i++)
		place += scope.bytes[i];
	return &assurance->verdicts[place % VERDICTS_MAX];
}

static bool stands(const struct verdict *verdict, struct span scope, const struct mapping *mapping,
	enum store_revocation revocation, int64_t now_sec)
{
	return verdict->is_used && is_scope(verdict->scope, scope) &&
	       memcmp(verdict->fingerprint, mapping->fingerprint, sizeof verdict->fingerprint) ==
		       0 &&
	       verdict->revocation == revocation && now_sec >= verdict->trust.stands_from_sec &&
	       now_sec <= verdict->trust.stands_until_sec;
}

static enum trust_revocation rule_of(enum store_revocation revocation)
{
	switch (revocation) {
	case STORE_REVOCATION_PREFER:
		return TRUST_REVOCATION_PREFER;
	case STORE_REVOCATION_OFF:
		return TRUST_REVOCATION_NONE;
	case STORE_REVOCATION_REQUIRE:
		break;
	}
	return TRUST_REVOCATION_REQUIRE;
}

/* The bytes that were presented where there are any: they are those of the mapping. */
static enum error find_der(struct store *store, const struct store_question *question,
	const struct mapping *mapping, uint8_t *der, struct span *ret,
	struct store_trouble *ret_trouble)
{
	size_t length;
	enum error error;

	if (span_is_present(question->der)) {
		*ret = question->der;
		return OK;
	}
	error = store_read_der(store, mapping->id, der, ARMOUR_DER_MAX_BYTES, &length, ret_trouble);
	if (error == OK)
		*ret = span_of(der, length);
	return error;
}

static enum error find_out(struct assurance *assurance, struct store *store,
	const struct store_question *question, const struct store_answer *answer,
	const struct mapping *mapping, int64_t now_sec, struct verdict *verdict,
	struct store_trouble *ret_trouble)
{
	const struct trust_rule rule = {
		.require_client_auth = true,
		.revocation = rule_of(answer->revocation),
	};
	uint8_t room[ARMOUR_DER_MAX_BYTES];
	struct material *material;
	struct span der;
	enum error error;

	verdict->is_used = false;
	if ((error = find_material(assurance, store, question->service, scope_of(question, answer),
		     &material, ret_trouble)) != OK ||
		(error = find_der(store, question, mapping, room, &der, ret_trouble)) != OK ||
		(error = trust_check(material->trust, &rule, der, now_sec, &verdict->trust)) != OK)
		return error;
	snprintf(verdict->scope, sizeof verdict->scope, "%s", material->scope);
	memcpy(verdict->fingerprint, mapping->fingerprint, sizeof verdict->fingerprint);
	snprintf(verdict->problem, sizeof verdict->problem, "%s", material->problem);
	verdict->revocation = answer->revocation;
	verdict->is_used = true;
	return OK;
}

static enum mapping_trust trust_of(enum trust_finding finding)
{
	switch (finding) {
	case TRUST_TRUSTED:
		return MAPPING_TRUSTED;
	case TRUST_WRONG_USAGE:
		return MAPPING_WRONG_USAGE;
	case TRUST_REVOKED:
		return MAPPING_REVOKED;
	case TRUST_REVOCATION_UNKNOWN:
		return MAPPING_REVOCATION_UNKNOWN;
	case TRUST_UNTRUSTED:
		break;
	}
	return MAPPING_UNTRUSTED;
}

/* What is wrong with the chain, and with the first row of trust that could not be used: often the
 * one is why. */
static const char *word_concern(struct assurance *assurance, const struct verdict *verdict)
{
	if (verdict->trust.why[0] == '\0')
		return NULL;
	snprintf(assurance->concern, sizeof assurance->concern, "%s%s%s", verdict->trust.why,
		verdict->problem[0] ? "; " : "", verdict->problem);
	return assurance->concern;
}

enum error assurance_judge(struct assurance *assurance, struct store *store,
	const struct store_question *question, const struct store_answer *answer,
	struct mapping *mapping, int64_t now_sec, const char **ret_concern,
	struct store_trouble *ret_trouble)
{
	const struct span scope = scope_of(question, answer);
	struct verdict *verdict = place_of(assurance, scope, mapping);
	enum error error = OK;

	/* Any edit may be one of trust. The daemon's own commits are none, and do not count here.
	 */
	if (assurance->version != store_version(store)) {
		assurance_forget(assurance);
		assurance->version = store_version(store);
	}
	if (!stands(verdict, scope, mapping, answer->revocation, now_sec))
		error = find_out(
			assurance, store, question, answer, mapping, now_sec, verdict, ret_trouble);
	if (error != OK)
		return error;
	mapping->trust = trust_of(verdict->trust.finding);
	*ret_concern = word_concern(assurance, verdict);
	return OK;
}
