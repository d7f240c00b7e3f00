/* Makes one write to a regular file short: the one of the number in SHORT_WRITE, counted in each process. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static size_t taken(int file, size_t size) {
    static long count;
    struct stat found;
    const char *number = getenv("SHORT_WRITE");
    if (!number || size < 2 || fstat(file, &found) || !S_ISREG(found.st_mode))
        return size;
    return __sync_add_and_fetch(&count, 1) == atol(number) ? size / 2 : size;
}

ssize_t write(int file, const void *data, size_t size) {
    ssize_t (*real)(int, const void *, size_t) = dlsym(RTLD_NEXT, "write");
    return real(file, data, taken(file, size));
}

ssize_t pwrite64(int file, const void *data, size_t size, off64_t position) {
    ssize_t (*real)(int, const void *, size_t, off64_t) = dlsym(RTLD_NEXT, "pwrite64");
    return real(file, data, taken(file, size), position);
}
