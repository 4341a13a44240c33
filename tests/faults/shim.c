/* Counts the changes that a process makes below one folder, and lets one of them go wrong.
 *
 * Preloaded, it stands between the program with all its libraries and libc. `fault_arm` says from
 * which change on (counted from 0) what happens: mode 0 only counts; 1 lets that change fail with
 * the given errno; 2 that one and all after it, as on a disk that stays full; 3 kills the process.
 * Changes that free space fail in no mode, but are counted and killed in mode 3. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

static char folder[4096];
static int first = -1, mode = 0, number = 0;
static volatile int seen = 0;
static const char *struck = "";

void fault_arm(const char *path, int at, int what, int error) {
    strncpy(folder, path, sizeof folder - 1);
    first = at, mode = what, number = error, seen = 0, struck = "";
}

int fault_seen(void) { return seen; }

/* The name of the change at which it happened. */
const char *fault_struck(void) { return struck; }

static int below(const char *path) {
    size_t length = strlen(folder);
    return length && !strncmp(path, folder, length) && (path[length] == '/' || !path[length]);
}

static int names(int at, const char *path) {
    char whole[8192], base[4096] = "";
    if (!folder[0] || !path) return 0;
    if (path[0] == '/') return below(path);
    if (at == AT_FDCWD) {
        if (!getcwd(base, sizeof base)) return 0;
    } else {
        char link[64];
        snprintf(link, sizeof link, "/proc/self/fd/%d", at);
        if (readlink(link, base, sizeof base - 1) < 0) return 0;
    }
    snprintf(whole, sizeof whole, "%s/%s", base, path);
    return below(whole);
}

static int opened(int fd) {
    char link[64], path[4096] = "";
    if (!folder[0]) return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    if (readlink(link, path, sizeof path - 1) < 0) return 0;
    return below(path);
}

/* Whether this change is to fail. */
static int fails_in(const char *name, int ours, int frees) {
    if (!ours) return 0;
    int at = __sync_fetch_and_add(&seen, 1);
    if (at == first) struck = name;
    if (mode == 3 && at == first) kill(getpid(), SIGKILL);
    if (frees || !((mode == 1 && at == first) || (mode == 2 && at >= first))) return 0;
    errno = number;
    return 1;
}

#define fails(ours, frees) fails_in(__func__, ours, frees)
#define REAL(name) static __typeof__(name) *real; if (!real) real = dlsym(RTLD_NEXT, #name)

ssize_t write(int fd, const void *data, size_t size) {
    REAL(write);
    return fails(opened(fd), 0) ? -1 : real(fd, data, size);
}
ssize_t writev(int fd, const struct iovec *parts, int count) {
    REAL(writev);
    return fails(opened(fd), 0) ? -1 : real(fd, parts, count);
}
ssize_t pwrite(int fd, const void *data, size_t size, off_t at) {
    REAL(pwrite);
    return fails(opened(fd), 0) ? -1 : real(fd, data, size, at);
}
ssize_t pwrite64(int fd, const void *data, size_t size, off64_t at) {
    REAL(pwrite64);
    return fails(opened(fd), 0) ? -1 : real(fd, data, size, at);
}
int fsync(int fd) {
    REAL(fsync);
    return fails(opened(fd), 0) ? -1 : real(fd);
}
int fdatasync(int fd) {
    REAL(fdatasync);
    return fails(opened(fd), 0) ? -1 : real(fd);
}
int ftruncate(int fd, off_t size) {
    REAL(ftruncate);
    return fails(opened(fd), 0) ? -1 : real(fd, size);
}
int ftruncate64(int fd, off64_t size) {
    REAL(ftruncate64);
    return fails(opened(fd), 0) ? -1 : real(fd, size);
}
int posix_fallocate(int fd, off_t at, off_t size) {
    REAL(posix_fallocate);
    return fails(opened(fd), 0) ? number : real(fd, at, size);
}
int posix_fallocate64(int fd, off64_t at, off64_t size) {
    REAL(posix_fallocate64);
    return fails(opened(fd), 0) ? number : real(fd, at, size);
}
int rename(const char *from, const char *to) {
    REAL(rename);
    return fails(names(AT_FDCWD, to), 0) ? -1 : real(from, to);
}
int renameat(int a, const char *from, int b, const char *to) {
    REAL(renameat);
    return fails(names(b, to), 0) ? -1 : real(a, from, b, to);
}
int mkdir(const char *path, mode_t rights) {
    REAL(mkdir);
    return fails(names(AT_FDCWD, path), 0) ? -1 : real(path, rights);
}
int mkdirat(int at, const char *path, mode_t rights) {
    REAL(mkdirat);
    return fails(names(at, path), 0) ? -1 : real(at, path, rights);
}
int unlink(const char *path) {
    REAL(unlink);
    return fails(names(AT_FDCWD, path), 1) ? -1 : real(path);
}
int unlinkat(int at, const char *path, int flags) {
    REAL(unlinkat);
    return fails(names(at, path), 1) ? -1 : real(at, path, flags);
}
int rmdir(const char *path) {
    REAL(rmdir);
    return fails(names(AT_FDCWD, path), 1) ? -1 : real(path);
}

#define RIGHTS                                                                                     \
    mode_t rights = 0;                                                                             \
    if (flags & O_CREAT) {                                                                         \
        va_list rest;                                                                              \
        va_start(rest, flags);                                                                     \
        rights = va_arg(rest, mode_t);                                                             \
        va_end(rest);                                                                              \
    }
/* opening what is there, to read or to write over, takes no space */
static int makes(int at, const char *path, int flags) {
    struct stat found;
    return (flags & O_CREAT) && names(at, path) && fstatat(at, path, &found, 0) != 0;
}
int open(const char *path, int flags, ...) {
    RIGHTS;
    REAL(open);
    return fails(makes(AT_FDCWD, path, flags), 0) ? -1 : real(path, flags, rights);
}
int open64(const char *path, int flags, ...) {
    RIGHTS;
    REAL(open64);
    return fails(makes(AT_FDCWD, path, flags), 0) ? -1 : real(path, flags, rights);
}
int openat(int at, const char *path, int flags, ...) {
    RIGHTS;
    REAL(openat);
    return fails(makes(at, path, flags), 0) ? -1 : real(at, path, flags, rights);
}
int openat64(int at, const char *path, int flags, ...) {
    RIGHTS;
    REAL(openat64);
    return fails(makes(at, path, flags), 0) ? -1 : real(at, path, flags, rights);
}
