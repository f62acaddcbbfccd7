/* A child of vfork() shares the parent's memory: its close and dup calls before exec or _exit
 * change nothing in the parent (D5). */
#include "harness.h"

static int fds[3][2], ep, null;

static void run(bool exec, bool raw)
{
    pid_t child = vfork();
    CHECK(child != -1);
    if (child == 0) {
        if (raw) {
            syscall(SYS_close, fds[0][0]);
            syscall(SYS_dup3, null, fds[1][0], 0);
            syscall(SYS_dup3, fds[0][1], 700, 0);
        } else {
            close(fds[0][0]);
            dup2(null, fds[1][0]);
            dup2(fds[0][1], 700);
            close_range(fds[2][0], fds[2][0], 0);
            close(ep);
        }
        if (exec)
            execl("/bin/true", "true", (char *)NULL);
        _exit(0);
    }
    expect_exit_0(child);
}

void test(void)
{
    ep = new_epoll();
    null = OK(open("/dev/null", O_RDONLY | O_CLOEXEC));
    for (int i = 0; i < 3; i++) {
        make_pipe(fds[i]);
        ADD(ep, fds[i][0], EPOLLIN | EPOLLET, i);
    }
    for (int i = 0; i < 4; i++) {
        run(i & 1, i & 2);
        CHECK_ERRNO(fcntl(700, F_GETFD), EBADF);
        for (int j = 0; j < 3; j++) {
            write_bytes(fds[j][1], 1);
            EXPECT_ONE(ep, j, EPOLLIN);
            CHECK_ERRNO(ctl(ep, EPOLL_CTL_ADD, fds[j][0], EPOLLIN, j), EEXIST);
        }
    }

    /* The parent's own close takes effect, and the instance is intact. */
    OK(close(fds[0][0]));
    DEL(ep, fds[1][0]);
    write_bytes(fds[1][1], 1);
    EXPECT_NONE_NOW(ep);
}
