/* sendfile that stops at the end of its file was not refused anything: no OUT edge (E4). */
#include "harness.h"

#include <sys/mman.h>
#include <sys/sendfile.h>

void test(void)
{
    int ep = new_epoll(), fd[2], file = OK(memfd_create("file", 0));
    make_tcp(fd);
    write_bytes(file, 10);
    ADD(ep, fd[0], EPOLLOUT | EPOLLET, 1);
    EXPECT_ONE(ep, 1, EPOLLOUT);
    CHECK_EQ(sendfile(fd[0], file, &(off_t){0}, 100), 10);
    CHECK_EQ(wait_events(ep, 50).n, 0);
}
