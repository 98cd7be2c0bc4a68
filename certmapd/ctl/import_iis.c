/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * import_iis.c owns the reading of applicationHost.config of IIS 7 and later, by libxml2: the
 * sections iisClientCertificateMappingAuthentication of the server and of its locations, as the
 * schema of IIS describes them. Which PAM service stands for a location is for the person to say.
 */
#include "import.h"

#include "print.h"

#include <ctype.h>
#include <libxml/parser.h>
#include <malloc.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#define SECTIONS_MAX 1024u
#define SERVER "" /* the name of the server's own level */

/* One element iisClientCertificateMappingAuthentication. The texts are owned. */
struct section {
	char *path; /* "Default Web Site", "Default Web Site/app" */
	xmlNode *node;
	char *origin; /* for people */
};

struct reading {
	struct import *import;
	struct section sections[SECTIONS_MAX];
	size_t section_count;
	bool is_full;
};

/* XML ----------------------------------------------------------------------------------------- */

static bool is_element(const xmlNode *node, const char *name)
{
	return node->type == XML_ELEMENT_NODE && strcmp((const char *)node->name, name) == 0;
}

static xmlNode *child(xmlNode *node, const char *name)
{
	for (xmlNode *next = node ? node->children : NULL; next; next = next->next)
		if (is_element(next, name))
			return next;
	return NULL;
}

/* NULL: there is none. */
static char *attribute(xmlNode *node, const char *name)
{
	return (char *)xmlGetNoNsProp(node, (const xmlChar *)name);
}

static void free_attribute(char **value)
{
	xmlFree(*value);
}
#define ATTRIBUTE_FREE __attribute__((cleanup(free_attribute)))

/* Passwords of the file are in libxml2's buffers, in its tree and in what it hands out: nothing of
 * its memory is given back as it was. */
static void free_wiped(void *memory)
{
	if (memory)
		explicit_bzero(memory, malloc_usable_size(memory));
	free(memory);
}

/* realloc(3) may move what it was given, and leave it behind. */
static void *realloc_wiped(void *memory, size_t size)
{
	const size_t had = memory ? malloc_usable_size(memory) : 0;
	void *other = malloc(size);

	if (!other)
		return NULL;
	if (had > 0)
		memcpy(other, memory, had < size ? had : size);
	free_wiped(memory);
	return other;
}

/* Sections and locations --------------------------------------------------------------------- */

static void add_section(struct reading *reading, const char *path, xmlNode *system)
{
	xmlNode *node = child(child(child(system, "security"), "authentication"),
		"iisClientCertificateMappingAuthentication");
	struct section *section = &reading->sections[reading->section_count];
	char shown[256];

	if (!node)
		return;
	if (reading->section_count == SECTIONS_MAX) {
		reading->is_full = true;
		return;
	}
	print_shown(span_of_string(path), shown, sizeof shown);
	section->node = node;
	section->path = strdup(path);
	if (!section->path || asprintf(&section->origin, "%s, line %ld",
				      path[0] ? shown : "the server", xmlGetLineNo(node)) < 0) {
		free(section->path);
		reading->import->is_short = true;
		return;
	}
	reading->section_count++;
}

/* "." and no path at all are the server itself. */
static void add_location(struct reading *reading, xmlNode *location)
{
	char *path ATTRIBUTE_FREE = attribute(location, "path");
	const bool is_server = !path || strcmp(path, ".") == 0;

	for (xmlNode *next = location->children; next; next = next->next)
		if (is_element(next, "system.webServer"))
			add_section(reading, is_server ? SERVER : path, next);
}

/* Is `path` the location itself, or below it? Names are compared as Windows does. */
static bool is_within(const char *path, const char *location)
{
	const size_t length = strlen(location);

	return length == 0 || (strncasecmp(path, location, length) == 0 &&
				      (path[length] == '\0' || path[length] == '/'));
}

/* An attribute of a section, inherited from the nearest level above that sets it. NULL: nobody
 * does. */
static char *inherited(
	const struct reading *reading, const struct section *section, const char *name)
{
	char *found = NULL;
	size_t depth = 0;

	for (size_t i = 0; i < reading->section_count; i++) {
		const struct section *above = &reading->sections[i];
		char *value;

		if (!is_within(section->path, above->path) ||
			(found && strlen(above->path) < depth) ||
			!(value = attribute(above->node, name)))
			continue;
		xmlFree(found);
		found = value;
		depth = strlen(above->path);
	}
	return found;
}

static bool is_true(const char *text, bool standard)
{
	return text ? strcasecmp(text, "true") == 0 || strcmp(text, "1") == 0 : standard;
}

/* Both switches of IIS; `enabled` is off unless set, one-to-one mapping is on. */
static bool is_switched_on(const struct reading *reading, const struct section *section)
{
	char *enabled ATTRIBUTE_FREE = inherited(reading, section, "enabled");
	char *one_to_one ATTRIBUTE_FREE =
		inherited(reading, section, "oneToOneCertificateMappingsEnabled");

	return is_true(enabled, false) && is_true(one_to_one, true);
}

static struct import_location *find_location(struct import *import, const char *path)
{
	for (size_t i = 0; i < import->location_count; i++) {
		struct import_location *location = &import->locations[i];

		if (strlen(path) == location->length &&
			strncasecmp(path, location->name, location->length) == 0)
			return location;
	}
	return NULL;
}

/* User names ---------------------------------------------------------------------------------- */

/* "CONTOSO\alice" and "alice@contoso.com"; without a domain *ret_domain is not there. */
static void split_user(const char *user, struct span *ret_name, struct span *ret_domain)
{
	const char *backslash = strchr(user, '\\'), *at = strrchr(user, '@');

	*ret_name = span_of_string(user);
	*ret_domain = (struct span){ 0 };
	if (backslash) {
		*ret_domain = span_of(user, (size_t)(backslash - user));
		*ret_name = span_of_string(backslash + 1);
	} else if (at && at != user) {
		*ret_name = span_of(user, (size_t)(at - user));
		*ret_domain = span_of_string(at + 1);
	}
}

static bool is_domain(struct span domain, const char *name)
{
	return name && strlen(name) == domain.length &&
	       strncasecmp((const char *)domain.bytes, name, domain.length) == 0;
}

/* Domains whose users are accounts here under their bare names. "." is the server itself. */
static bool is_dropped(const struct import *import, struct span domain, const char *standard)
{
	if (domain.length == 0 || is_domain(domain, ".") || is_domain(domain, standard))
		return true;
	for (size_t i = 0; i < import->domain_count; i++)
		if (is_domain(domain, import->domains[i]))
			return true;
	return false;
}

static void set_account(
	struct import *import, struct import_row *row, const char *user, const char *standard)
{
	char shown[128], shown_domain[128];
	struct span name, domain;

	split_user(user, &name, &domain);
	if (span_is_present(domain) && !is_dropped(import, domain, standard)) {
		/* A machine that has joined the domain may know the whole name. */
		if (!getpwnam(user))
			import_refuse(row,
				"the domain of %s is not its section's defaultLogonDomain: "
				"--domain=%s makes an account of the name without it",
				print_shown(span_of_string(user), shown, sizeof shown),
				print_shown(domain, shown_domain, sizeof shown_domain));
		name = span_of_string(user);
	}
	if (import_set(&row->account, name) != OK) {
		import->is_short = true;
		return;
	}
	for (char *letter = row->account; import->lowers && *letter; letter++)
		*letter = (char)tolower((unsigned char)*letter);
}

/* Mappings ------------------------------------------------------------------------------------ */

/* What a section's mappings share. */
struct scope {
	struct reading *reading;
	const struct section *section;
	const char *service;
	const char *domain; /* defaultLogonDomain; NULL: none */
	bool is_off;        /* the rows come disabled, because no service can be */
	size_t first_row;   /* of the import, that is of this section */
};

static void note_password(const struct scope *scope, const struct import_row *row, xmlNode *node)
{
	char *password ATTRIBUTE_FREE = attribute(node, "password");
	char account[128];

	if (!password || password[0] == '\0')
		return;
	import_note(scope->reading->import, row->origin,
		"the password of %s %s; `certmapctl credential set' stores one",
		print_shown(span_of_string(row->account), account, sizeof account),
		strncmp(password, "[enc:", strlen("[enc:")) == 0
			? "is encrypted with a key of its server, and can't be decrypted here"
			: "stands there in clear text, and was not taken");
}

static void set_certificate(struct import *import, struct import_row *row, xmlNode *node)
{
	char *certificate ATTRIBUTE_FREE = attribute(node, "certificate");

	if (!certificate)
		import_refuse(row, "it has no certificate");
	else if (import_set_certificate(row, span_of_string(certificate)) != OK)
		import->is_short = true;
}

static struct import_row *new_row(const struct scope *scope, xmlNode *node)
{
	struct import *import = scope->reading->import;
	char path[256];
	struct import_row *row = import_add_row(import, "%s, line %ld",
		print_shown(span_of_string(
				    scope->section->path[0] ? scope->section->path : "the server"),
			path, sizeof path),
		xmlGetLineNo(node));

	if (!row || import_set(&row->service, span_of_string(scope->service)) != OK) {
		import->is_short = true;
		return NULL;
	}
	return row;
}

static void take_add(const struct scope *scope, xmlNode *node)
{
	struct import *import = scope->reading->import;
	char *user ATTRIBUTE_FREE = attribute(node, "userName");
	char *enabled ATTRIBUTE_FREE = attribute(node, "enabled");
	struct import_row *row = new_row(scope, node);

	if (!row)
		return;
	row->enabled = (struct import_number){
		.is_given = true,
		.value = is_true(enabled, true) && !scope->is_off,
	};
	if (!user || user[0] == '\0')
		import_refuse(row, "it has no userName");
	else
		set_account(import, row, user, scope->domain);
	set_certificate(import, row, node);
	if (row->account)
		note_password(scope, row, node);
}

/* Everything that stood before it, here or above, counts no more. */
static void take_clear(const struct scope *scope, xmlNode *node)
{
	struct import *import = scope->reading->import;
	const struct store_cell name = {
		.name = "name", .kind = STORE_CELL_TEXT, .bytes = span_of_string(scope->service)
	};
	const struct store_cell inherit = { .name = "inherit", .kind = STORE_CELL_INTEGER };
	struct import_object *object;

	(void)node;
	if (import->row_count > scope->first_row)
		import_note(import, scope->section->origin,
			"%zu mappings stand before a <clear/>, and were left out",
			import->row_count - scope->first_row);
	import_forget_rows(import, scope->first_row);
	if (strcmp(scope->service, "*") == 0)
		return;
	object = import_add_object(import, STORE_TABLE_SERVICE, scope->section->origin);
	if (!object || import_add_cell(object, &name) != OK ||
		import_add_cell(object, &inherit) != OK)
		import->is_short = true;
	else
		import_remark(&object->detail, "<clear/>: it sees its own mappings alone");
}

/* A mapping of a level above that does not count here: a disabled one of the service hides it. */
static void take_remove(const struct scope *scope, xmlNode *node)
{
	struct import *import = scope->reading->import;
	char path[256];
	struct import_row *row = new_row(scope, node);

	if (!row)
		return;
	set_certificate(import, row, node);
	row->enabled = (struct import_number){ .is_given = true };
	for (size_t i = 0; i + 1 < import->row_count && row->der && !row->account; i++) {
		struct import_row *other = &import->rows[i];

		if (!other->der || !other->account ||
			!span_is_equal(span_of(other->der, other->der_length),
				span_of(row->der, row->der_length)))
			continue;
		if (i >= scope->first_row)
			import_refuse(row, "it removes the mapping of %s: take both out",
				print_shown(span_of_string(other->origin), path, sizeof path));
		else if (import_set(&row->account, span_of_string(other->account)) != OK)
			import->is_short = true;
	}
	if (row->der && !row->account)
		import_refuse(row, "it removes a certificate that no level above maps");
	import_remark(&row->detail, "<remove/>: a disabled mapping hides that of the level above");
}

static void note_unknown(const struct scope *scope, const xmlNode *node)
{
	char name[64];

	if (node->type == XML_ELEMENT_NODE)
		import_note(scope->reading->import, scope->section->origin,
			"line %ld: <%s> is not known and was left out", xmlGetLineNo(node),
			print_shown(span_of_string((const char *)node->name), name, sizeof name));
}

static void take_mappings(const struct scope *scope, xmlNode *mappings)
{
	for (xmlNode *node = mappings ? mappings->children : NULL; node; node = node->next) {
		if (is_element(node, "add"))
			take_add(scope, node);
		else if (is_element(node, "clear"))
			take_clear(scope, node);
		else if (is_element(node, "remove"))
			take_remove(scope, node);
		else
			note_unknown(scope, node);
	}
}

/* What has no counterpart --------------------------------------------------------------------- */

static size_t count_rules(xmlNode *mappings)
{
	size_t count = 0;

	for (xmlNode *node = mappings ? mappings->children : NULL; node; node = node->next)
		count += is_element(node, "add");
	return count;
}

static void note_rest(const struct scope *scope)
{
	struct import *import = scope->reading->import;
	char *method ATTRIBUTE_FREE = attribute(scope->section->node, "logonMethod");
	const size_t rules = count_rules(child(scope->section->node, "manyToOneMappings"));
	char shown[64];

	if (rules > 0)
		import_note(import, scope->section->origin,
			"%zu many-to-one rules were left out: a mapping is of one certificate",
			rules);
	if (method)
		import_note(import, scope->section->origin,
			"logonMethod %s has no counterpart: the session is what the PAM stack "
			"makes it",
			print_shown(span_of_string(method), shown, sizeof shown));
}

/* "Ssl, SslNegotiateCert, SslRequireCert" of the location's <access>. */
static void note_access(const struct scope *scope)
{
	xmlNode *security = scope->section->node->parent->parent;
	char *flags ATTRIBUTE_FREE = NULL;

	for (xmlNode *node = security->children; node && !flags; node = node->next)
		if (is_element(node, "access"))
			flags = attribute(node, "sslFlags");
	if (flags && strstr(flags, "SslRequireCert"))
		import_note(scope->reading->import, scope->section->origin,
			"SslRequireCert: in /etc/pam.d/%s that is `auth required pam_certmap.so'",
			scope->service);
	else if (flags && strstr(flags, "SslNegotiateCert"))
		import_note(scope->reading->import, scope->section->origin,
			"SslNegotiateCert: in /etc/pam.d/%s that is `auth [success=done "
			"cred_insufficient=ignore default=die] pam_certmap.so'",
			scope->service);
}

/* A section ----------------------------------------------------------------------------------- */

/* The service is switched off, as the location was. That of every service can't be: it is not what
 * one location says. */
static void switch_off(struct scope *scope)
{
	struct import *import = scope->reading->import;
	const struct store_cell name = {
		.name = "name", .kind = STORE_CELL_TEXT, .bytes = span_of_string(scope->service)
	};
	const struct store_cell enabled = { .name = "enabled", .kind = STORE_CELL_INTEGER };
	struct import_object *object;

	if (strcmp(scope->service, "*") == 0) {
		scope->is_off = true;
		import_note(import, scope->section->origin,
			"IIS has the feature off here: the mappings come disabled (--enable)");
		return;
	}
	object = import_add_object(import, STORE_TABLE_SERVICE, scope->section->origin);
	if (!object || import_add_cell(object, &name) != OK ||
		import_add_cell(object, &enabled) != OK)
		import->is_short = true;
	else
		import_remark(&object->detail,
			"IIS has the feature off here: so is the service (--enable)");
}

static bool has_mappings(const struct section *section)
{
	xmlNode *mappings = child(section->node, "oneToOneMappings");

	for (xmlNode *node = mappings ? mappings->children : NULL; node; node = node->next)
		if (node->type == XML_ELEMENT_NODE)
			return true;
	return count_rules(child(section->node, "manyToOneMappings")) > 0;
}

static void refuse_location(struct reading *reading, const struct section *section)
{
	struct import_row *row = import_add_row(reading->import, "%s", section->origin);
	char path[256];

	if (!row) {
		reading->import->is_short = true;
		return;
	}
	print_shown(span_of_string(section->path), path, sizeof path);
	import_refuse(row,
		"which service is that? --location='%s=SERVICE' says it, or "
		"--location='%s=-' to leave its mappings out",
		section->path[0] ? path : "", section->path[0] ? path : "");
}

static void take_section(struct reading *reading, const struct section *section)
{
	struct import_location *location = find_location(reading->import, section->path);
	char *domain ATTRIBUTE_FREE = inherited(reading, section, "defaultLogonDomain");
	struct scope scope = {
		.reading = reading,
		.section = section,
		.domain = domain,
		.first_row = reading->import->row_count,
	};

	if (location)
		location->is_met = true;
	if (!has_mappings(section))
		return;
	if (!location) {
		refuse_location(reading, section);
		return;
	}
	if (strcmp(location->service, "-") == 0) {
		import_note(reading->import, section->origin, "left out, as --location says");
		return;
	}
	scope.service = location->service;
	if (!reading->import->enables && !is_switched_on(reading, section))
		switch_off(&scope);
	take_mappings(&scope, child(section->node, "oneToOneMappings"));
	note_rest(&scope);
	note_access(&scope);
}

/* The file ------------------------------------------------------------------------------------ */

static void find_sections(struct reading *reading, xmlNode *root)
{
	for (xmlNode *node = root->children; node; node = node->next) {
		if (is_element(node, "system.webServer"))
			add_section(reading, SERVER, node);
		else if (is_element(node, "location"))
			add_location(reading, node);
	}
}

static enum ctl_status check_locations(const struct reading *reading)
{
	char shown[128];

	for (size_t i = 0; i < reading->import->location_count; i++)
		if (!reading->import->locations[i].is_met)
			return import_fail(reading->import,
				"it has no certificate mapping for the location '%s'",
				print_shown(span_of(reading->import->locations[i].name,
						    reading->import->locations[i].length),
					shown, sizeof shown));
	return CTL_DONE;
}

static enum ctl_status read_document(struct reading *reading, xmlDoc *document)
{
	xmlNode *root = xmlDocGetRootElement(document);

	/* No file of IIS has one, and entities are what hostile XML is made of. */
	if (document->intSubset)
		return import_fail(reading->import, "it has a document type, which is refused");
	if (!root || !is_element(root, "configuration"))
		return import_fail(reading->import,
			"it is no applicationHost.config: its root is not <configuration>");
	find_sections(reading, root);
	if (reading->is_full)
		return import_fail(reading->import, "it has more than %u sections", SECTIONS_MAX);
	for (size_t i = 0; i < reading->section_count; i++)
		take_section(reading, &reading->sections[i]);
	return check_locations(reading);
}

static enum ctl_status fail_xml(struct import *import)
{
	const xmlError *trouble = xmlGetLastError();
	char text[256] = "it can't be read";
	size_t length;

	if (trouble && trouble->message)
		print_shown(span_of_string(trouble->message), text, sizeof text);
	/* libxml2 ends its messages with a line feed, which is \x0a by now. */
	length = strlen(text);
	if (length > 4 && strcmp(text + length - 4, "\\x0a") == 0)
		text[length - 4] = '\0';
	return import_fail(import, "line %d: %s", trouble ? trouble->line : 0, text);
}

/* Neither the network nor another file is ever asked for anything. */
static xmlParserInput *load_nothing(
	const char *address, const char *identifier, xmlParserCtxt *context)
{
	(void)address, (void)identifier, (void)context;
	return NULL;
}

enum ctl_status import_iis(struct import *import)
{
	struct reading reading = { .import = import };
	FILE *in = import_open(import);
	enum ctl_status status;
	xmlDoc *document;

	if (!in)
		return CTL_REFUSED;
	/* Before anything else of libxml2, as it wants. */
	xmlMemSetup(free_wiped, malloc, realloc_wiped, strdup);
	xmlSetExternalEntityLoader(load_nothing);
	document = xmlReadFd(
		fileno(in), NULL, NULL, XML_PARSE_NONET | XML_PARSE_NOERROR | XML_PARSE_NOWARNING);
	status = document ? read_document(&reading, document) : fail_xml(import);
	xmlFreeDoc(document);
	xmlCleanupParser();
	fclose(in);
	for (size_t i = 0; i < reading.section_count; i++) {
		free(reading.sections[i].path);
		free(reading.sections[i].origin);
	}
	return status;
}
