/* Files that show a change to one look only: their poll method clears it. */
#ifndef CHANGES_H
#define CHANGES_H

#include <linux/perf_event.h>
#include <sched.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/mount.h>

#include "harness.h"

struct changing {
    const char *name;
    uint32_t always; /* the level at any time */
    uint32_t shown;  /* the level after a change */
    int (*open)(void); /* -1 where the file does not exist, or may not be changed */
    void (*change)(void);
};

static const char *const mount_point = "/mnt";
static bool is_mounted;

/* Opens a mount namespace of its own, because the mounts of other processes would show. It must be
 * called while the process has one thread. */
static int open_mounts(void)
{
    static bool is_private;
    if (!is_private && unshare(CLONE_NEWNS) < 0 && unshare(CLONE_NEWUSER | CLONE_NEWNS) < 0)
        return -1;
    if (!is_private && mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
        return -1;
    is_private = true;
    return open("/proc/self/mountinfo", O_RDONLY | O_CLOEXEC);
}

static inline void change_mounts(void)
{
    if (is_mounted)
        OK(umount2(mount_point, MNT_DETACH));
    else
        OK(mount("none", mount_point, "tmpfs", 0, NULL));
    is_mounted = !is_mounted;
}

/* A change of the setting is seen in every namespace, so a lock keeps it to one test at a time. */
static int open_setting(void)
{
    static int held = -1;
    if (held < 0 && unshare(CLONE_NEWUTS) < 0)
        return -1;
    int fd = open("/proc/sys/kernel/domainname", O_RDONLY | O_CLOEXEC);
    if (fd >= 0 && held < 0) {
        held = OK(open("/proc/sys/kernel/domainname", O_RDONLY | O_CLOEXEC));
        OK(flock(held, LOCK_EX));
    }
    return fd;
}

static inline void change_setting(void)
{
    OK(setdomainname("epolyfill", 9));
}

/* The event that was opened last, which is the one to feed. Only the thread that opened it may do
 * so. */
static int page_faults;

static int open_page_faults(void)
{
    struct perf_event_attr attributes = {
        .type = PERF_TYPE_SOFTWARE,
        .size = sizeof attributes,
        .config = PERF_COUNT_SW_PAGE_FAULTS,
        .sample_period = 1,
        .wakeup_events = 1,
        .disabled = 1,
        .exclude_kernel = 1,
    };
    page_faults = syscall(SYS_perf_event_open, &attributes, 0, -1, -1, PERF_FLAG_FD_CLOEXEC);
    if (page_faults < 0 || mmap(NULL, 9 * 4096, PROT_READ | PROT_WRITE, MAP_SHARED, page_faults, 0) == MAP_FAILED)
        return -1;
    return page_faults;
}

static inline void fault_on_a_page(void)
{
    char *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(page != MAP_FAILED);
    OK(ioctl(page_faults, PERF_EVENT_IOC_ENABLE, 0));
    *(volatile char *)page = 1;
    OK(ioctl(page_faults, PERF_EVENT_IOC_DISABLE, 0));
    munmap(page, 4096);
}

static const struct changing changing[] = {
    {"mounts", EPOLLIN, EPOLLIN | EPOLLPRI | EPOLLERR, open_mounts, change_mounts},
    {"setting", EPOLLIN | EPOLLOUT, EPOLLIN | EPOLLPRI | EPOLLERR, open_setting, change_setting},
    {"perf event", 0, EPOLLIN, open_page_faults, fault_on_a_page},
};

/* Opens each of these files that exists. Skips the test if none does. */
#define FOR_EACH_CHANGING(file, fd)                                                                                    \
    for (int left_ = 3, fd; left_ > 0 || is_skipped(); left_--)                                                        \
        for (const struct changing *file = &changing[3 - left_];                                                       \
             file != NULL && (subject = file->name) && (fd = file->open()) >= 0 && ++tried; file = NULL)

static int tried;

static inline bool is_skipped(void)
{
    if (tried == 0)
        exit(77);
    return false;
}

/* Returns the bits of the level that are reported with this mask. */
static inline uint32_t reported(uint32_t mask, uint32_t level)
{
    return level & (mask | EPOLLERR | EPOLLHUP);
}

static inline void expect_one_or_none(int ep, uint64_t data, uint32_t bits)
{
    if (bits != 0)
        EXPECT_ONE(ep, data, bits);
    else
        EXPECT_NONE_NOW(ep);
}

#endif
