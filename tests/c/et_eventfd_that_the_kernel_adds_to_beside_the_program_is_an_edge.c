/* The program adds to an eventfd, which stays unread, and then the kernel does: each completion is
 * an edge (E1). */
#include "harness.h"

#include <linux/aio_abi.h>
#include <sys/syscall.h>

void test(void)
{
    char path[] = "/tmp/epolyfill-XXXXXX", byte = 'x';
    aio_context_t context = 0;
    if (syscall(SYS_io_setup, 64, &context) != 0)
        exit(77);
    int file = OK(mkstemp(path)), ep = new_epoll(), bell = OK(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC));
    OK(unlink(path));
    ADD(ep, bell, EPOLLIN | EPOLLET, 1);
    add_one(bell);
    EXPECT_ONE(ep, 1, EPOLLIN);
    struct iocb request = {.aio_fildes = file,
                           .aio_lio_opcode = IOCB_CMD_PWRITE,
                           .aio_buf = (uintptr_t)&byte,
                           .aio_nbytes = 1,
                           .aio_flags = IOCB_FLAG_RESFD,
                           .aio_resfd = bell};
    struct iocb *requests = &request;
    /* A completion before the call returns can look like the earlier value. */
    CHECK_EQ(syscall(SYS_io_submit, context, 1, &requests), 1);
    wait_events(ep, QUIET_MS);
    for (int i = 0; i < 3; i++) {
        CHECK_EQ(syscall(SYS_io_submit, context, 1, &requests), 1);
        EXPECT_ONE(ep, 1, EPOLLIN);
        EXPECT_NONE(ep);
        add_one(bell);
        EXPECT_ONE(ep, 1, EPOLLIN);
        EXPECT_NONE(ep);
    }
}
