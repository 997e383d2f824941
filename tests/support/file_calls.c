/* Watches the file calls of a process, as a library that is preloaded (LD_PRELOAD). Linux, 64 bits.
 *
 * Each call that changes a file, a name or what is on the disk, in the folder FILE_CALLS_FOLDER or below it, is
 * appended to the file FILE_CALLS_LOG with its data; so is what is written to the standard output. `file_calls.py`
 * compiles this file and reads the log.
 *
 * FILE_CALLS_FAIL makes one of the calls fail, or one and all that follow (see `refused_by`; `failing_calls.py` uses it).
 *
 * Every call goes one way: `enter` looks at it, `refused_by` may make it fail, the kernel does it, `leave` records it.
 * Calls go to the kernel by `syscall`, so that no function of this library calls another one of it. A lock on the
 * log is held meanwhile: the log has the order in which threads and processes made their calls.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <limits.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#define FICLONE_REQUEST _IOW(0x94, 9, int)

/* The numbers stand in `file_calls.py` too. */
enum kind {
    OPEN = 1, WRITE, TRUNCATE, ALLOCATE, SYNC, SYNC_ALL, RENAME, LINK, SYMLINK, UNLINK, MKDIR, RMDIR, CHMOD, PRINT,
    READ, STAT, MAP, LOCK, /* these pass through `refused_by`, and are not recorded */
};

/* One call: what it is about, and what `leave` records of it. */
struct call {
    enum kind kind;
    int log;                 /* the log, locked; -1 if there is none */
    int is_watched;          /* the call is about the folder */
    char path[PATH_MAX];     /* absolute, without links in its folder */
    char other[PATH_MAX];    /* the new name of a rename or link, the target of a symbolic link */
    uint64_t file;           /* the inode */
    int64_t offset;          /* of a write or allocation; or the new size, or the mode */
    uint32_t flags;          /* of open: its flags; of a sync: 1 if it is a folder's */
    uint32_t created;        /* of open: 1 if the file was not there before */
    const void *data;
    uint64_t length;         /* of the data, or of an allocation */
};

/* What a record begins with; both paths and the data follow. All numbers are little endian. */
struct header {
    uint32_t kind, flags, created, path, other, unused;
    uint64_t file, data;
    int64_t offset;
};

static const char *folder(void) {
    const char *name = getenv("FILE_CALLS_FOLDER");
    return name ? name : "";
}

static int is_inside(const char *path) {
    size_t length = strlen(folder());
    return length && !strncmp(path, folder(), length) && (path[length] == '/' || path[length] == 0);
}

static void give_up(const char *what) {
    fprintf(stderr, "file_calls.c: %s: %s\n", what, strerror(errno));
    abort();
}

/* The path of an open file; a file without a name any more has " (deleted)" at its end. */
static int path_of(int fd, char *path) {
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = syscall(SYS_readlinkat, AT_FDCWD, link, path, PATH_MAX - 1);
    path[length > 0 ? length : 0] = 0;
    return length > 0;
}

/* The absolute path of a name; links in its folder are followed, the last part is not. */
static void absolute(int at, const char *name, char *path) {
    char joined[2 * PATH_MAX + 2], parent[PATH_MAX], found[PATH_MAX];
    if (name[0] == '/') {
        snprintf(joined, sizeof joined, "%s", name);
    } else if (at == AT_FDCWD ? getcwd(parent, sizeof parent) != NULL : path_of(at, parent)) {
        snprintf(joined, sizeof joined, "%s/%s", parent, name);
    } else {
        path[0] = 0;
        return;
    }
    size_t length = strlen(joined);
    while (length > 1 && joined[length - 1] == '/')
        joined[--length] = 0;
    char *last = strrchr(joined, '/');
    *last = 0;
    int is_known = realpath(joined[0] ? joined : "/", found) && strlen(found) + strlen(last + 1) + 2 <= PATH_MAX;
    path[0] = 0;
    if (is_known)
        strcat(strcat(strcpy(path, strcmp(found, "/") ? found : ""), "/"), last + 1);
}

static int status_of(int fd, struct stat *status) { return syscall(SYS_newfstatat, fd, "", status, AT_EMPTY_PATH); }

static uint64_t file_of(int fd) {
    struct stat status;
    return status_of(fd, &status) ? 0 : status.st_ino;
}

static int is_there(const char *path) {
    struct stat status;
    return !syscall(SYS_newfstatat, AT_FDCWD, path, &status, AT_SYMLINK_NOFOLLOW);
}

/* Whether a path, as it is below the folder, is one of a pattern. */
static int matches(const char *path, const char *pattern) {
    char name[PATH_MAX];
    if (!is_inside(path))
        return 0;
    snprintf(name, sizeof name, "%s", path + strlen(folder()) + (path[strlen(folder())] == '/'));
    char *deleted = strstr(name, " (deleted)");
    if (deleted)
        *deleted = 0;
    return !fnmatch(pattern, name, 0);
}

/* Appends a character to the file FILE_CALLS_NOTES: @ plus the kind of a call that was counted, x for one that fails. */
static void note(char character) {
    const char *name = getenv("FILE_CALLS_NOTES");
    int file = name ? syscall(SYS_openat, AT_FDCWD, name, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600) : -1;
    if (file < 0 || syscall(SYS_write, file, &character, 1) != 1)
        give_up("FILE_CALLS_NOTES");
    syscall(SYS_close, file);
}

/* The errno with which a call is to fail instead of being made; 0 lets it happen.
 *
 * FILE_CALLS_FAIL has four numbers and a pattern (fnmatch) of paths below the folder: the kinds of calls as bits, which
 * of these calls of this process fails (from 1; 0 only counts them), its errno (0 makes it read or write half), and 1 if
 * all that follow fail too.
 */
static int refused_by(struct call *call) {
    static atomic_ulong count;
    unsigned long kinds, number;
    int error, is_lasting, pattern;
    const char *text = getenv("FILE_CALLS_FAIL");
    if (!text || sscanf(text, "%lu %lu %d %d %n", &kinds, &number, &error, &is_lasting, &pattern) != 4)
        return 0;
    int is_meant = matches(call->path, text + pattern) || matches(call->other, text + pattern);
    if (!(kinds >> call->kind & 1) || !is_meant)
        return 0;
    unsigned long this = atomic_fetch_add(&count, 1) + 1;
    if (number == 0)
        note('@' + call->kind);
    if (number == 0 || (is_lasting ? this < number : this != number))
        return 0;
    note('x');
    if (!error)
        call->length = (call->length + 1) / 2;
    return error;
}

/* Returns 0 if the call may be made, or -1 with `errno` set. */
static int enter(struct call *call) {
    const char *log = getenv("FILE_CALLS_LOG");
    call->log = -1;
    if (!call->is_watched)
        return 0;
    if (log && call->kind < READ) {
        call->log = syscall(SYS_openat, AT_FDCWD, log, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
        if (call->log < 0 || flock(call->log, LOCK_EX))
            give_up(log);
        if (call->kind == OPEN)
            call->created = (call->flags & O_CREAT) && !is_there(call->path);
    }
    int error = refused_by(call);
    if (error) {
        if (call->log >= 0) {
            flock(call->log, LOCK_UN);
            syscall(SYS_close, call->log);
        }
        errno = error;
    }
    return error ? -1 : 0;
}

/* Records a call that succeeded, and returns its result. */
static long leave(struct call *call, long result) {
    int error = errno;
    if (call->log >= 0) {
        if (result >= 0) {
            int has_data = call->kind == WRITE || call->kind == PRINT;
            struct header header = {
                .kind = call->kind, .flags = call->flags, .created = call->created, .path = strlen(call->path),
                .other = strlen(call->other), .file = call->file, .offset = call->offset,
                .data = call->length,
            };
            struct iovec parts[] = {
                {&header, sizeof header}, {call->path, header.path}, {call->other, header.other},
                {(void *)call->data, has_data ? call->length : 0},
            };
            ssize_t size = sizeof header + header.path + header.other + (has_data ? call->length : 0);
            if (syscall(SYS_writev, call->log, parts, 4) != size)
                give_up("the log");
        }
        flock(call->log, LOCK_UN);
        syscall(SYS_close, call->log);
    }
    errno = error;
    return result;
}

/* A call about an open file. */
static struct call on_file(enum kind kind, int fd) {
    int error = errno;
    struct call call = {.kind = kind};
    call.is_watched = path_of(fd, call.path) && is_inside(call.path);
    if (call.is_watched)
        call.file = file_of(fd);
    errno = error;
    return call;
}

/* A call about a name. */
static struct call on_name(enum kind kind, int at, const char *name) {
    int error = errno;
    struct call call = {.kind = kind};
    absolute(at, name, call.path);
    call.is_watched = is_inside(call.path);
    errno = error;
    return call;
}

/* A call about two names. */
static struct call on_names(enum kind kind, int at, const char *name, int other_at, const char *other) {
    int error = errno;
    struct call call = on_name(kind, at, name);
    absolute(other_at, other, call.other);
    call.is_watched = call.is_watched || is_inside(call.other);
    errno = error;
    return call;
}

static int open_at(int at, const char *name, int flags, mode_t mode) {
    struct call call = on_name(OPEN, at, name);
    call.flags = flags;
    if (enter(&call))
        return -1;
    int fd = syscall(SYS_openat, at, name, flags, mode);
    struct stat status;
    if (fd >= 0 && call.is_watched && !status_of(fd, &status)) {
        call.file = status.st_ino;
        call.offset = status.st_mode & 07777;
    }
    return leave(&call, fd);
}

static mode_t mode_of(int flags, va_list arguments) {
    int has_mode = (flags & O_CREAT) || (flags & O_TMPFILE) == O_TMPFILE;
    return has_mode ? va_arg(arguments, mode_t) : 0;
}

#define OPENS(function)                                                                                               \
    int function(const char *name, int flags, ...) {                                                                  \
        va_list arguments;                                                                                            \
        va_start(arguments, flags);                                                                                   \
        mode_t mode = mode_of(flags, arguments);                                                                      \
        va_end(arguments);                                                                                            \
        return open_at(AT_FDCWD, name, flags, mode);                                                                  \
    }
#define OPENS_AT(function)                                                                                            \
    int function(int at, const char *name, int flags, ...) {                                                          \
        va_list arguments;                                                                                            \
        va_start(arguments, flags);                                                                                   \
        mode_t mode = mode_of(flags, arguments);                                                                      \
        va_end(arguments);                                                                                            \
        return open_at(at, name, flags, mode);                                                                        \
    }
OPENS(open)
OPENS(open64)
OPENS_AT(openat)
OPENS_AT(openat64)
/* What the compiler makes of `open` where the functions of the C library are fortified. */
int __open_2(const char *name, int flags) { return open_at(AT_FDCWD, name, flags, 0); }
int __open64_2(const char *name, int flags) { return open_at(AT_FDCWD, name, flags, 0); }
int __openat_2(int at, const char *name, int flags) { return open_at(at, name, flags, 0); }
int __openat64_2(int at, const char *name, int flags) { return open_at(at, name, flags, 0); }
int creat(const char *name, mode_t mode) { return open_at(AT_FDCWD, name, O_CREAT | O_WRONLY | O_TRUNC, mode); }
int creat64(const char *name, mode_t mode) { return creat(name, mode); }

/* Writes at an offset, or at the file's own position if that is -1. */
static ssize_t write_at(int fd, const void *data, size_t length, off_t offset) {
    struct call call = on_file(fd == STDOUT_FILENO && offset < 0 ? PRINT : WRITE, fd);
    call.is_watched = call.is_watched || call.kind == PRINT;
    call.data = data;
    call.length = length;
    if (enter(&call))
        return -1;
    if (offset < 0 && call.kind == WRITE && call.log >= 0) {
        int appends = syscall(SYS_fcntl, fd, F_GETFL) & O_APPEND;
        call.offset = syscall(SYS_lseek, fd, 0, appends ? SEEK_END : SEEK_CUR);
    } else {
        call.offset = offset;
    }
    /* `refused_by` may have made it shorter. */
    ssize_t written = offset < 0 ? syscall(SYS_write, fd, data, call.length)
                                 : syscall(SYS_pwrite64, fd, data, call.length, offset);
    call.length = written > 0 ? written : 0;
    return leave(&call, written);
}

ssize_t write(int fd, const void *data, size_t length) { return write_at(fd, data, length, -1); }
ssize_t pwrite(int fd, const void *data, size_t length, off_t offset) { return write_at(fd, data, length, offset); }
ssize_t pwrite64(int fd, const void *data, size_t length, off64_t offset) { return write_at(fd, data, length, offset); }

/* Part by part: a short result is one that every caller of these has to take. */
static ssize_t write_parts(int fd, const struct iovec *parts, int count, off_t offset) {
    ssize_t all = 0;
    for (int number = 0; number < count; number++) {
        const struct iovec *part = &parts[number];
        ssize_t written = write_at(fd, part->iov_base, part->iov_len, offset < 0 ? -1 : offset + all);
        if (written < 0)
            return all ? all : -1;
        all += written;
        if ((size_t)written < part->iov_len)
            break;
    }
    return all;
}

ssize_t writev(int fd, const struct iovec *parts, int count) { return write_parts(fd, parts, count, -1); }
ssize_t pwritev(int fd, const struct iovec *parts, int count, off_t offset) {
    return write_parts(fd, parts, count, offset);
}
ssize_t pwritev64(int fd, const struct iovec *parts, int count, off64_t offset) {
    return write_parts(fd, parts, count, offset);
}

static ssize_t read_at(int fd, void *data, size_t length, off_t offset) {
    struct call call = on_file(READ, fd);
    call.offset = offset;
    call.length = length;
    if (enter(&call))
        return -1;
    return offset < 0 ? syscall(SYS_read, fd, data, call.length)
                      : syscall(SYS_pread64, fd, data, call.length, offset);
}

ssize_t read(int fd, void *data, size_t length) { return read_at(fd, data, length, -1); }
ssize_t pread(int fd, void *data, size_t length, off_t offset) { return read_at(fd, data, length, offset); }
ssize_t pread64(int fd, void *data, size_t length, off64_t offset) { return read_at(fd, data, length, offset); }

/* The kernel's own copying has no data that could be recorded; the callers then read and write. */
ssize_t copy_file_range(int from, off64_t *from_offset, int to, off64_t *to_offset, size_t length, unsigned flags) {
    struct call call = on_file(WRITE, to);
    if (call.is_watched) {
        errno = EXDEV;
        return -1;
    }
    return syscall(SYS_copy_file_range, from, from_offset, to, to_offset, length, flags);
}

static ssize_t send_file(int to, int from, off64_t *offset, size_t length) {
    struct call call = on_file(WRITE, to);
    if (call.is_watched) {
        errno = EINVAL;
        return -1;
    }
    return syscall(SYS_sendfile, to, from, offset, length);
}

ssize_t sendfile(int to, int from, off_t *offset, size_t length) { return send_file(to, from, offset, length); }
ssize_t sendfile64(int to, int from, off64_t *offset, size_t length) { return send_file(to, from, offset, length); }

int ioctl(int fd, unsigned long request, ...) {
    va_list arguments;
    va_start(arguments, request);
    void *argument = va_arg(arguments, void *);
    va_end(arguments);
    if (request == FICLONE_REQUEST && on_file(WRITE, fd).is_watched) {
        errno = EOPNOTSUPP;
        return -1;
    }
    return syscall(SYS_ioctl, fd, request, argument);
}

int ftruncate(int fd, off_t size) {
    struct call call = on_file(TRUNCATE, fd);
    call.offset = size;
    return enter(&call) ? -1 : leave(&call, syscall(SYS_ftruncate, fd, size));
}

int ftruncate64(int fd, off64_t size) { return ftruncate(fd, size); }

int truncate(const char *name, off_t size) {
    int fd = open_at(AT_FDCWD, name, O_WRONLY | O_CLOEXEC, 0);
    if (fd < 0)
        return -1;
    int result = ftruncate(fd, size);
    syscall(SYS_close, fd);
    return result;
}

int truncate64(const char *name, off64_t size) { return truncate(name, size); }

int fallocate(int fd, int mode, off_t offset, off_t length) {
    struct call call = on_file(ALLOCATE, fd);
    call.flags = mode;
    call.offset = offset;
    call.length = length;
    return enter(&call) ? -1 : leave(&call, syscall(SYS_fallocate, fd, mode, offset, length));
}

int fallocate64(int fd, int mode, off64_t offset, off64_t length) { return fallocate(fd, mode, offset, length); }
int posix_fallocate(int fd, off_t offset, off_t length) { return fallocate(fd, 0, offset, length) ? errno : 0; }
int posix_fallocate64(int fd, off64_t offset, off64_t length) { return posix_fallocate(fd, offset, length); }

static int sync_file(int fd, long number) {
    struct call call = on_file(SYNC, fd);
    struct stat status;
    call.flags = call.is_watched && !status_of(fd, &status) && S_ISDIR(status.st_mode);
    return enter(&call) ? -1 : leave(&call, syscall(number, fd));
}

int fsync(int fd) { return sync_file(fd, SYS_fsync); }
int fdatasync(int fd) { return sync_file(fd, SYS_fdatasync); }

int syncfs(int fd) {
    struct call call = on_file(SYNC_ALL, fd);
    return enter(&call) ? -1 : leave(&call, syscall(SYS_syncfs, fd));
}

void sync(void) {
    struct call call = {.kind = SYNC_ALL, .is_watched = folder()[0] != 0};
    if (!enter(&call))
        leave(&call, syscall(SYS_sync));
}

int renameat2(int at, const char *name, int other_at, const char *other, unsigned flags) {
    struct call call = on_names(RENAME, at, name, other_at, other);
    call.flags = flags;
    return enter(&call) ? -1 : leave(&call, syscall(SYS_renameat2, at, name, other_at, other, flags));
}

int renameat(int at, const char *name, int other_at, const char *other) {
    return renameat2(at, name, other_at, other, 0);
}

int rename(const char *name, const char *other) { return renameat2(AT_FDCWD, name, AT_FDCWD, other, 0); }

int linkat(int at, const char *name, int other_at, const char *other, int flags) {
    struct call call = on_names(LINK, at, name, other_at, other);
    return enter(&call) ? -1 : leave(&call, syscall(SYS_linkat, at, name, other_at, other, flags));
}

int link(const char *name, const char *other) { return linkat(AT_FDCWD, name, AT_FDCWD, other, 0); }

int symlinkat(const char *target, int at, const char *name) {
    struct call call = on_name(SYMLINK, at, name);
    snprintf(call.other, sizeof call.other, "%s", target);
    return enter(&call) ? -1 : leave(&call, syscall(SYS_symlinkat, target, at, name));
}

int symlink(const char *target, const char *name) { return symlinkat(target, AT_FDCWD, name); }

int unlinkat(int at, const char *name, int flags) {
    struct call call = on_name(flags & AT_REMOVEDIR ? RMDIR : UNLINK, at, name);
    return enter(&call) ? -1 : leave(&call, syscall(SYS_unlinkat, at, name, flags));
}

int unlink(const char *name) { return unlinkat(AT_FDCWD, name, 0); }
int rmdir(const char *name) { return unlinkat(AT_FDCWD, name, AT_REMOVEDIR); }

int mkdirat(int at, const char *name, mode_t mode) {
    struct call call = on_name(MKDIR, at, name);
    call.offset = mode;
    return enter(&call) ? -1 : leave(&call, syscall(SYS_mkdirat, at, name, mode));
}

int mkdir(const char *name, mode_t mode) { return mkdirat(AT_FDCWD, name, mode); }

/* Makes an empty file as an open does. */
int mknodat(int at, const char *name, mode_t mode, dev_t device) {
    struct call call = on_name(OPEN, at, name);
    call.is_watched = call.is_watched && S_ISREG(mode);
    call.flags = O_CREAT | O_EXCL;
    if (enter(&call))
        return -1;
    int result = syscall(SYS_mknodat, at, name, mode, device);
    struct stat status;
    if (!result && call.is_watched && !fstatat(at, name, &status, AT_SYMLINK_NOFOLLOW)) {
        call.file = status.st_ino;
        call.offset = status.st_mode & 07777;
    }
    return leave(&call, result);
}

int mknod(const char *name, mode_t mode, dev_t device) { return mknodat(AT_FDCWD, name, mode, device); }

int fchmod(int fd, mode_t mode) {
    struct call call = on_file(CHMOD, fd);
    call.offset = mode;
    return enter(&call) ? -1 : leave(&call, syscall(SYS_fchmod, fd, mode));
}

int fchmodat(int at, const char *name, mode_t mode, int flags) {
    struct call call = on_name(CHMOD, at, name);
    struct stat status;
    int is_known = call.is_watched && !syscall(SYS_newfstatat, at, name, &status, 0);
    call.file = is_known ? status.st_ino : 0;
    call.offset = mode;
    if (flags) {
        errno = EOPNOTSUPP;
        return -1;
    }
    return enter(&call) ? -1 : leave(&call, syscall(SYS_fchmodat, at, name, mode));
}

int chmod(const char *name, mode_t mode) { return fchmodat(AT_FDCWD, name, mode, 0); }

int fstatat(int at, const char *name, struct stat *status, int flags) {
    struct call call = name[0] ? on_name(STAT, at, name) : on_file(STAT, at);
    return enter(&call) ? -1 : syscall(SYS_newfstatat, at, name, status, flags);
}

int stat(const char *name, struct stat *status) { return fstatat(AT_FDCWD, name, status, 0); }
int lstat(const char *name, struct stat *status) { return fstatat(AT_FDCWD, name, status, AT_SYMLINK_NOFOLLOW); }
int fstat(int fd, struct stat *status) { return fstatat(fd, "", status, AT_EMPTY_PATH); }
int fstatat64(int at, const char *name, struct stat64 *status, int flags) {
    return fstatat(at, name, (struct stat *)status, flags);
}
int stat64(const char *name, struct stat64 *status) { return stat(name, (struct stat *)status); }
int lstat64(const char *name, struct stat64 *status) { return lstat(name, (struct stat *)status); }
int fstat64(int fd, struct stat64 *status) { return fstat(fd, (struct stat *)status); }

int faccessat(int at, const char *name, int mode, int flags) {
    struct call call = on_name(STAT, at, name);
    if (enter(&call))
        return -1;
    return flags ? syscall(SYS_faccessat2, at, name, mode, flags) : syscall(SYS_faccessat, at, name, mode);
}

int access(const char *name, int mode) { return faccessat(AT_FDCWD, name, mode, 0); }

void *mmap(void *address, size_t length, int protection, int flags, int fd, off_t offset) {
    struct call call = {.kind = MAP};
    if (!(flags & MAP_ANONYMOUS))
        call = on_file(MAP, fd);
    return enter(&call) ? MAP_FAILED : (void *)syscall(SYS_mmap, address, length, protection, flags, fd, offset);
}

void *mmap64(void *address, size_t length, int protection, int flags, int fd, off64_t offset) {
    return mmap(address, length, protection, flags, fd, offset);
}

int fcntl(int fd, int command, ...) {
    va_list arguments;
    va_start(arguments, command);
    void *argument = va_arg(arguments, void *);
    va_end(arguments);
    if (command == F_SETLK || command == F_SETLKW) {
        struct call call = on_file(LOCK, fd);
        if (enter(&call))
            return -1;
    }
    return syscall(SYS_fcntl, fd, command, argument);
}

int fcntl64(int fd, int command, ...) {
    va_list arguments;
    va_start(arguments, command);
    void *argument = va_arg(arguments, void *);
    va_end(arguments);
    return fcntl(fd, command, argument);
}
