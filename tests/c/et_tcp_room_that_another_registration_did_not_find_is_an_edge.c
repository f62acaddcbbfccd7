/* A poll that finds a TCP socket unwritable sets SOCK_NOSPACE; when space is freed, every
 * registration on the socket is woken (E4). */
#include "bare.h"
#include "harness.h"

#include <sys/syscall.h>

/* By the memory in use (SO_MEMINFO), because a poll would be a look. */
static bool has_room(int fd)
{
    uint32_t memory[9];
    socklen_t size = sizeof memory;
    OK(getsockopt(fd, SOL_SOCKET, 55 /* SO_MEMINFO */, memory, &size));
    uint32_t limit = memory[3], queued = memory[5];
    return limit >= queued && limit - queued >= queued / 2;
}

/* `early`: the registration is added while there is space, and looked at when there is none. */
static void run(uint32_t events, bool early)
{
    int fd[2], silent = new_epoll(), looking = new_epoll(), small = 16384;
    make_tcp(fd);
    set_nonblocking(fd[1]);
    OK(setsockopt(fd[0], SOL_SOCKET, SO_SNDBUF, &small, sizeof small));
    OK(setsockopt(fd[1], SOL_SOCKET, SO_RCVBUF, &small, sizeof small));
    ADD(silent, fd[0], EPOLLOUT | EPOLLET, 1);
    EXPECT_ONE(silent, 1, EPOLLOUT);
    if (early)
        ADD(looking, fd[0], events, 2);

    /* Writes that are accepted whole, until the buffer is full and the peer accepts no more
     * either. */
    size_t all = 0, taken = 0;
    for (int still = 0; still < 10; still++) {
        for (; has_room(fd[0]); still = 0, all += 1000)
            write_bytes(fd[0], 1000);
        pause_ms(10);
    }

    /* The look. */
    if (events & EPOLLIN)
        write_bytes(fd[1], 1);
    if (!early)
        ADD(looking, fd[0], events, 2);
    if (events & EPOLLIN)
        EXPECT_ONE(looking, 2, EPOLLIN);
    else
        EXPECT_NONE_NOW(looking);
    CHECK(!has_room(fd[0]));

    UNTIL((taken += read_all(fd[1])) >= all);
    EXPECT_ONE(silent, 1, EPOLLOUT);
    OK(close(fd[0]));
    OK(close(fd[1]));
    OK(close(silent));
    OK(close(looking));
}

/* The registration that is looked at has been reported alone before the other one is added, and the
 * buffer is filled past the library. */
static void run_after_reports(void)
{
    static char bytes[200000];
    int fd[2], silent = new_epoll(), looking = new_epoll(), small = 4096, large = sizeof bytes;
    /* The peer inherits the listener's buffer. */
    int listener = tcp_listener();
    OK(setsockopt(listener, SOL_SOCKET, SO_RCVBUF, &small, sizeof small));
    fd[0] = tcp_client_of(listener);
    UNTIL((fd[1] = accept4(listener, NULL, NULL, SOCK_NONBLOCK)) != -1);
    OK(close(listener));
    OK(setsockopt(fd[0], SOL_SOCKET, SO_SNDBUF, &large, sizeof large));
    write_bytes(fd[1], 1);
    ADD(looking, fd[0], EPOLLIN, 2);
    for (int i = 0; i < 4; i++)
        EXPECT_ONE(looking, 2, EPOLLIN);

    ADD(silent, fd[0], EPOLLOUT | EPOLLET, 1);
    EXPECT_ONE(silent, 1, EPOLLOUT);
    CHECK_EQ(bare(SYS_write, fd[0], (long)bytes, sizeof bytes, 0, 0, 0), sizeof bytes);
    EXPECT_ONE(looking, 2, EPOLLIN);
    CHECK(!has_room(fd[0]));

    size_t taken = 0;
    UNTIL((taken += read_all(fd[1])) >= sizeof bytes);
    EXPECT_ONE(silent, 1, EPOLLOUT);
    OK(close(fd[0]));
    OK(close(fd[1]));
    OK(close(silent));
    OK(close(looking));
}

void test(void)
{
    subject = "level-triggered, reported alone before";
    run_after_reports();
    subject = "level-triggered";
    run(EPOLLIN, false);
    subject = "edge-triggered";
    run(EPOLLIN | EPOLLET, false);
    subject = "edge-triggered, for room";
    run(EPOLLIN | EPOLLOUT | EPOLLET, false);
    subject = "with nothing to report";
    run(EPOLLPRI, false);
    subject = "edge-triggered, for room that there was";
    run(EPOLLOUT | EPOLLET, true);
    subject = "level-triggered, for room that there was";
    run(EPOLLOUT, true);
    subject = "once, for room that there was";
    run(EPOLLOUT | EPOLLONESHOT, true);
}
