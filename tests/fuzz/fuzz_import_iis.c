/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * fuzz_import_iis.c: applicationHost.config keeps the promises of import_case.c. Every row that is
 * not refused has a certificate, an account and a service that a person named, or is refused;
 * libxml2 asks for no other file, and no document type passes.
 *
 * An input: a byte of options, and the XML.
 */
#include "import_case.h"

#include <libxml/xmlIO.h>

/* Bits of the first byte. */
#define ENABLES 0x01
#define LOWERS 0x02
#define SERVER_IS_ALL 0x04
#define SERVER_IS_ONE 0x08
#define SITE 0x10
#define APPLICATION 0x20
#define DOMAIN 0x40

static int must_not_be_asked(const char *name)
{
	MUST(!name);
	return 0;
}

static void add_location(struct import *import, const char *name, const char *service)
{
	import->locations[import->location_count++] = (struct import_location){
		.name = name,
		.length = strlen(name),
		.service = service,
	};
}

static void choose(struct import *import, uint8_t choice)
{
	import->enables = choice & ENABLES;
	import->lowers = choice & LOWERS;
	if (choice & SERVER_IS_ALL)
		add_location(import, "", "*");
	else if (choice & SERVER_IS_ONE)
		add_location(import, "", "proftpd");
	if (choice & SITE)
		add_location(import, "Default Web Site", "vsftpd");
	if (choice & APPLICATION)
		add_location(import, "Default Web Site/app", "-");
	if (choice & DOMAIN)
		import->domains[import->domain_count++] = "CONTOSO";
}

static bool is_named(const struct import *import, const char *service)
{
	for (size_t i = 0; i < import->location_count; i++)
		if (strcmp(service, "-") != 0 && strcmp(service, import->locations[i].service) == 0)
			return true;
	return false;
}

static bool has_capital(const char *text)
{
	return text[strcspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZ")] != '\0';
}

static void check(const struct import *import, enum ctl_status status, struct span content)
{
	(void)content;
	for (size_t i = 0; i < import->row_count; i++) {
		const struct import_row *row = &import->rows[i];

		if (row->result == IMPORT_REFUSED)
			continue;
		MUST(row->der && row->account && row->enabled.is_given);
		MUST(is_named(import, row->service));
		MUST(!import->lowers || !has_capital(row->account));
	}
	for (size_t i = 0; i < import->location_count && status == CTL_DONE; i++)
		MUST(import->locations[i].is_met);
}

/* import_iis() takes libxml2 down when it is done, and these calls with it. */
static enum ctl_status read_guarded(struct import *import)
{
	xmlInitParser();
	MUST(xmlRegisterInputCallbacks(must_not_be_asked, NULL, NULL, NULL) >= 0);
	return import_iis(import);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_input input = { span_of(data, size) };
	struct import options = { 0 };
	FUZZ_PART content = { 0 };

	choose(&options, fuzz_take_byte(&input));
	content = fuzz_take_rest(&input);
	import_case_run(read_guarded, &options, content, span_of("", 0), check);
	return 0;
}
