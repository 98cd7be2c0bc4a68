/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * fuzz_import_json.c: JSON keeps the promises of import_case.c, and is refused as a whole where it
 * holds anything around the one array, or a NUL.
 *
 * An input: a part that is the file beside, and the JSON.
 */
#include "import_case.h"

/* RFC 8259 2. */
static bool is_space(uint8_t byte)
{
	return byte == ' ' || byte == '\t' || byte == '\n' || byte == '\r';
}

static struct span trim(struct span text)
{
	while (text.length > 0 && is_space(text.bytes[0]))
		text = span_of(text.bytes + 1, text.length - 1);
	while (text.length > 0 && is_space(text.bytes[text.length - 1]))
		text.length--;
	return text;
}

static void check(const struct import *import, enum ctl_status status, struct span content)
{
	const struct span array = trim(content);

	MUST(import->note_count == 0);
	if (status == CTL_REFUSED)
		return;
	MUST(array.length >= 2 && array.bytes[0] == '[' && array.bytes[array.length - 1] == ']');
	MUST(!memchr(array.bytes, '\0', array.length));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_input input = { span_of(data, size) };
	FUZZ_PART beside = fuzz_take_part(&input);
	FUZZ_PART content = fuzz_take_rest(&input);
	const struct import options = { 0 };

	import_case_run(import_json, &options, content, beside, check);
	return 0;
}
