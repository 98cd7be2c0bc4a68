/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * failing.c owns a library to be preloaded that lets the n-th call of one function fail.
 *
 * CERTMAP_FAULTS_CONTROL names a file of one page, which the test maps as well: it chooses the
 * function, the call and the error while the program runs. With that one byte string for the name
 * a test can fail what its own table lists, without a number per function that both sides know.
 */
#include "failing.h"

#include <dlfcn.h>
#include <errno.h>
#include <execinfo.h>
#include <fcntl.h>
#include <poll.h>
#include <pwd.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

/* How long a killed peer may take until the kernel has closed its descriptors. */
#define DEATH_MSEC 10000

#define EXPORT __attribute__((visibility("default")))
/* What the C library calls a function whose offsets have 64 bits; meson asks for these. */
#define WIDE(name) name "64"

EXPORT struct faults_control *faults_control;

static void *next(const char *name)
{
	return dlsym(RTLD_NEXT, name);
}

typedef int open_function(const char *, int, ...);
typedef void *mmap_function(void *, size_t, int, int, int, off_t);
typedef int poll_function(struct pollfd *, nfds_t, int);
typedef ssize_t send_function(int, const void *, size_t, int);

__attribute__((constructor)) static void find_control(void)
{
	const char *path = getenv("CERTMAP_FAULTS_CONTROL");
	open_function *open_next = __extension__(open_function *) next(WIDE("open"));
	mmap_function *mmap_next = __extension__(mmap_function *) next(WIDE("mmap"));
	void *page, *caller;
	int fd;

	/* Its first call loads a library. */
	backtrace(&caller, 1);

	if (!path || (fd = open_next(path, O_RDWR | O_CLOEXEC)) < 0)
		return;
	page = mmap_next(NULL, sizeof *faults_control, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	close(fd);
	if (page != MAP_FAILED)
		faults_control = page;
}

/* What the name service keeps for its next look-up is not the module's. */
static __thread unsigned int name_service_depth;

/* Is one of the module's functions among the callers? */
static bool is_in_module(void)
{
	void *callers[32];
	Dl_info info;
	int count;

	if (name_service_depth > 0)
		return false;
	count = backtrace(callers, sizeof callers / sizeof callers[0]);
	for (int i = 0; i < count; i++)
		if (dladdr(callers[i], &info) && strstr(info.dli_fname, "pam_certmap.so"))
			return true;
	return false;
}

static bool fails(const char *function)
{
	struct faults_control *control = faults_control;

	if (!control || !control->is_active || strcmp(control->function, function) != 0)
		return false;
	control->calls++;
	if (!(control->is_lasting && control->failed > 0) &&
		(control->countdown == 0 || --control->countdown > 0))
		return false;
	control->failed++;
	control->is_from_module = control->is_traced && is_in_module();
	errno = control->errno_value;
	return true;
}

/* Memory. What strdup(3), asprintf(3) and their like allocate comes through here as well: the C
 * library lets its own calls be interposed. */

void *__libc_malloc(size_t size);
void *__libc_calloc(size_t count, size_t size);
void *__libc_realloc(void *pointer, size_t size);
void *__libc_memalign(size_t alignment, size_t size);
void __libc_free(void *pointer);

/* Blocks that were allocated in a call of the module and are not free yet. A life has some dozen.
 */
#define BLOCKS_MAX 1024
static void *blocks[BLOCKS_MAX];

static void *counted(void *pointer)
{
	struct faults_control *control = faults_control;

	if (!pointer || !control)
		return pointer;
	if (!control->is_traced) {
		control->live++;
		return pointer;
	}
	if (!control->is_active || !is_in_module())
		return pointer;
	for (size_t i = 0; i < BLOCKS_MAX; i++)
		if (!blocks[i]) {
			blocks[i] = pointer;
			control->live++;
			return pointer;
		}
	abort();
}

static bool forget(const void *pointer)
{
	if (!pointer || !faults_control)
		return false;
	if (!faults_control->is_traced) {
		faults_control->live--;
		return false;
	}
	if (faults_control->live == 0)
		return false;
	for (size_t i = 0; i < BLOCKS_MAX; i++)
		if (blocks[i] == pointer) {
			blocks[i] = NULL;
			faults_control->live--;
			return true;
		}
	return false;
}

EXPORT void *malloc(size_t size)
{
	return fails("allocation") ? NULL : counted(__libc_malloc(size));
}

EXPORT void *calloc(size_t count, size_t size)
{
	return fails("allocation") ? NULL : counted(__libc_calloc(count, size));
}

EXPORT void *realloc(void *pointer, size_t size)
{
	void *moved;
	bool was_known;

	if (fails("allocation"))
		return NULL;
	if (!pointer)
		return counted(__libc_malloc(size));
	if (!faults_control || !faults_control->is_traced)
		return __libc_realloc(pointer, size);
	was_known = forget(pointer);
	moved = __libc_realloc(pointer, size);
	/* It was in the table before: there is room. */
	for (size_t i = 0; moved && was_known && i < BLOCKS_MAX; i++)
		if (!blocks[i]) {
			blocks[i] = moved;
			faults_control->live++;
			break;
		}
	return moved;
}

EXPORT void *reallocarray(void *pointer, size_t count, size_t size)
{
	size_t bytes;

	if (__builtin_mul_overflow(count, size, &bytes)) {
		errno = ENOMEM;
		return NULL;
	}
	return realloc(pointer, bytes);
}

EXPORT void *aligned_alloc(size_t alignment, size_t size)
{
	return fails("allocation") ? NULL : counted(__libc_memalign(alignment, size));
}

EXPORT int posix_memalign(void **ret, size_t alignment, size_t size)
{
	void *pointer = aligned_alloc(alignment, size);

	if (!pointer)
		return ENOMEM;
	*ret = pointer;
	return 0;
}

EXPORT void free(void *pointer)
{
	forget(pointer);
	__libc_free(pointer);
}

typedef int register_function(void (*)(void *), void *, void *);

/* What atexit(3) is below, also for code that is unloaded again. */
EXPORT int __cxa_atexit(void (*handler)(void *), void *argument, void *object);

EXPORT int __cxa_atexit(void (*handler)(void *), void *argument, void *object)
{
	if (faults_control)
		faults_control->exit_handlers++;
	return (__extension__(register_function *) next("__cxa_atexit"))(handler, argument, object);
}

/* Sockets. */

EXPORT int socket(int domain, int type, int protocol)
{
	typedef int function(int, int, int);

	return fails("socket") ? -1
			       : (__extension__(function *) next("socket"))(domain, type, protocol);
}

/* Under names of their own: the C library declares these two with a union for the address. */
EXPORT int faults_connect(int fd, const struct sockaddr *address, socklen_t length) __asm__(
	"connect");
EXPORT int faults_accept4(int fd, struct sockaddr *address, socklen_t *length, int flags) __asm__(
	"accept4");

int faults_connect(int fd, const struct sockaddr *address, socklen_t length)
{
	typedef int function(int, const struct sockaddr *, socklen_t);

	return fails("connect") ? -1
				: (__extension__(function *) next("connect"))(fd, address, length);
}

int faults_accept4(int fd, struct sockaddr *address, socklen_t *length, int flags)
{
	typedef int function(int, struct sockaddr *, socklen_t *, int);

	return fails("accept4")
		       ? -1
		       : (__extension__(function *) next("accept4"))(fd, address, length, flags);
}

/* The peer dies between connect(2) and send(2), and its sockets are gone when the latter comes. */
static void end_victim(int fd)
{
	poll_function *poll_next = __extension__(poll_function *) next("poll");
	struct pollfd closed = { .fd = fd };

	if (!faults_control || faults_control->victim_pid == 0)
		return;
	kill(faults_control->victim_pid, SIGKILL);
	faults_control->victim_pid = 0;
	faults_control->failed += poll_next(&closed, 1, DEATH_MSEC) == 1;
}

EXPORT ssize_t send(int fd, const void *bytes, size_t length, int flags)
{
	end_victim(fd);
	return fails("send")
		       ? -1
		       : (__extension__(send_function *) next("send"))(fd, bytes, length, flags);
}

EXPORT ssize_t recv(int fd, void *bytes, size_t length, int flags)
{
	typedef ssize_t function(int, void *, size_t, int);

	return fails("recv") ? -1
			     : (__extension__(function *) next("recv"))(fd, bytes, length, flags);
}

EXPORT int poll(struct pollfd *fds, nfds_t count, int timeout_msec)
{
	return fails("poll")
		       ? -1
		       : (__extension__(poll_function *) next("poll"))(fds, count, timeout_msec);
}

EXPORT int epoll_wait(int fd, struct epoll_event *events, int capacity, int timeout_msec)
{
	typedef int function(int, struct epoll_event *, int, int);

	return fails("epoll_wait") ? -1
				   : (__extension__(function *) next("epoll_wait"))(
					     fd, events, capacity, timeout_msec);
}

EXPORT int getsockopt(int fd, int level, int name, void *value, socklen_t *length)
{
	typedef int function(int, int, int, void *, socklen_t *);

	return fails("getsockopt") ? -1
				   : (__extension__(function *) next("getsockopt"))(
					     fd, level, name, value, length);
}

/* The system's other services. */

EXPORT ssize_t getrandom(void *bytes, size_t length, unsigned int flags)
{
	typedef ssize_t function(void *, size_t, unsigned int);

	return fails("getrandom")
		       ? -1
		       : (__extension__(function *) next("getrandom"))(bytes, length, flags);
}

/* What fails is that the bytes are wiped. */
EXPORT void explicit_bzero(void *bytes, size_t length)
{
	typedef void function(void *, size_t);

	if (!fails("explicit_bzero"))
		(__extension__(function *) next("explicit_bzero"))(bytes, length);
}

/* The only one that returns its error; 0 then stands for "no such entry". */
EXPORT int getpwnam_r(
	const char *name, struct passwd *entry, char *buffer, size_t capacity, struct passwd **ret)
{
	typedef int function(const char *, struct passwd *, char *, size_t, struct passwd **);

	int errno_value;

	if (fails("getpwnam_r")) {
		*ret = NULL;
		return faults_control->errno_value;
	}
	name_service_depth++;
	errno_value =
		(__extension__(function *) next("getpwnam_r"))(name, entry, buffer, capacity, ret);
	name_service_depth--;
	return errno_value;
}

/* Files. */

EXPORT int lstat(const char *path, struct stat *ret)
{
	typedef int function(const char *, struct stat *);

	return fails("lstat") ? -1 : (__extension__(function *) next(WIDE("lstat")))(path, ret);
}

EXPORT int stat(const char *path, struct stat *ret)
{
	typedef int function(const char *, struct stat *);

	return fails("stat") ? -1 : (__extension__(function *) next(WIDE("stat")))(path, ret);
}

EXPORT int fstat(int fd, struct stat *ret)
{
	typedef int function(int, struct stat *);

	return fails("fstat") ? -1 : (__extension__(function *) next(WIDE("fstat")))(fd, ret);
}

EXPORT int open(const char *path, int flags, ...)
{
	open_function *open_next = __extension__(open_function *) next(WIDE("open"));
	va_list arguments;
	mode_t mode;

	va_start(arguments, flags);
	mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(arguments, mode_t) : 0;
	va_end(arguments);
	return fails("open") ? -1 : open_next(path, flags, mode);
}

/* Closed all the same, as on Linux, close(2): only the answer is another one. */
EXPORT int close(int fd)
{
	typedef int function(int);
	const int result = (__extension__(function *) next("close"))(fd);

	return fails("close") ? -1 : result;
}

EXPORT ssize_t read(int fd, void *bytes, size_t length)
{
	typedef ssize_t function(int, void *, size_t);

	return fails("read") ? -1 : (__extension__(function *) next("read"))(fd, bytes, length);
}

EXPORT ssize_t pread(int fd, void *bytes, size_t length, off_t offset)
{
	typedef ssize_t function(int, void *, size_t, off_t);

	return fails("pread")
		       ? -1
		       : (__extension__(function *) next(WIDE("pread")))(fd, bytes, length, offset);
}

EXPORT ssize_t pwrite(int fd, const void *bytes, size_t length, off_t offset)
{
	typedef ssize_t function(int, const void *, size_t, off_t);

	return fails("pwrite") ? -1
			       : (__extension__(function *) next(WIDE("pwrite")))(
					 fd, bytes, length, offset);
}

EXPORT int fsync(int fd)
{
	typedef int function(int);

	return fails("fsync") ? -1 : (__extension__(function *) next("fsync"))(fd);
}

EXPORT int fdatasync(int fd)
{
	typedef int function(int);

	return fails("fdatasync") ? -1 : (__extension__(function *) next("fdatasync"))(fd);
}

EXPORT int ftruncate(int fd, off_t length)
{
	typedef int function(int, off_t);

	return fails("ftruncate") ? -1
				  : (__extension__(function *) next(WIDE("ftruncate")))(fd, length);
}

EXPORT int fcntl(int fd, int command, ...)
{
	typedef int function(int, int, ...);
	va_list arguments;
	void *argument;

	/* An int or a pointer; as a pointer both pass through unharmed. */
	va_start(arguments, command);
	argument = va_arg(arguments, void *);
	va_end(arguments);
	return fails("fcntl")
		       ? -1
		       : (__extension__(function *) next(WIDE("fcntl")))(fd, command, argument);
}

EXPORT void *mmap(void *address, size_t length, int rights, int flags, int fd, off_t offset)
{
	return fails("mmap") ? MAP_FAILED
			     : (__extension__(mmap_function *) next(WIDE("mmap")))(
				       address, length, rights, flags, fd, offset);
}
