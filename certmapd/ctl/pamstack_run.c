/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* pamstack_run.c owns what becomes of the answers of a stack's lines: _pam_dispatch_aux() of
 * Linux-PAM 1.5. */
#include "pamstack_private.h"

#include <security/_pam_types.h>

/* The state of libpam's _pam_dispatch_aux() between two lines. */
struct impression {
	enum { UNDECIDED, POSITIVE, NEGATIVE } of;
	int status;
};

#define MUST_FAIL PAM_PERM_DENIED /* PAM_MUST_FAIL_CODE of libpam's pam_private.h */

static void fail(struct impression *impression, int code)
{
	if (impression->of == NEGATIVE)
		return;
	impression->of = NEGATIVE;
	impression->status = code == PAM_IGNORE ? MUST_FAIL : code;
}

static void pass(struct impression *impression, int code)
{
	if (impression->of == UNDECIDED ||
		(impression->of == POSITIVE && impression->status == PAM_SUCCESS))
		*impression = (struct impression){ POSITIVE, code };
}

/* The next line of the phase. */
static size_t next_line(const struct pamstack *stack, enum pamstack_phase phase, size_t from)
{
	while (from < stack->count && stack->lines[from].phase != phase)
		from++;
	return from;
}

/* Past the rest of this level and everything below it. */
static size_t leave_level(
	const struct pamstack *stack, enum pamstack_phase phase, size_t at, unsigned level)
{
	size_t next = next_line(stack, phase, at + 1);

	while (next < stack->count && stack->lines[next].level >= level)
		next = next_line(stack, phase, next + 1);
	return next;
}

/* Past `count` lines of this level, a substack being one. *ret_ok is false where there are fewer.
 */
static size_t jump(
	const struct pamstack *stack, enum pamstack_phase phase, size_t at, int count, bool *ret_ok)
{
	const unsigned level = stack->lines[at].level;
	size_t next = next_line(stack, phase, at + 1);

	while (count > 0 && next < stack->count && stack->lines[next].level >= level) {
		do
			next = next_line(stack, phase, next + 1);
		while (next < stack->count && stack->lines[next].level > level);
		count--;
	}
	*ret_ok = count == 0;
	return next;
}

static int code_of(const struct pamstack_line *line, pamstack_answer *answer, void *context)
{
	const int code = !line->module ? MUST_FAIL : answer(line, context);

	return code < 0 || code >= (int)PAMSTACK_CODES ? MUST_FAIL : code;
}

/* What an action does to the impression. */
static void act(
	struct impression *impression, const struct impression *entered, int action, int code)
{
	if (action == PAMSTACK_RESET)
		*impression = *entered;
	else if (action == PAMSTACK_OK || action == PAMSTACK_DONE)
		pass(impression, code);
	else if (action == PAMSTACK_BAD || action == PAMSTACK_DIE)
		fail(impression, code);
}

/* The next line after an action. */
static size_t follow(const struct pamstack *stack, enum pamstack_phase phase, size_t at, int action,
	struct impression *impression)
{
	bool is_whole = true;
	size_t next;

	if (action == PAMSTACK_DIE || (action == PAMSTACK_DONE && impression->of == POSITIVE))
		return leave_level(stack, phase, at, stack->lines[at].level);
	if (action <= 0)
		return next_line(stack, phase, at + 1);
	next = jump(stack, phase, at, action, &is_whole);
	if (!is_whole)
		*impression = (struct impression){ NEGATIVE, MUST_FAIL };
	return next;
}

int pamstack_run(const struct pamstack *stack, enum pamstack_phase phase, pamstack_answer *answer,
	void *context)
{
	struct impression impression = { UNDECIDED, MUST_FAIL };
	struct impression entered[PAMSTACK_LEVEL_MAX + 1] = { { UNDECIDED, MUST_FAIL } };
	unsigned level = 0;
	size_t at = next_line(stack, phase, 0);

	if (stack->abort)
		return PAM_ABORT;
	while (at < stack->count) {
		const struct pamstack_line *line = &stack->lines[at];
		int code, action;

		if (line->level > level)
			entered[line->level] = impression;
		level = line->level;
		if (line->is_substack) {
			at = next_line(stack, phase, at + 1);
			continue;
		}
		code = code_of(line, answer, context);
		action = !line->module ? PAMSTACK_BAD : line->actions[code];
		act(&impression, &entered[level], action, code);
		at = follow(stack, phase, at, action, &impression);
	}
	return impression.status == PAM_SUCCESS && impression.of != POSITIVE ? MUST_FAIL
									     : impression.status;
}
