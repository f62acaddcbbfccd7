/* A program that closes every number by system calls of its own, as some daemons do, in a process
 * with waiting threads and many silent registrations, uses no processor time afterwards, and can
 * start anew (C3, D1). */
#include "bare.h"
#include "harness.h"

#include <dirent.h>

#define N 200

static void by_one_call(void) { CHECK_EQ(bare(SYS_close_range, 3, ~0u, 0, 0, 0, 0), 0); }

static void one_by_one(void)
{
    for (int fd = 3; fd < 20000; fd++)
        bare(SYS_close, fd, 0, 0, 0, 0, 0);
}

/* Through libc, as many programs do it. */
static void by_their_list(void)
{
    DIR *list = opendir("/proc/self/fd");
    CHECK(list != NULL);
    struct dirent *entry;
    while ((entry = readdir(list)) != NULL) {
        int fd = atoi(entry->d_name);
        if (fd > 2 && fd != dirfd(list))
            close(fd);
    }
    closedir(list);
}

static void *sleeps(void *arg)
{
    struct epoll_event event;
    epoll_wait(*(int *)arg, &event, 1, -1);
    return NULL;
}

/* All numbers are free in the end. A thread of the library that makes a wake-up descriptor anew has
 * a low number for a moment, until the descriptor is moved to a high one. */
static void wait_for_number_3(void)
{
    int fd;
    int64_t end = now_ns() + 10000000000;
    while ((fd = OK(open("/dev/null", O_RDONLY))) != 3) {
        OK(close(fd));
        CHECK(now_ns() < end);
    }
    OK(close(fd));
}

/* Uses a new instance until its silent registrations are parked, and a thread waits on it. */
static void use(struct thread *thread)
{
    static int ep;
    int fd[N][2];
    ep = new_epoll();
    for (int i = 0; i < N; i++) {
        make_pipe(fd[i]);
        ADD(ep, fd[i][0], i % 2 ? EPOLLIN : EPOLLIN | EPOLLET, i);
    }
    for (int i = 0; i < 2000; i++) {
        write_bytes(fd[0][1], 1);
        EXPECT_ONE(ep, 0, EPOLLIN);
        CHECK_EQ(read_all(fd[0][0]), 1);
    }
    for (int i = 0; i < N; i += 9) {
        write_bytes(fd[i][1], 1);
        EXPECT_ONE(ep, i, EPOLLIN);
        CHECK_EQ(read_all(fd[i][0]), 1);
    }
    start_thread(thread, sleeps, &ep);
    wait_until_blocked(thread->tid);
}

void test(void)
{
    void (*ways[])(void) = {by_one_call, one_by_one, by_their_list};
    const char *names[] = {"close_range", "close", "/proc/self/fd"};
    for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) {
        subject = names[i];
        pid_t child = OK(fork());
        if (child == 0) {
            struct thread threads[3];
            for (int k = 0; k < 3; k++) {
                /* Shifts the numbers, so that they differ from those of the previous round. */
                for (int shift = 0; shift < k; shift++)
                    add_one(OK(eventfd(0, 0)));
                use(&threads[k]);
                ways[i]();
                wait_for_number_3();
                pause_ms(100);
                int64_t cpu = cpu_ns();
                pause_ms(200);
                CHECK(cpu_ns() - cpu < 50000000);
            }
            _exit(0);
        }
        expect_exit_0(child);
    }
}
