/* A program without threads adds hundreds of registrations before its first wait. Those that were
 * ready before the ADD, and those that become ready between the ADD and the wait, are reported, edges
 * once (T6, W3, W4, E6); the levels in a forked child as well (D5), and to another thread.
 *
 * By choice the library makes a ring as they are added: then the first wait has nothing to prepare. */
#include "harness.h"

#include "bare.h"

#include <dirent.h>
#include <sys/syscall.h>

#define MANY 400
#define READY(i) ((i) % 4 < 2)
#define IS_EDGE(i) ((i) % 3 == 0)

static int ends[MANY][2];

/* Whether a ring of this process has a request. */
static bool has_requests(void)
{
    DIR *all = opendir("/proc/self/fdinfo");
    struct dirent *entry;
    bool has = false;
    CHECK(all);
    while (!has && (entry = readdir(all))) {
        char line[512];
        int fd = openat(dirfd(all), entry->d_name, O_RDONLY);
        FILE *info = fd < 0 ? NULL : fdopen(fd, "r");
        while (info && fgets(line, sizeof line, info))
            has |= strstr(line, "op=") != NULL;
        if (info)
            fclose(info);
    }
    closedir(all);
    return has;
}

static bool kernel_has_rings(void)
{
    struct { unsigned words[32]; } parameters = {{0}};
    /* IORING_SETUP_SINGLE_ISSUER and IORING_SETUP_DEFER_TASKRUN. */
    parameters.words[2] = 1u << 12 | 1u << 13;
    long fd = bare(SYS_io_uring_setup, 1, (long)&parameters, 0, 0, 0, 0);
    if (fd >= 0)
        bare(SYS_close, fd, 0, 0, 0, 0, 0);
    return fd >= 0;
}

/* Each registration that is ready is reported; an edge, if `edges` are wanted, and once. */
static void expect_all(int ep, bool edges)
{
    bool seen[MANY] = {false};
    int found = 0, wanted = 0;
    for (int i = 0; i < MANY; i++)
        wanted += READY(i) && (edges || !IS_EDGE(i));
    while (found < wanted) {
        struct events events = wait_at_most(ep, 64, BOUND_MS);
        CHECK(events.n > 0);
        for (int k = 0; k < events.n; k++) {
            uint64_t i = events.at[k].data.u64;
            CHECK(i < MANY && READY(i) && (edges || !IS_EDGE(i)));
            CHECK(!seen[i] || !IS_EDGE(i));
            CHECK_EQ(events.at[k].events, EPOLLIN);
            found += !seen[i];
            seen[i] = true;
        }
    }
}

static void *wait_for_levels(void *ep)
{
    expect_all(*(int *)ep, false);
    return NULL;
}

void test(void)
{
    raise_descriptor_limit();
    int ep = new_epoll();
    for (int i = 0; i < MANY; i++) {
        make_pipe(ends[i]);
        if (READY(i) && i % 2)
            write_bytes(ends[i][1], 1);
        ADD(ep, ends[i][0], EPOLLIN | (IS_EDGE(i) ? EPOLLET : 0), (uint64_t)i);
    }
    const char *way = getenv("EPOLYFILL_TEST_WAY");
    if (way && strcmp(way, "auto-rings") == 0 && kernel_has_rings())
        CHECK(has_requests());
    for (int i = 0; i < MANY; i++)
        if (READY(i) && i % 2 == 0)
            write_bytes(ends[i][1], 1);

    expect_all(ep, true);
    pid_t child = OK(fork());
    if (child == 0) {
        expect_all(ep, false);
        _exit(0);
    }
    expect_exit_0(child);

    struct thread other;
    start_thread(&other, wait_for_levels, &ep);
    join_thread(&other);
    expect_all(ep, false);
    for (int i = 0; i < MANY; i++) {
        char byte;
        if (READY(i))
            CHECK_EQ(read(ends[i][0], &byte, 1), 1);
    }
    EXPECT_NONE_NOW(ep);
}
