/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * options.c owns the table of options and the rule of each value. A rule gives NULL, or what is
 * wrong in words that name the remedy.
 */
#include "options.h"

#include <string.h>
#include <sys/un.h>

struct option {
	const char *name;
	bool has_value;
	const char *(*read)(const char *value, struct options *into);
};

static bool has_prefix(const char *text, const char *prefix)
{
	return strncmp(text, prefix, strlen(prefix)) == 0;
}

static bool is_variable_name(const char *name, size_t length)
{
	return length > 0 && length <= OPTIONS_NAME_MAX_BYTES && !memchr(name, '=', length);
}

static const char *read_source_variable(const char *name, enum source source, struct options *into)
{
	if (strchr(name, ','))
		return "two variables belong to accept=names, which this version does not know; "
		       "name one";
	if (!is_variable_name(name, strlen(name)))
		return "needs a variable's name of 1 to 255 bytes without '='";
	into->source = source;
	into->source_name = name;
	return NULL;
}

static const char *read_source(const char *value, struct options *into)
{
	if (has_prefix(value, "env:"))
		return read_source_variable(value + strlen("env:"), SOURCE_ENVIRONMENT, into);
	if (has_prefix(value, "pamenv:"))
		return read_source_variable(
			value + strlen("pamenv:"), SOURCE_PAM_ENVIRONMENT, into);
	if (strcmp(value, "authtok") == 0) {
		into->source = SOURCE_AUTHTOK;
		return NULL;
	}
	if (strcmp(value, "user") == 0 || strcmp(value, "ssh") == 0)
		return "this version takes evidence from env:NAME, pamenv:NAME or authtok alone";
	return "must be env:NAME, pamenv:NAME or authtok";
}

static const char *read_accept(const char *value, struct options *into)
{
	static const char *const later[] = { "fingerprint", "key", "names", "name" };

	if (strcmp(value, "certificate") == 0) {
		into->accept = EVIDENCE_CERTIFICATE;
		return NULL;
	}
	for (size_t i = 0; i < sizeof(later) / sizeof(later[0]); i++) {
		if (strcmp(value, later[i]) == 0)
			return "this version decides on certificates alone; use accept=certificate";
	}
	return "must be certificate";
}

static const char *read_user(const char *value, struct options *into)
{
	if (strcmp(value, "match") == 0)
		into->mode = MODE_MATCH;
	else if (strcmp(value, "set") == 0)
		into->mode = MODE_SET;
	else
		return "must be match or set";
	return NULL;
}

static const char *read_require_env(const char *value, struct options *into)
{
	const char *equals = strchr(value, '=');
	const size_t length = equals ? (size_t)(equals - value) : 0;

	if (!is_variable_name(value, length))
		return "must be NAME=VALUE with a name of 1 to 255 bytes";
	memcpy(into->require_name, value, length);
	into->require_name[length] = '\0';
	into->require_value = equals + 1;
	return NULL;
}

static const char *read_socket(const char *value, struct options *into)
{
	if (value[0] != '/')
		return "must be an absolute path";
	/* The kernel would cut it, and connect elsewhere: unix(7). */
	if (strlen(value) >= sizeof(((struct sockaddr_un *)NULL)->sun_path))
		return "must be a path of at most 107 bytes";
	into->socket_path = value;
	return NULL;
}

static const char *read_timeout(const char *value, struct options *into)
{
	uint64_t timeout_msec = 0;
	const char *digit = value;

	/* Digits only: strtoul(3) also takes blanks, signs and what does not fit. */
	for (; *digit >= '0' && *digit <= '9' && timeout_msec <= OPTIONS_TIMEOUT_MAX_MSEC; digit++)
		timeout_msec = timeout_msec * 10 + (uint64_t)(*digit - '0');
	if (*digit || timeout_msec < 1 || timeout_msec > OPTIONS_TIMEOUT_MAX_MSEC)
		return "must be milliseconds, 1 to 600000";
	into->timeout_usec = timeout_msec * 1000;
	return NULL;
}

static const char *read_allow_root(const char *value, struct options *into)
{
	(void)value;
	into->allow_root = true;
	return NULL;
}

static const char *read_debug(const char *value, struct options *into)
{
	(void)value;
	into->debug = true;
	return NULL;
}

static const struct option known_options[] = {
	{ "source", true, read_source },
	{ "accept", true, read_accept },
	{ "user", true, read_user },
	{ "require_env", true, read_require_env },
	{ "socket", true, read_socket },
	{ "timeout", true, read_timeout },
	{ "allow_root", false, read_allow_root },
	{ "debug", false, read_debug },
};
#define KNOWN_OPTIONS (sizeof(known_options) / sizeof(known_options[0]))

static const struct option *find_option(struct span name)
{
	for (size_t i = 0; i < KNOWN_OPTIONS; i++) {
		if (span_is_equal(span_of_string(known_options[i].name), name))
			return &known_options[i];
	}
	return NULL;
}

static const char *read_argument(
	struct span name, const char *value, unsigned int *seen, struct options *into)
{
	const struct option *option = find_option(name);
	unsigned int bit;

	if (!option)
		return "unknown option; see pam_certmap(8)";
	bit = 1u << (option - known_options);
	if (*seen & bit)
		return "given twice; leave one";
	*seen |= bit;
	if (option->has_value && !value)
		return "needs a value: NAME=VALUE";
	if (!option->has_value && value)
		return "takes no value";
	return option->read(value, into);
}

bool options_read(
	int argc, const char *const *argv, struct options *ret, struct options_problem *ret_problem)
{
	struct options options = {
		.accept = EVIDENCE_CERTIFICATE,
		.mode = MODE_MATCH,
		.socket_path = OPTIONS_SOCKET_PATH,
		.timeout_usec = OPTIONS_TIMEOUT_MSEC * UINT64_C(1000),
	};
	unsigned int seen = 0;

	for (int i = 0; i < argc; i++) {
		const char *equals = strchr(argv[i], '=');
		const struct span name = equals ? span_of(argv[i], (size_t)(equals - argv[i]))
						: span_of_string(argv[i]);
		const char *why = read_argument(name, equals ? equals + 1 : NULL, &seen, &options);

		if (why) {
			*ret_problem = (struct options_problem){ .option = name, .why = why };
			return false;
		}
	}
	/* No default: evidence counts only where somebody wrote down who alone can put it there. */
	if (!options.source) {
		*ret_problem = (struct options_problem){
			.option = span_of_string("source"),
			.why = "missing; say where the service puts the certificate",
		};
		return false;
	}
	*ret = options;
	return true;
}
