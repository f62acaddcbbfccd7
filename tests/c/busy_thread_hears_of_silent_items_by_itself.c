/* A thread that finds an event in every wait also reports long-silent registrations, without
 * depending on any other thread of the process: here a tracer has stopped all others (W3, W4). */
#include "harness.h"

#include <dirent.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>

#define N 200

/* Stops all threads of the process except its first. Returns 0, or 77 if that is not permitted
 * here. */
static int stop_threads(pid_t process)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/task", process);
    DIR *tasks = opendir(path);
    for (struct dirent *entry; tasks && (entry = readdir(tasks));) {
        pid_t tid = atoi(entry->d_name);
        if (tid <= 0 || tid == process)
            continue;
        if (ptrace(PTRACE_SEIZE, tid, NULL, NULL) == -1 || ptrace(PTRACE_INTERRUPT, tid, NULL, NULL) == -1)
            return 77;
        int status;
        OK(waitpid(tid, &status, __WALL));
    }
    return tasks ? 0 : 77;
}

void test(void)
{
    int fd[N][2], busy = OK(eventfd(1, EFD_NONBLOCK)), ep = new_epoll(), go[2], done[2];
    for (int i = 0; i < N; i++) {
        make_pipe(fd[i]);
        ADD(ep, fd[i][0], i % 2 ? EPOLLIN : EPOLLIN | EPOLLET, i);
    }
    /* One item is always ready, and all others have long been silent. */
    ADD(ep, busy, EPOLLIN, N);
    for (int i = 0; i < 5000; i++)
        EXPECT_ONE(ep, N, EPOLLIN);

    OK(pipe2(go, 0));
    OK(pipe2(done, 0));
    /* Fails with EINVAL where ptrace is unrestricted. */
    prctl(PR_SET_PTRACER, PR_SET_PTRACER_ANY);
    pid_t process = getpid(), child = OK(fork());
    char byte = 0;
    if (child == 0) {
        byte = stop_threads(process);
        OK(close(go[1]));
        OK(write(done[1], &byte, 1));
        /* Returns when the other end is closed. */
        OK(read(go[0], &byte, 1));
        _exit(0);
    }
    OK(close(go[0]));
    CHECK_EQ(read(done[0], &byte, 1), 1);
    if (byte != 0)
        exit(byte);
    for (int i = 0; i < N; i += 13) {
        write_bytes(fd[i][1], 1);
        bool heard = false;
        for (int64_t start = now_ns(); !heard;) {
            struct events events = wait_events(ep, 0);
            for (int k = 0; k < events.n; k++)
                heard |= events.at[k].data.u64 == (uint64_t)i;
            CHECK(now_ns() - start < BOUND_MS * 1000000ll);
        }
        CHECK_EQ(read_all(fd[i][0]), 1);
    }
    OK(close(go[1]));
    expect_exit_0(child);
}
