/* Makes the disk and the clock fail: preloaded into the daemon, it stands before four calls of the C
 * library.
 *
 * Each fault is on while a file of its name exists in the folder that ADMIT_FAULTS names:
 *   sync-fails     fdatasync gives EIO, and syncs nothing
 *   sync-hangs     fdatasync does not return
 *   folder-fails   fsync of a folder gives EIO
 *   write-is-torn  pwrite writes a half of the bytes, and then finds the disk full
 *   clock-jumps    the time of day is that of the host and as many seconds as the file says
 * Every fault that strikes leaves a file of its name with `.struck` behind.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static int is_on(const char *fault) {
    char path[4096];
    const char *folder = getenv("ADMIT_FAULTS");
    if (folder == NULL) return 0;
    snprintf(path, sizeof path, "%s/%s", folder, fault);
    if (access(path, F_OK) != 0) return 0;
    snprintf(path, sizeof path, "%s/%s.struck", folder, fault);
    int struck = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
    if (struck >= 0) close(struck);
    return 1;
}

int fdatasync(int fd) {
    int (*next)(int) = dlsym(RTLD_NEXT, "fdatasync");
    while (is_on("sync-hangs")) nanosleep(&(struct timespec){.tv_nsec = 5000000}, NULL);
    if (is_on("sync-fails")) {
        errno = EIO;
        return -1;
    }
    return next(fd);
}

int fsync(int fd) {
    int (*next)(int) = dlsym(RTLD_NEXT, "fsync");
    struct stat found;
    if (fstat(fd, &found) == 0 && S_ISDIR(found.st_mode) && is_on("folder-fails")) {
        errno = EIO;
        return -1;
    }
    return next(fd);
}

ssize_t pwrite64(int fd, const void *bytes, size_t length, off64_t offset) {
    ssize_t (*next)(int, const void *, size_t, off64_t) = dlsym(RTLD_NEXT, "pwrite64");
    static _Thread_local int is_half_written;
    if (!is_on("write-is-torn")) {
        is_half_written = 0;
    } else if (is_half_written) {
        is_half_written = 0;
        errno = ENOSPC;
        return -1;
    } else {
        is_half_written = 1;
        length /= 2;
    }
    return next(fd, bytes, length, offset);
}

int clock_gettime(clockid_t clock, struct timespec *now) {
    int (*next)(clockid_t, struct timespec *) = dlsym(RTLD_NEXT, "clock_gettime");
    int result = next(clock, now);
    if (result != 0 || clock != CLOCK_REALTIME) return result;
    int before = errno;
    if (is_on("clock-jumps")) {
        char text[32] = "", path[4096];
        snprintf(path, sizeof path, "%s/clock-jumps", getenv("ADMIT_FAULTS"));
        int file = open(path, O_RDONLY | O_CLOEXEC);
        if (file >= 0) {
            if (read(file, text, sizeof text - 1) > 0) now->tv_sec += strtoll(text, NULL, 10);
            close(file);
        }
    }
    errno = before;
    return result;
}
