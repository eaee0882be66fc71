/*
 * Stands between a daemon and the C library (LD_PRELOAD) and does to its files what a bad disk, a full one and a power
 * cut do, at a chosen call. FaultyDisk.java compiles it, and says through a shared page what is to happen when.
 *
 * It keeps what each 4 KiB page of a file held when it was last made durable, as long as it has been written since. So
 * a sync that fails loses data as Linux does: the pages count as clean, read as they were written while they are in
 * memory, and are what the disk holds once they were dropped. And a power cut is one: each page that was not synced is
 * lost, kept or torn by sectors, and then the process ends. Names (rename, unlink, a directory's sync) are durable at
 * once here; the simulator and the enumeration of crash states have those.
 *
 * A sync that does not fail is not carried out: a killed process loses nothing that the kernel has, and no one else
 * cuts the power.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

enum { WRITE = 1, SYNC = 2, READ = 4, SPACE = 8, NAME = 16, UNLINK = 32 };
enum { KILL_BEFORE = 1, KILL_AFTER, TORN_KILL, IO_ERROR, NO_SPACE, SHORT, LOST_SYNC, CUT_BEFORE, CUT_AFTER, HANG };
enum { PAGE = 4096, SECTOR = 512, BUCKETS = 1 << 14 };

/* What the test and we share; the test has the same offsets. */
struct control {
    volatile int64_t armed, calls, after, fault, seed; /* said by the test */
    volatile int64_t struck, seen;                     /* said by us */
    volatile int64_t command;                          /* 1: cut the power, 2: kill */
    volatile int64_t released;                         /* by the test: what hangs goes on */
    char room[56];
    volatile char pattern[128];
    char where[384];
    /* Until a call like this has come by, none counts; it may itself be one that does. */
    volatile int64_t first_calls;  /* 0: none is waited for */
    volatile int64_t first_lacks;  /* 1: the bytes must not be in it */
    volatile int64_t needle_bytes; /* 0: whatever it writes */
    volatile char first_pattern[128];
    volatile char needle[64];
};

struct page {
    struct page *next;
    struct file *file;
    int64_t number;
    int doomed; /* clean in memory and not on disk: a sync that covered it failed */
    unsigned char durable[PAGE];
};

struct file {
    struct file *next;
    dev_t device;
    ino_t inode;
    int fd;
    long pages;
};

static struct control *control;
static const char *under;
static char dirty[512]; /* file for what a kill leaves in memory */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* guards all below, and is held over each call that changes a file */
static struct page *pages[BUCKETS];
static struct file *files;
static uint64_t chance;

static uint64_t draw(void) {
    chance += 0x9e3779b97f4a7c15u;
    uint64_t z = chance;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

static ssize_t raw_read(int fd, void *into, size_t count, off_t at) {
    return syscall(SYS_pread64, fd, into, count, at);
}

static ssize_t raw_write(int fd, const void *from, size_t count, off_t at) {
    return syscall(SYS_pwrite64, fd, from, count, at);
}

/* The path of an open file that is ours to harm. */
static int path_of(int fd, char *path, size_t room) {
    char name[64];
    snprintf(name, sizeof name, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(name, path, room - 1);
    if (length < 0) {
        return 0;
    }
    path[length] = 0;
    return strncmp(path, under, strlen(under)) == 0;
}

/* ---- what is durable ---------------------------------------------------------------------------------------------- */

static struct file *file_of(int fd, int make) {
    struct stat s;
    if (fstat(fd, &s) != 0 || !S_ISREG(s.st_mode)) {
        return NULL;
    }
    for (struct file *f = files; f; f = f->next) {
        if (f->device == s.st_dev && f->inode == s.st_ino) {
            return f;
        }
    }
    if (!make) {
        return NULL;
    }
    char name[64];
    snprintf(name, sizeof name, "/proc/self/fd/%d", fd);
    struct file *f = calloc(1, sizeof *f);
    f->device = s.st_dev;
    f->inode = s.st_ino;
    f->fd = (int)syscall(SYS_openat, AT_FDCWD, name, O_RDWR | O_CLOEXEC, 0); /* also when the daemon closes it */
    f->next = files;
    files = f;
    return f;
}

static struct page **bucket(struct file *f, int64_t number) {
    return &pages[((uintptr_t)f / 64 + (uint64_t)number * 0x9e3779b97f4a7c15u) % BUCKETS];
}

/* These bytes are about to change: remembers what is on disk there. */
static void remember(int fd, off_t at, size_t count) {
    struct file *f = count == 0 ? NULL : file_of(fd, 1);
    if (!f) {
        return;
    }
    for (int64_t number = at / PAGE; number <= (int64_t)(at + count - 1) / PAGE; number++) {
        struct page *p = *bucket(f, number);
        while (p && (p->file != f || p->number != number)) {
            p = p->next;
        }
        if (p) {
            p->doomed = 0; /* dirty again, whole: a page is written back whole */
            continue;
        }
        p = calloc(1, sizeof *p);
        p->file = f;
        p->number = number;
        ssize_t got = raw_read(f->fd, p->durable, PAGE, number * PAGE);
        (void)got; /* behind the end it is zero */
        p->next = *bucket(f, number);
        *bucket(f, number) = p;
        f->pages++;
    }
}

/* Part of the page becomes again what the disk holds. */
static void restore(struct page *p, int from, int length) {
    struct stat s;
    fstat(p->file->fd, &s);
    off_t at = p->number * PAGE + from;
    if (at < s.st_size) {
        off_t left = s.st_size - at;
        ssize_t put = raw_write(p->file->fd, p->durable + from, length < left ? length : left, at);
        (void)put;
    }
}

enum what { SYNCED, FAILED, DROPPED, KILLED, CUT };

static int is_forgotten(struct page *p, enum what what, int fate) {
    switch (what) {
    case SYNCED:
        return !p->doomed;
    case FAILED: /* each of them was written or not, and all are clean */
        if (!p->doomed && draw() % 2) {
            return 1;
        }
        p->doomed = 1;
        return 0;
    case DROPPED:
    case KILLED: /* clean pages may go at any time */
        if (p->doomed) {
            restore(p, 0, PAGE);
        }
        return p->doomed;
    case CUT:
        if (p->doomed || fate == 0) {
            restore(p, 0, PAGE);
        } else if (fate > 1) {
            uint64_t own = draw() % 4;
            for (int at = 0; at < PAGE; at += SECTOR) {
                if (own == 0 || (own == 1 && draw() % 2)) {
                    restore(p, at, SECTOR);
                }
            }
        }
        return 1;
    }
    return 0;
}

/* All pages, or those of one file. */
static void settle(struct file *only, enum what what, int fate) {
    for (int i = 0; i < BUCKETS; i++) {
        for (struct page **at = &pages[i]; *at;) {
            struct page *p = *at;
            if ((!only || p->file == only) && is_forgotten(p, what, fate)) {
                *at = p->next;
                p->file->pages--;
                free(p);
            } else {
                at = &p->next;
            }
        }
    }
    for (struct file **at = &files; *at;) {
        struct file *f = *at;
        if (f->pages == 0) {
            *at = f->next;
            close(f->fd);
            free(f);
        } else {
            at = &f->next;
        }
    }
}

static int open_path(const char *path, int flags) { return (int)syscall(SYS_openat, AT_FDCWD, path, flags | O_CLOEXEC, 0600); }

/* A kill leaves in the kernel's memory what was not synced: the next process has to know of it. */
struct kept {
    int64_t number;
    char path[512];
    unsigned char durable[PAGE];
};

static void hand_over(void) {
    int out = open_path(dirty, O_CREAT | O_TRUNC | O_WRONLY);
    for (int i = 0; i < BUCKETS; i++) {
        for (struct page *p = pages[i]; p; p = p->next) {
            struct kept kept = {.number = p->number};
            if (path_of(p->file->fd, kept.path, sizeof kept.path)) {
                memcpy(kept.durable, p->durable, PAGE);
                ssize_t put = write(out, &kept, sizeof kept);
                (void)put;
            }
        }
    }
    close(out);
}

static void take_over(void) {
    int in = open_path(dirty, O_RDONLY);
    struct kept kept;
    while (in >= 0 && read(in, &kept, sizeof kept) == (ssize_t)sizeof kept) {
        int fd = open_path(kept.path, O_RDWR);
        struct file *f = fd < 0 ? NULL : file_of(fd, 1); /* gone: it was deleted */
        if (f) {
            struct page *p = calloc(1, sizeof *p);
            p->file = f;
            p->number = kept.number;
            memcpy(p->durable, kept.durable, PAGE);
            p->next = *bucket(f, p->number);
            *bucket(f, p->number) = p;
            f->pages++;
        }
        if (fd >= 0) {
            close(fd);
        }
    }
    if (in >= 0) {
        close(in);
        unlink(dirty);
    }
}

static void die(int power) {
    settle(NULL, power ? CUT : KILLED, (int)(draw() % 4));
    if (!power) {
        hand_over();
    }
    kill(getpid(), SIGKILL);
    for (;;) {
        pause();
    }
}

/* ---- when --------------------------------------------------------------------------------------------------------- */

/* A pattern with a star is one for the whole path, any other a part of it. */
static int matches(volatile char *pattern, const char *path) {
    const char *text = (const char *)pattern;
    return strchr(text, '*') ? fnmatch(text, path, 0) == 0 : strstr(path, text) != NULL;
}

static int has_needle(const struct iovec *parts, int count) {
    for (int i = 0; i < count; i++) {
        if (memmem(parts[i].iov_base, parts[i].iov_len, (const char *)control->needle, control->needle_bytes)) {
            return 1;
        }
    }
    return 0;
}

/* Whether nothing has to come by first any more. */
static int is_due(int kind, const char *path, const struct iovec *parts, int count) {
    if (control->first_calls & kind && matches(control->first_pattern, path) &&
        (!control->needle_bytes || has_needle(parts, count) != control->first_lacks)) {
        control->first_calls = 0;
    }
    return !control->first_calls;
}

/* With the lock: what is to happen at this call, 0 for nothing. */
static int64_t fault_at_write(int kind, const char *path, const struct iovec *parts, int count) {
    control->seen++;
    if (!control->armed || !is_due(kind, path, parts, count) || !(control->calls & kind) ||
        !matches(control->pattern, path)) {
        return 0;
    }
    if (control->after > 1) {
        control->after--;
        return 0;
    }
    control->armed = 0;
    chance = (uint64_t)control->seed;
    strncpy(control->where, path, sizeof control->where - 1);
    control->struck++;
    int64_t fault = control->fault;
    if (fault == KILL_BEFORE) {
        die(0);
    }
    if (fault == CUT_BEFORE) {
        die(1);
    }
    return fault;
}

static int64_t fault_at(int kind, const char *path) { return fault_at_write(kind, path, NULL, 0); }

/* What a call that was made comes to when the process ends behind it. */
static void after(int64_t fault) {
    if (fault == KILL_AFTER || fault == CUT_AFTER) {
        die(fault == CUT_AFTER);
    }
}

static int failed(int64_t fault) {
    switch (fault) {
    case IO_ERROR:
    case LOST_SYNC:
        errno = EIO;
        return 1;
    case NO_SPACE:
        errno = ENOSPC;
        return 1;
    default:
        return 0;
    }
}

/* The disk alone hangs, until the test releases it. The lock is held before and after. */
static void hang(int64_t fault) {
    if (fault == HANG) {
        pthread_mutex_unlock(&lock);
        while (!control->released) {
            usleep(1000);
        }
        pthread_mutex_lock(&lock);
    }
}

static void *obey(void *none) {
    for (;;) {
        if (control->command) {
            pthread_mutex_lock(&lock);
            chance = (uint64_t)control->seed;
            die(control->command == 1);
        }
        usleep(2000);
    }
    return none;
}

__attribute__((constructor)) static void begin(void) {
    const char *page = getenv("FAULTY_DISK");
    under = getenv("FAULTY_DISK_UNDER");
    unsetenv("LD_PRELOAD"); /* not for what the daemon starts */
    if (!page || !under) {
        return;
    }
    int fd = open_path(page, O_RDWR);
    void *mapped = mmap(NULL, sizeof(struct control), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (fd < 0 || mapped == MAP_FAILED) {
        abort();
    }
    close(fd);
    control = mapped;
    snprintf(dirty, sizeof dirty, "%s.dirty", page);
    take_over();
    pthread_t thread;
    pthread_create(&thread, NULL, obey, NULL);
}

/* ---- the calls ---------------------------------------------------------------------------------------------------- */

static ssize_t gather(int fd, const struct iovec *parts, int count, off_t at) {
    char path[512];
    if (!control || !path_of(fd, path, sizeof path)) {
        return syscall(SYS_pwritev, fd, parts, count, at, 0);
    }
    size_t length = 0;
    for (int i = 0; i < count; i++) {
        length += parts[i].iov_len;
    }
    pthread_mutex_lock(&lock);
    int64_t fault = fault_at_write(WRITE, path, parts, count);
    hang(fault);
    ssize_t result;
    if (failed(fault)) {
        result = -1;
    } else if (fault == TORN_KILL || fault == SHORT) {
        size_t half = length / 2 / SECTOR * SECTOR;
        if (half == 0) {
            half = fault == SHORT ? (length + 1) / 2 : 0;
        }
        remember(fd, at, half);
        result = 0;
        for (int i = 0; i < count && (size_t)result < half; i++) {
            size_t part = parts[i].iov_len < half - result ? parts[i].iov_len : half - result;
            result += raw_write(fd, parts[i].iov_base, part, at + result);
        }
        if (fault == TORN_KILL) {
            die(0);
        }
    } else {
        remember(fd, at, length);
        result = syscall(SYS_pwritev, fd, parts, count, at, 0);
        after(fault);
    }
    int error = errno;
    pthread_mutex_unlock(&lock);
    errno = error;
    return result;
}

static ssize_t our_pwritev(int fd, const struct iovec *parts, int count, off_t at) {
    return gather(fd, parts, count, at);
}

static ssize_t our_pwrite(int fd, const void *from, size_t count, off_t at) {
    struct iovec one = {(void *)from, count};
    return gather(fd, &one, 1, at);
}

static ssize_t our_pread(int fd, void *into, size_t count, off_t at) {
    char path[512];
    if (!control || !path_of(fd, path, sizeof path)) {
        return raw_read(fd, into, count, at);
    }
    pthread_mutex_lock(&lock); /* nobody reads what a power cut leaves before the process has ended */
    int64_t fault = fault_at(READ, path);
    hang(fault);
    int fails = failed(fault);
    ssize_t result = fails ? -1 : raw_read(fd, into, fault == SHORT ? (count + 1) / 2 : count, at);
    int error = errno;
    after(fault);
    pthread_mutex_unlock(&lock);
    errno = error;
    return result;
}

static int sync_file(int fd, int number) {
    char path[512];
    if (!control || !path_of(fd, path, sizeof path)) {
        return (int)syscall(number, fd);
    }
    pthread_mutex_lock(&lock);
    int64_t fault = fault_at(SYNC, path);
    hang(fault);
    int result = 0;
    struct file *f = file_of(fd, 0);
    if (failed(fault)) {
        result = -1;
        if (f) {
            settle(f, FAILED, 0);
        }
        errno = EIO;
    } else {
        if (f) {
            settle(f, SYNCED, 0);
        }
        after(fault);
    }
    int error = errno;
    pthread_mutex_unlock(&lock);
    errno = error;
    return result;
}

static int our_fdatasync(int fd) { return sync_file(fd, SYS_fdatasync); }

static int our_fsync(int fd) { return sync_file(fd, SYS_fsync); }

static int our_fallocate(int fd, int mode, off_t at, off_t length) {
    char path[512];
    if (!control || !path_of(fd, path, sizeof path)) {
        return (int)syscall(SYS_fallocate, fd, mode, at, length);
    }
    pthread_mutex_lock(&lock);
    int64_t fault = fault_at(SPACE, path);
    int result = -1;
    if (!failed(fault)) {
        if (mode & ~FALLOC_FL_KEEP_SIZE) {
            remember(fd, at, (size_t)length);
        }
        result = (int)syscall(SYS_fallocate, fd, mode, at, length);
        after(fault);
    }
    int error = errno;
    pthread_mutex_unlock(&lock);
    errno = error;
    return result;
}

static int our_posix_fadvise(int fd, off_t at, off_t length, int advice) {
    char path[512];
    if (control && advice == POSIX_FADV_DONTNEED && path_of(fd, path, sizeof path)) {
        pthread_mutex_lock(&lock);
        struct file *f = file_of(fd, 0);
        if (f) {
            settle(f, DROPPED, 0);
        }
        pthread_mutex_unlock(&lock);
        return 0;
    }
    return syscall(SYS_fadvise64, fd, at, length, advice) == 0 ? 0 : errno;
}

static int our_rename(const char *from, const char *to) {
    if (!control || strncmp(to, under, strlen(under)) != 0) {
        return (int)syscall(SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to, 0);
    }
    pthread_mutex_lock(&lock);
    int64_t fault = fault_at(NAME, to);
    int result = -1;
    if (!failed(fault)) {
        result = (int)syscall(SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to, 0);
        after(fault);
    }
    int error = errno;
    pthread_mutex_unlock(&lock);
    errno = error;
    return result;
}

static int our_unlink(const char *path) {
    if (!control || strncmp(path, under, strlen(under)) != 0) {
        return (int)syscall(SYS_unlinkat, AT_FDCWD, path, 0);
    }
    pthread_mutex_lock(&lock);
    int64_t fault = fault_at(UNLINK, path);
    int result = -1;
    if (!failed(fault)) {
        result = (int)syscall(SYS_unlinkat, AT_FDCWD, path, 0);
    }
    int error = errno;
    after(fault);
    pthread_mutex_unlock(&lock);
    errno = error;
    return result;
}

/*
 * Java looks functions up in one library and its dependencies, where a preloaded one is not: but it asks dlsym, which
 * is found here first.
 */
void *dlsym(void *library, const char *name) {
    static const struct {
        const char *name;
        void *ours;
    } calls[] = {
        {"pwrite", our_pwrite},       {"pwritev", our_pwritev},     {"pread", our_pread},
        {"fdatasync", our_fdatasync}, {"fsync", our_fsync},         {"fallocate", our_fallocate},
        {"rename", our_rename},       {"posix_fadvise", our_posix_fadvise},
        {"unlink", our_unlink},
    };
    static void *(*real)(void *, const char *);
    if (library != RTLD_NEXT && control) {
        for (size_t i = 0; i < sizeof calls / sizeof *calls; i++) {
            if (strcmp(name, calls[i].name) == 0) {
                return calls[i].ours;
            }
        }
    }
    if (!real) {
        static const char *const versions[] = {"GLIBC_2.34", "GLIBC_2.17", "GLIBC_2.2.5"};
        for (int i = 0; i < 3 && !real; i++) {
            real = (void *(*)(void *, const char *))dlvsym(RTLD_NEXT, "dlsym", versions[i]);
        }
    }
    return real(library, name);
}
