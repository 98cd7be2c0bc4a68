/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * fuzz_import_csv.c: CSV keeps the promises of import_case.c, and a NUL, which would cut a text
 * short, refuses its row or the whole.
 *
 * An input: a part that is the file beside, and the CSV.
 */
#include "import_case.h"

static void check(const struct import *import, enum ctl_status status, struct span content)
{
	MUST(import->object_count == 0 && import->note_count == 0);
	if (status == CTL_REFUSED || content.length == 0 ||
		!memchr(content.bytes, '\0', content.length))
		return;
	for (size_t i = 0; i < import->row_count; i++)
		if (import->rows[i].result == IMPORT_REFUSED)
			return;
	MUST(!"a NUL was taken");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_input input = { span_of(data, size) };
	FUZZ_PART beside = fuzz_take_part(&input);
	FUZZ_PART content = fuzz_take_rest(&input);
	const struct import options = { 0 };

	import_case_run(import_csv, &options, content, beside, check);
	return 0;
}
