/*
 * A disk that keeps only what was synced, and fails on demand. Preloaded into a process under test.
 *
 * LOSSY_ROOT     files below this folder are watched.
 * LOSSY_SHADOW   this folder holds, at any moment, what a power cut would leave: a file gets there what was written
 *                to it when it is synced. Renames and removals take effect at once.
 * LOSSY_CONTROL  while this folder has a file named fail-write, fail-sync or fail-truncate, these calls fail on files
 *                whose path contains the file's content. A failing write writes half before it fails.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define REAL(name) ((__typeof__(&name))real(#name))
#define WATCHED_FILES 4096

static void *real(const char *name) { return dlsym(RTLD_NEXT, name); }

/* What was written to a file and not synced: one range that covers it all. */
static struct dirty {
    ino_t inode;
    off_t from, to;
} dirty[WATCHED_FILES];
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

/* The path of an open regular file below the root, relative to it; NULL for any other. */
static const char *watched(int fd, char path[PATH_MAX], struct stat *status) {
    char link[64];
    const char *root = getenv("LOSSY_ROOT");
    if (!root || fstat(fd, status) != 0 || !S_ISREG(status->st_mode))
        return NULL;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, PATH_MAX - 1);
    if (length < 0)
        return NULL;
    path[length] = 0;
    size_t root_length = strlen(root);
    return strncmp(path, root, root_length) == 0 && path[root_length] == '/' ? path + root_length : NULL;
}

static int told_to_fail(const char *what, const char *path) {
    char name[PATH_MAX], content[256];
    const char *control = getenv("LOSSY_CONTROL");
    if (!control || !path)
        return 0;
    snprintf(name, sizeof name, "%s/%s", control, what);
    int fd = REAL(open64)(name, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return 0;
    ssize_t length = read(fd, content, sizeof content - 1);
    close(fd);
    content[length > 0 ? length : 0] = 0;
    return length > 0 && strstr(path, content) != NULL;
}

static struct dirty *dirty_of(ino_t inode) {
    for (int i = 0; i < WATCHED_FILES; i++) {
        if (dirty[i].inode == inode)
            return &dirty[i];
        if (dirty[i].inode == 0) {
            dirty[i] = (struct dirty){.inode = inode, .from = INT64_MAX, .to = 0};
            return &dirty[i];
        }
    }
    abort();
}

static void wrote(ino_t inode, off_t from, off_t to) {
    pthread_mutex_lock(&lock);
    struct dirty *range = dirty_of(inode);
    if (from < range->from)
        range->from = from;
    if (to > range->to)
        range->to = to;
    pthread_mutex_unlock(&lock);
}

static int shadow_path(const char *relative, char shadow[PATH_MAX]) {
    const char *root = getenv("LOSSY_SHADOW");
    return root && snprintf(shadow, PATH_MAX, "%s%s", root, relative) < PATH_MAX;
}

/* Brings what was written to a file into its shadow. */
static void keep(int fd, const char *relative, ino_t inode) {
    static char buffer[1 << 16];
    char shadow[PATH_MAX];
    struct stat status;
    if (!shadow_path(relative, shadow))
        return;
    for (char *slash = strchr(shadow + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = 0;
        mkdir(shadow, 0700);
        *slash = '/';
    }
    pthread_mutex_lock(&lock);
    struct dirty *range = dirty_of(inode);
    int to = REAL(open64)(shadow, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    char self[64];
    snprintf(self, sizeof self, "/proc/self/fd/%d", fd);
    /* The descriptor that is synced may not be readable. */
    int from = REAL(open64)(self, O_RDONLY | O_CLOEXEC);
    if (to < 0 || from < 0 || fstat(fd, &status) != 0)
        abort();
    for (off_t at = range->from; at < range->to;) {
        size_t wanted = sizeof buffer;
        if (range->to - at < (off_t)wanted)
            wanted = range->to - at;
        ssize_t got = pread64(from, buffer, wanted, at);
        if (got <= 0)
            break;
        if (REAL(pwrite64)(to, buffer, got, at) != got)
            abort();
        at += got;
    }
    if (REAL(ftruncate64)(to, status.st_size) != 0)
        abort();
    close(from);
    close(to);
    *range = (struct dirty){.inode = inode, .from = INT64_MAX, .to = 0};
    pthread_mutex_unlock(&lock);
}

ssize_t pwrite64(int fd, const void *data, size_t length, off64_t offset) {
    char path[PATH_MAX];
    struct stat status;
    const char *relative = watched(fd, path, &status);
    int fail = told_to_fail("fail-write", relative);
    ssize_t written = fail && length < 2 ? 0 : REAL(pwrite64)(fd, data, fail ? length / 2 : length, offset);
    if (relative && written > 0)
        wrote(status.st_ino, offset, offset + written);
    if (fail) {
        errno = ENOSPC;
        return -1;
    }
    return written;
}

ssize_t write(int fd, const void *data, size_t length) {
    char path[PATH_MAX];
    struct stat status;
    const char *relative = watched(fd, path, &status);
    if (told_to_fail("fail-write", relative)) {
        errno = ENOSPC;
        return -1;
    }
    ssize_t written = REAL(write)(fd, data, length);
    if (relative && written > 0) {
        off64_t end = lseek64(fd, 0, SEEK_CUR);
        wrote(status.st_ino, end - written, end);
    }
    return written;
}

int ftruncate64(int fd, off64_t length) {
    char path[PATH_MAX];
    struct stat status;
    if (told_to_fail("fail-truncate", watched(fd, path, &status))) {
        errno = EIO;
        return -1;
    }
    return REAL(ftruncate64)(fd, length);
}

static int sync_with(int fd, int (*really)(int)) {
    char path[PATH_MAX];
    struct stat status;
    const char *relative = watched(fd, path, &status);
    if (told_to_fail("fail-sync", relative)) {
        errno = EIO;
        return -1;
    }
    int outcome = really(fd);
    if (outcome == 0 && relative)
        keep(fd, relative, status.st_ino);
    return outcome;
}

int fsync(int fd) { return sync_with(fd, REAL(fsync)); }
int fdatasync(int fd) { return sync_with(fd, REAL(fdatasync)); }

static const char *below_root(const char *path) {
    const char *root = getenv("LOSSY_ROOT");
    return root && strncmp(path, root, strlen(root)) == 0 ? path + strlen(root) : NULL;
}

int rename(const char *from, const char *to) {
    char shadow_from[PATH_MAX], shadow_to[PATH_MAX];
    int outcome = REAL(rename)(from, to);
    if (outcome == 0 && below_root(from) && below_root(to) && shadow_path(below_root(from), shadow_from) &&
        shadow_path(below_root(to), shadow_to))
        REAL(rename)(shadow_from, shadow_to);
    return outcome;
}

int unlink(const char *path) {
    char shadow[PATH_MAX];
    int outcome = REAL(unlink)(path);
    if (outcome == 0 && below_root(path) && shadow_path(below_root(path), shadow))
        REAL(unlink)(shadow);
    return outcome;
}

int unlinkat(int folder, const char *name, int flags) {
    char link[64], path[PATH_MAX];
    snprintf(link, sizeof link, "/proc/self/fd/%d", folder);
    ssize_t length = readlink(link, path, sizeof path - NAME_MAX - 2);
    int outcome = REAL(unlinkat)(folder, name, flags);
    if (outcome == 0 && length > 0) {
        char shadow[PATH_MAX];
        snprintf(path + length, sizeof path - length, "/%s", name);
        if (below_root(path) && shadow_path(below_root(path), shadow))
            REAL(unlinkat)(AT_FDCWD, shadow, flags);
    }
    return outcome;
}
