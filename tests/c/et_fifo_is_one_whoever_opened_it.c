/* Several open file descriptions of a FIFO share one pipe: vmsplice and splice through another
 * description hide no arrival (E1), and if sendfile fills the pipe through another description and
 * a read empties it, that is an OUT edge (E4). */
#include "harness.h"
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/uio.h>

void test(void)
{
    char dir[] = "/tmp/epolyfill-XXXXXX", path[64], page[4096];
    CHECK(mkdtemp(dir) != NULL);
    snprintf(path, sizeof path, "%s/fifo", dir);
    OK(mkfifo(path, 0600));
    int ep = new_epoll(), out[2], file = OK(memfd_create("page", MFD_CLOEXEC));
    int reader = OK(open(path, O_RDONLY | O_NONBLOCK)), other_reader = OK(open(path, O_RDONLY | O_NONBLOCK));
    int writer = OK(open(path, O_WRONLY | O_NONBLOCK)), other_writer = OK(open(path, O_WRONLY | O_NONBLOCK));
    make_pipe(out);
    OK(ftruncate(file, sizeof page));

    /* The pipe holds as many bytes as before. */
    ADD(ep, reader, EPOLLIN | EPOLLET, 1);
    write_bytes(writer, 2 * sizeof page);
    EXPECT_ONE(ep, 1, EPOLLIN);
    struct iovec iov = {page, sizeof page};
    CHECK_EQ(vmsplice(other_reader, &iov, 1, SPLICE_F_NONBLOCK), sizeof page);
    write_bytes(writer, sizeof page);
    EXPECT_ONE(ep, 1, EPOLLIN);
    CHECK_EQ(splice(other_reader, NULL, out[1], NULL, sizeof page, SPLICE_F_NONBLOCK), sizeof page);
    write_bytes(writer, sizeof page);
    EXPECT_ONE(ep, 1, EPOLLIN);
    EXPECT_NONE_NOW(ep);
    DEL(ep, reader);
    read_all(reader);

    /* The pipe has as much free space as before. */
    OK(fcntl(writer, F_SETPIPE_SZ, sizeof page));
    ADD(ep, writer, EPOLLOUT | EPOLLET, 2);
    EXPECT_ONE(ep, 2, EPOLLOUT);
    off_t from = 0;
    CHECK_EQ(sendfile(other_writer, file, &from, 1), 1);
    read_all(reader);
    EXPECT_ONE(ep, 2, EPOLLOUT);
    EXPECT_NONE_NOW(ep);
    OK(unlink(path));
    OK(rmdir(dir));
}
