/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * options.c owns the table of options, the rule of each value, and the rules of what does not go
 * together. A rule gives NULL, or what is wrong in words that name the remedy.
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

static void copy_name(const char *name, size_t length, char ret[OPTIONS_NAME_MAX_BYTES + 1])
{
	memcpy(ret, name, length);
	ret[length] = '\0';
}

/* NAME or NAME,NAME. */
static const char *read_source_variables(
	const char *names, enum source source, struct options *into)
{
	const char *comma = strchr(names, ',');
	const size_t length = comma ? (size_t)(comma - names) : strlen(names);
	const char *second = comma ? comma + 1 : "";

	if (strchr(second, ','))
		return "names more than two variables";
	if (!is_variable_name(names, length) ||
		(comma && !is_variable_name(second, strlen(second))))
		return "needs a variable's name of 1 to 255 bytes without '='";
	into->source = source;
	copy_name(names, length, into->source_name);
	copy_name(second, strlen(second), into->source_second_name);
	return NULL;
}

static const char *read_source(const char *value, struct options *into)
{
	if (has_prefix(value, "env:"))
		return read_source_variables(value + strlen("env:"), SOURCE_ENVIRONMENT, into);
	if (has_prefix(value, "pamenv:"))
		return read_source_variables(
			value + strlen("pamenv:"), SOURCE_PAM_ENVIRONMENT, into);
	if (strcmp(value, "ssh") == 0)
		return read_source_variables(OPTIONS_SSH_VARIABLE, SOURCE_SSH, into);
	if (strcmp(value, "authtok") == 0)
		into->source = SOURCE_AUTHTOK;
	else if (strcmp(value, "user") == 0)
		into->source = SOURCE_USER;
	else
		return "must be env:NAME, pamenv:NAME, authtok, user or ssh";
	return NULL;
}

static const char *read_accept(const char *value, struct options *into)
{
	static const struct {
		const char *word;
		enum evidence_kind kind;
	} kinds[] = {
		{ "certificate", EVIDENCE_CERTIFICATE },
		{ "fingerprint", EVIDENCE_FINGERPRINT },
		{ "key", EVIDENCE_KEY },
		{ "names", EVIDENCE_NAMES },
		{ "name", EVIDENCE_NAME },
	};

	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		if (strcmp(value, kinds[i].word) == 0) {
			into->accept = kinds[i].kind;
			return NULL;
		}
	}
	return "must be certificate, fingerprint, key, names or name";
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
	copy_name(value, length, into->require_name);
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

/* PAM_USER is no account there, so there is nobody to match; and a whole certificate or two names
 * can't stand in it. */
static const char *check_user_source(const struct options *options, const char **ret_option)
{
	if (options->source != SOURCE_USER)
		return NULL;
	if (options->mode != MODE_SET) {
		*ret_option = "user";
		return "source=user needs user=set: PAM_USER is the evidence and not the account "
		       "that is asked for, so there is nobody to match";
	}
	*ret_option = "accept";
	if (options->accept == EVIDENCE_CERTIFICATE || options->accept == EVIDENCE_NAMES)
		return "source=user needs accept=fingerprint, accept=key or accept=name: PAM_USER "
		       "can't hold a certificate or two names";
	return NULL;
}

static const char *check_ssh_source(const struct options *options, const char **ret_option)
{
	*ret_option = "accept";
	if (options->source == SOURCE_SSH && options->accept != EVIDENCE_KEY)
		return "source=ssh needs accept=key: sshd hands over nothing else";
	return NULL;
}

static const char *check_names(const struct options *options, const char **ret_option)
{
	const bool is_names = options->accept == EVIDENCE_NAMES;
	const bool has_two = options->source_second_name[0];

	*ret_option = "source";
	if (has_two && !is_names)
		return "two variables belong to accept=names alone; name one";
	if (has_two && strcmp(options->source_name, options->source_second_name) == 0)
		return "names the same variable twice; accept=names needs the subject's and the "
		       "issuer's";
	*ret_option = "accept";
	if (is_names && options->source == SOURCE_AUTHTOK)
		return "accept=names can't come from source=authtok, which holds one text; use "
		       "source=env:SUBJECT,ISSUER or source=pamenv:SUBJECT,ISSUER";
	*ret_option = "source";
	if (is_names && !has_two)
		return "accept=names needs two variables, the subject's and the issuer's: "
		       "source=env:SUBJECT,ISSUER";
	return NULL;
}

/* Only once all options are read, so that their order does not matter. */
static const char *check_whole(const struct options *options, const char **ret_option)
{
	const char *why;

	/* No default: evidence counts only where somebody wrote down who alone can put it there. */
	if (!options->source) {
		*ret_option = "source";
		return "missing; say where the service puts the certificate";
	}
	if (!(why = check_user_source(options, ret_option)) &&
		!(why = check_ssh_source(options, ret_option)))
		why = check_names(options, ret_option);
	return why;
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
	const char *option = NULL;
	const char *why;

	for (int i = 0; i < argc; i++) {
		const char *equals = strchr(argv[i], '=');
		const struct span name = equals ? span_of(argv[i], (size_t)(equals - argv[i]))
						: span_of_string(argv[i]);

		why = read_argument(name, equals ? equals + 1 : NULL, &seen, &options);
		if (why) {
			*ret_problem = (struct options_problem){ .option = name, .why = why };
			return false;
		}
	}
	why = check_whole(&options, &option);
	if (why) {
		*ret_problem = (struct options_problem){
			.option = span_of_string(option),
			.why = why,
		};
		return false;
	}
	*ret = options;
	return true;
}
