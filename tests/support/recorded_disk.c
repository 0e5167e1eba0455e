/* Notes each change of the files of one folder in a journal, in the order in which they were made,
 * and tells a server which boot of the machine this is.
 *
 * A change is noted when it is done, a sync also when it begins: what was noted before its
 * beginning is on the disk at its end. Other ways of changing files are not known here; a test
 * finds that out by holding what the journal gives against the folder. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

static const char BOOT_ID[] = "/proc/sys/kernel/random/boot_id";

static const char *folder, *boot;
static int journal = -1;

__attribute__((constructor)) static void begin(void)
{
    const char *path = getenv("DISK_JOURNAL");
    folder = getenv("DISK_FOLDER");
    boot = getenv("DISK_BOOT");
    if (!path || !folder || !boot)
        abort();
    int flags = O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC;
    journal = (int)syscall(SYS_openat, AT_FDCWD, path, flags, 0600);
    if (journal < 0)
        abort();
}

/* What stands before the bytes of a note. */
struct head {
    uint64_t file, at;
    uint32_t length, thread;
    uint64_t kind;
};

static void note(char kind, uint64_t file, uint64_t at, const void *bytes, size_t length)
{
    struct head head = {file, at, (uint32_t)length, (uint32_t)syscall(SYS_gettid), (uint64_t)kind};
    struct iovec parts[] = {{&head, sizeof head}, {(void *)bytes, length}};
    if (syscall(SYS_writev, journal, parts, 2) != (long)(sizeof head + length))
        abort();
}

/* The name of a file of the folder; "" for the folder, NULL for any other. */
static const char *name_of(const char *path)
{
    size_t length = strlen(folder);
    if (strncmp(path, folder, length) != 0)
        return NULL;
    if (path[length] == '\0')
        return path + length;
    return path[length] == '/' ? path + length + 1 : NULL;
}

/* The number of an open file of the folder; 0 for the folder, -1 for any other. */
static int64_t number_of(int file)
{
    char link[64], path[PATH_MAX];
    struct stat found;
    if (fstat(file, &found) != 0 || !(S_ISREG(found.st_mode) || S_ISDIR(found.st_mode)))
        return -1;
    snprintf(link, sizeof link, "/proc/self/fd/%d", file);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length < 0)
        return -1;
    path[length] = '\0';
    const char *name = name_of(path);
    return name == NULL ? -1 : *name == '\0' ? 0 : (int64_t)found.st_ino;
}

int open64(const char *path, int flags, ...)
{
    mode_t mode = 0;
    if (flags & O_CREAT) {
        va_list arguments;
        va_start(arguments, flags);
        mode = va_arg(arguments, mode_t);
        va_end(arguments);
    }
    if (strcmp(path, BOOT_ID) == 0)
        path = boot;
    const char *name = name_of(path);
    int is_new = name && (flags & O_CREAT) && faccessat(AT_FDCWD, path, F_OK, 0) != 0;
    int file = (int)syscall(SYS_openat, AT_FDCWD, path, flags, mode);
    if (file >= 0 && is_new)
        note('c', (uint64_t)number_of(file), 0, name, strlen(name));
    else if (file >= 0 && name && (flags & O_TRUNC))
        note('r', (uint64_t)number_of(file), 0, NULL, 0);
    return file;
}

ssize_t pwrite64(int file, const void *bytes, size_t length, off64_t at)
{
    ssize_t written = syscall(SYS_pwrite64, file, bytes, length, at);
    int64_t number = written > 0 ? number_of(file) : -1;
    if (number > 0)
        note('w', (uint64_t)number, (uint64_t)at, bytes, (size_t)written);
    return written;
}

int ftruncate64(int file, off64_t length)
{
    int failed = (int)syscall(SYS_ftruncate, file, length);
    int64_t number = failed ? -1 : number_of(file);
    if (number > 0)
        note('r', (uint64_t)number, (uint64_t)length, NULL, 0);
    return failed;
}

static int sync_by(long call, int file)
{
    int64_t number = number_of(file);
    if (number >= 0)
        note('s', (uint64_t)number, 0, NULL, 0);
    int failed = (int)syscall(call, file);
    if (!failed && number >= 0)
        note('e', (uint64_t)number, 0, NULL, 0);
    return failed;
}

int fsync(int file)
{
    return sync_by(SYS_fsync, file);
}

int fdatasync(int file)
{
    return sync_by(SYS_fdatasync, file);
}

int unlink(const char *path)
{
    int failed = (int)syscall(SYS_unlinkat, AT_FDCWD, path, 0);
    const char *name = name_of(path);
    if (!failed && name)
        note('u', 0, 0, name, strlen(name));
    return failed;
}
