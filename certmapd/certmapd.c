/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * certmapd.c owns the start of the daemon. The order is the security argument: nothing from
 * outside is read before the process has given up what it does not need, and a bad database never
 * keeps it from starting.
 */
#include "certificate.h"
#include "listener.h"
#include "log.h"
#include "lookup.h"
#include "server.h"
#include "settler.h"

#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <syslog.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#define DEFAULT_DATABASE "/var/lib/certmap/mappings.db"

enum exit_status { EXIT_USAGE = 2 };

struct arguments {
	const char *database;
	const char *socket; /* NULL: the socket that systemd passes */
	bool settles;
};

static void print_usage(FILE *out)
{
	fprintf(out,
		"Usage: certmapd [--database PATH] [--socket PATH]\n"
		"Answers lookups of pam_certmap from the certmap database.\n\n"
		"  --database PATH  the mappings (" DEFAULT_DATABASE ")\n"
		"  --socket PATH    listen there; without it, on the socket that systemd passes\n"
		"  --settle         read the mappings that are new, and end: certmapd does it of\n"
		"                   itself, in a process like this one where they are many\n"
		"  --help           show this and exit\n"
		"  --version        show the version and exit\n");
}

__attribute__((noreturn)) static void refuse_usage(const char *words, const char *what)
{
	fprintf(stderr, "certmapd: %s%s\nTry 'certmapd --help'.\n", words, what);
	exit(EXIT_USAGE);
}

static struct arguments parse_arguments(int argc, char **argv)
{
	static const struct option options[] = {
		{ "database", required_argument, NULL, 'd' },
		{ "socket", required_argument, NULL, 's' },
		{ "settle", no_argument, NULL, 't' },
		{ "help", no_argument, NULL, 'h' },
		{ "version", no_argument, NULL, 'v' },
		{ 0 },
	};
	struct arguments arguments = { .database = DEFAULT_DATABASE };
	int option;

	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (option) {
		case 'd':
			arguments.database = optarg;
			break;
		case 's':
			arguments.socket = optarg;
			break;
		case 't':
			arguments.settles = true;
			break;
		case 'h':
			print_usage(stdout);
			exit(EXIT_SUCCESS);
		case 'v':
			puts("certmapd " CERTMAP_VERSION);
			exit(EXIT_SUCCESS);
		default:
			refuse_usage("wrong option", "");
		}
	}
	if (optind < argc)
		refuse_usage("unexpected argument ", argv[optind]);
	if (arguments.database[0] != '/')
		refuse_usage("the path of the database must be absolute: ", arguments.database);
	if (arguments.socket && arguments.socket[0] != '/')
		refuse_usage("the path of the socket must be absolute: ", arguments.socket);
	return arguments;
}

/* No core file and no tracer of our own uid: credentials pass through this process.
 * RLIMIT_CORE alone does not bind a core_pattern that is a pipe, core(5). */
static void forbid_dumps(void)
{
	const struct rlimit none = { 0, 0 };

	if (prctl(PR_SET_DUMPABLE, 0) < 0 || setrlimit(RLIMIT_CORE, &none) < 0)
		log_words(LOG_WARNING, "core dumps can't be forbidden");
}

/* sd_event_add_child(3) asks for it. */
static void block_child_signal(void)
{
	sigset_t child;

	sigemptyset(&child);
	sigaddset(&child, SIGCHLD);
	sigprocmask(SIG_BLOCK, &child, NULL);
}

static int run(const struct arguments *arguments, int listen_fd)
{
	struct lookup *lookup = NULL;
	struct server *server = NULL;
	sd_event *event = NULL;
	int status = EXIT_FAILURE;

	if (certificate_init() != OK ||
		lookup_new(arguments->database, geteuid(), LOOKUP_SERVES, &lookup) != OK ||
		sd_event_new(&event) < 0 || server_new(event, listen_fd, lookup, &server) != OK) {
		log_words(LOG_ERR, "can't start: out of memory, or of another resource");
	} else {
		sd_notify(0, "READY=1\nSTATUS=Answering; no lookup yet");
		status = sd_event_loop(event) < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
	}
	server_free(server);
	sd_event_unref(event);
	lookup_free(lookup);
	certificate_done();
	return status;
}

/* Silent where it fails: who started it goes on by itself, and logs the cause. */
static int settle(const char *database)
{
	bool is_settled = certificate_init() == OK && settler_run(database, geteuid()) == OK;

	certificate_done();
	return is_settled ? EXIT_SUCCESS : EXIT_FAILURE;
}

int main(int argc, char **argv)
{
	struct arguments arguments = parse_arguments(argc, argv);
	const char *problem = NULL;
	int status, listen_fd;

	umask(0077);
	forbid_dumps();
	/* Whoever reads our stderr may go away: a lost log line is no reason to refuse everybody.
	 */
	signal(SIGPIPE, SIG_IGN);
	if (arguments.settles)
		return settle(arguments.database);
	block_child_signal();
	listen_fd = listener_open(arguments.socket, &problem);
	if (listen_fd < 0) {
		log_words(LOG_ERR, "%s", problem);
		return EXIT_FAILURE;
	}
	status = run(&arguments, listen_fd);
	listener_close(arguments.socket);
	return status;
}
