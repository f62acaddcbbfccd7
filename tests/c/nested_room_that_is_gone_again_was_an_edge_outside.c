/* Space that is freed in a full pipe is an edge of the outer instance, even if it is filled before
 * any look, if another item is ready inside. More space in a pipe that had some is not an edge, nor
 * is space for a registration without EPOLLOUT (E4, N2). */
#include "harness.h"

enum { PAGE = 4096 };

static int inner, outer, fd[2];

static void fill_up(int end)
{
    static const char page[PAGE];
    while (write(end, page, PAGE) > 0) {
    }
    CHECK_EQ(errno, EAGAIN);
}

static void take_a_page(int end)
{
    char page[PAGE];
    CHECK_EQ(read(end, page, PAGE), PAGE);
}

static void expect_edge(bool edge)
{
    if (edge)
        EXPECT_ONE(outer, 3, EPOLLIN);
    EXPECT_NONE_NOW(outer);
}

static void rounds(int writer, int reader, bool edge)
{
    for (int i = 0; i < 20; i++) {
        take_a_page(reader);
        fill_up(writer);
        expect_edge(edge);
        take_a_page(reader);
        expect_edge(edge);
        fill_up(writer);
        expect_edge(false);
        take_a_page(reader), take_a_page(reader);
        static const char page[PAGE];
        CHECK_EQ(write(writer, page, PAGE), PAGE);
        CHECK_EQ(write(writer, page, PAGE), PAGE);
        expect_edge(edge);
    }
}

static void pipe_of(uint32_t mask, bool edge)
{
    OK(pipe2(fd, O_NONBLOCK));
    fill_up(fd[1]);
    ADD(inner, fd[1], mask, 2);
    expect_edge(false);
    rounds(fd[1], fd[0], edge);
    OK(close(fd[0])), OK(close(fd[1]));
    (void)wait_events(outer, 0);
}

/* The registered description is not the one that is written to. */
static void fifo(void)
{
    char name[] = "/tmp/epolyfill-fifo-XXXXXX";
    CHECK(mkdtemp(name) != NULL);
    CHECK_EQ(chdir(name), 0);
    OK(mkfifo("fifo", 0600));
    int reader = OK(open("fifo", O_RDONLY | O_NONBLOCK)), writer = OK(open("fifo", O_WRONLY | O_NONBLOCK));
    int registered = OK(open("fifo", O_WRONLY | O_NONBLOCK));
    OK(unlink("fifo")), OK(chdir("/")), OK(rmdir(name));
    fill_up(writer);
    ADD(inner, registered, EPOLLOUT, 2);
    expect_edge(false);
    rounds(writer, reader, true);
}

void test(void)
{
    outer = new_epoll(), inner = new_epoll();
    ADD(inner, OK(eventfd(1, EFD_NONBLOCK)), EPOLLIN, 1);
    ADD(outer, inner, EPOLLIN | EPOLLET, 3);
    expect_edge(true);
    pipe_of(EPOLLOUT, true);
    pipe_of(EPOLLOUT | EPOLLET, true);
    pipe_of(EPOLLWRNORM, true);
    pipe_of(EPOLLWRBAND, false);
    fifo();
}
