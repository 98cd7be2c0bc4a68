/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * probe.c owns what somebody who broke certmapd would try first. test_sandbox.py puts it into the
 * daemon's place, under the daemon's own unit, and reads what it prints: a line for each attempt
 * with its name and the error that stopped it, or "done".
 */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#define STATE "/var/lib/certmap"
#define COUNT_MAX 4096

/* Prints after any attempt that sets errno. */
static void tell(const char *name, int result)
{
	printf("%s %s\n", name, result >= 0 ? "done" : strerrorname_np(errno));
}

static void try_socket(const char *name, int family, int type)
{
	tell(name, socket(family, type, 0));
}

static void try_read(const char *name, const char *path)
{
	tell(name, open(path, O_RDONLY));
}

static void try_write(const char *name, const char *path)
{
	tell(name, open(path, O_WRONLY | O_CREAT, 0600));
	unlink(path);
}

/* In a child, whose exit status is the error: a successful execve(2) does not come back. */
static void try_exec(const char *name, const char *path)
{
	int status = 0;
	pid_t child = fork();

	if (child == 0) {
		execl(path, path, "-c", "exit 0", NULL);
		_exit(errno);
	}
	waitpid(child, &status, 0);
	errno = WEXITSTATUS(status);
	tell(name, errno == 0 ? 0 : -1);
}

static void try_exec_of_own_file(const char *name, const char *path)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0700);

	dprintf(fd, "#!/bin/sh\nexit 0\n");
	close(fd);
	try_exec(name, path);
	unlink(path);
}

static void try_ptrace(void)
{
	static char theirs[16], ours[16];
	const struct iovec from = { theirs, sizeof theirs }, to = { ours, sizeof ours };
	pid_t child = fork();

	if (child == 0) {
		pause();
		_exit(0);
	}
	tell("ptrace", (int)ptrace(PTRACE_SEIZE, child, NULL, NULL));
	tell("process_vm_readv", (int)process_vm_readv(child, &to, 1, &from, 1, 0));
	kill(child, SIGKILL);
	waitpid(child, NULL, 0);
}

static void try_privileges(void)
{
	const struct rlimit more = { COUNT_MAX, COUNT_MAX };
	void *code;

	tell("user-namespace", unshare(CLONE_NEWUSER));
	tell("mount", mount("none", "/tmp", "tmpfs", 0, NULL));
	tell("setuid", setuid(0));
	tell("raise-limit", setrlimit(RLIMIT_NOFILE, &more));
	code = mmap(
		NULL, 1, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	tell("writable-code", code == MAP_FAILED ? -1 : 0);
}

static void count_descriptors(void)
{
	int count = 0;

	while (count < COUNT_MAX && open("/dev/null", O_RDONLY) >= 0)
		count++;
	printf("descriptors %d\n", count);
}

static void count_tasks(void)
{
	pid_t children[COUNT_MAX / 16];
	int count = 0;

	while (count < (int)(sizeof children / sizeof children[0]) &&
		(children[count] = fork()) >= 0) {
		if (children[count] == 0) {
			pause();
			_exit(0);
		}
		count++;
	}
	printf("tasks %d\n", count);
	for (int i = 0; i < count; i++)
		kill(children[i], SIGKILL);
}

int main(void)
{
	setvbuf(stdout, NULL, _IOLBF, 0);
	try_socket("unix", AF_UNIX, SOCK_STREAM);
	try_socket("ipv4", AF_INET, SOCK_STREAM);
	try_socket("ipv6", AF_INET6, SOCK_DGRAM);
	try_socket("netlink", AF_NETLINK, SOCK_RAW);
	try_read("own-database", STATE "/mappings.db");
	try_read("shadow", "/etc/shadow");
	try_read("home", "/home/alice/welcome.txt");
	try_read("root-home", "/root/clients/alice.pem");
	try_read("other-process", "/proc/1/status");
	try_write("own-directory", STATE "/probe");
	try_write("etc", "/etc/probe");
	try_write("var", "/var/tmp/../probe");
	try_write("socket-directory", "/run/certmap/probe");
	try_exec("shell", "/bin/sh");
	try_exec_of_own_file("own-program", STATE "/program");
	try_exec_of_own_file("temporary-program", "/tmp/program");
	try_ptrace();
	try_privileges();
	count_descriptors();
	count_tasks();
	return EXIT_SUCCESS;
}
