/* LD_PRELOAD: the manners of other people's disks and shares. Each variable is an errno, or as said.
   FAULT_FLOCK, FAULT_POSIX_LOCK    locks of the two kinds fail
   FAULT_SYNC_FOLDER                fsync() of a folder fails
   FAULT_HANG_SYNC                  fsync() of a result takes so many seconds
   FAULT_READ_ONLY                  nothing below a folder "out" can be changed while this file exists
   FAULT_MOVE                       rename() into another folder fails
   FAULT_REPLACE                    rename() onto a file that exists fails
   FAULT_CHARACTERS                 characters that names of new files and folders cannot have: EINVAL
   FAULT_NAME_MAX                   bytes that such a name may have: ENAMETOOLONG
   FAULT_READ, FAULT_OPEN           reading or opening a file called *sick* fails...
   FAULT_TIMES                      ...so often, in each process; unset: always */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define NEXT(type, name) ((type)dlsym(RTLD_NEXT, name))

static int number(const char *name) { const char *v = getenv(name); return v ? atoi(v) : 0; }
static int failed(int e) { errno = e; return -1; }

static int name_fault(const char *path) {
    const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path, *bad = getenv("FAULT_CHARACTERS");
    int longest = number("FAULT_NAME_MAX");
    if (!strncmp(path, "/proc", 5) || !strncmp(path, "/dev", 4)) return 0;
    if (longest && (int)strlen(name) > longest) return ENAMETOOLONG;
    return bad && strpbrk(name, bad) ? EINVAL : 0;
}

static int read_only(const char *path) {
    const char *marker = getenv("FAULT_READ_ONLY");
    return marker && strstr(path, "/out") && !access(marker, F_OK) ? EROFS : 0;
}

static int sick(const char *variable, const char *path) {
    static int times;
    int e = number(variable), limit = number("FAULT_TIMES");
    if (!e || !strstr(path, "sick") || (limit && times >= limit)) return 0;
    times++;
    return e;
}

int flock(int fd, int operation) {
    int e = number("FAULT_FLOCK");
    return e && !(operation & LOCK_UN) ? failed(e) : NEXT(int (*)(int, int), "flock")(fd, operation);
}

static int control(const char *name, int fd, int command, void *argument) {
    int e = number("FAULT_POSIX_LOCK");
    if (e && (command == F_SETLK || command == F_SETLKW)) return failed(e);
    return NEXT(int (*)(int, int, ...), name)(fd, command, argument);
}

#define CONTROL(name) int name(int fd, int command, ...) { \
    va_list list; va_start(list, command); void *argument = va_arg(list, void *); va_end(list); \
    return control(#name, fd, command, argument); }
CONTROL(fcntl)
CONTROL(fcntl64)

int fsync(int fd) {
    struct stat status;
    char link[64], path[4096];
    if (getenv("FAULT_HANG_SYNC")) {
        snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
        ssize_t length = readlink(link, path, sizeof path - 1);
        path[length > 0 ? length : 0] = 0;
        if (strstr(path, "/successful")) sleep(number("FAULT_HANG_SYNC"));
    }
    int e = number("FAULT_SYNC_FOLDER");
    if (e && !fstat(fd, &status) && S_ISDIR(status.st_mode)) return failed(e);
    return NEXT(int (*)(int), "fsync")(fd);
}

static int opened(const char *name, const char *path, int flags, mode_t mode) {
    int e = flags & O_CREAT ? name_fault(path) : sick("FAULT_OPEN", path);
    if (!e && flags & (O_WRONLY | O_RDWR | O_CREAT)) e = read_only(path);
    return e ? failed(e) : NEXT(int (*)(const char *, int, ...), name)(path, flags, mode);
}

#define OPEN(name) int name(const char *path, int flags, ...) { \
    va_list list; va_start(list, flags); mode_t mode = flags & O_CREAT ? va_arg(list, mode_t) : 0; va_end(list); \
    return opened(#name, path, flags, mode); }
OPEN(open)
OPEN(open64)

ssize_t read(int fd, void *buffer, size_t count) {
    char link[64], path[4096];
    if (getenv("FAULT_READ")) {
        snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
        ssize_t length = readlink(link, path, sizeof path - 1);
        path[length > 0 ? length : 0] = 0;
        int e = sick("FAULT_READ", path);
        if (e) return failed(e);
    }
    return NEXT(ssize_t (*)(int, void *, size_t), "read")(fd, buffer, count);
}

int unlink(const char *path) {
    int e = read_only(path);
    return e ? failed(e) : NEXT(int (*)(const char *), "unlink")(path);
}

int mkdir(const char *path, mode_t mode) {
    int e = name_fault(path);
    if (!e) e = read_only(path);
    return e ? failed(e) : NEXT(int (*)(const char *, mode_t), "mkdir")(path, mode);
}

int rename(const char *from, const char *to) {
    const char *old = strrchr(from, '/'), *new = strrchr(to, '/');
    size_t old_length = old ? old - from : 0, new_length = new ? new - to : 0;
    int e = name_fault(to), differs = old_length != new_length || strncmp(from, to, old_length);
    if (!e) e = read_only(to);
    if (!e && differs) e = number("FAULT_MOVE");
    if (!e && !access(to, F_OK)) e = number("FAULT_REPLACE");
    return e ? failed(e) : NEXT(int (*)(const char *, const char *), "rename")(from, to);
}
