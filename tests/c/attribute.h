/* A file of a cgroup that shows a change until it is read. The test is skipped where a cgroup
 * cannot be made. */
#ifndef ATTRIBUTE_H
#define ATTRIBUTE_H

#include <sched.h>
#include <sys/mount.h>

#include "harness.h"

struct attribute {
    char dir[32], group[40];
    int fd, switch_fd;
    bool is_frozen;
};

static inline int open_in(const char *group, const char *name, int flags)
{
    char path[80];
    snprintf(path, sizeof path, "%s/%s", group, name);
    return open(path, flags | O_CLOEXEC);
}

static inline struct attribute open_attribute(void)
{
    struct attribute it = {.dir = "/tmp/epolyfill-XXXXXX"};
    if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
        exit(77);
    CHECK(mkdtemp(it.dir) != NULL);
    if (mount("none", it.dir, "cgroup2", 0, NULL) < 0) {
        rmdir(it.dir);
        exit(77);
    }
    snprintf(it.group, sizeof it.group, "%s/%d", it.dir, getpid());
    OK(mkdir(it.group, 0700));
    it.fd = OK(open_in(it.group, "cgroup.events", O_RDONLY));
    it.switch_fd = open_in(it.group, "cgroup.freeze", O_WRONLY);
    return it;
}

/* The kernel reports changes at most every 10 ms. */
static inline void change_attribute(struct attribute *it)
{
    it->is_frozen = !it->is_frozen;
    pause_ms(12);
    CHECK_EQ(write(it->switch_fd, it->is_frozen ? "1" : "0", 1), 1);
}

static inline void read_attribute(const struct attribute *it)
{
    char text[256];
    CHECK(pread(it->fd, text, sizeof text, 0) > 0);
}

static inline void close_attribute(const struct attribute *it)
{
    OK(close(it->fd));
    OK(close(it->switch_fd));
    OK(rmdir(it->group));
    OK(umount2(it->dir, MNT_DETACH));
    OK(rmdir(it->dir));
}

#endif
