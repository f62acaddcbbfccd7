/* A number so high that no table has an entry for it yet. If the memory for one is refused, a dup
 * onto the number is ENOMEM and leaves the number closed; so is a registration under it, which
 * leaves nothing registered. Earlier registrations keep reporting, and when there is memory again
 * all calls work. */
#include "faults.h"

#define NUMBER 17000

static int ep, watched[2];

static bool is_free(int number)
{
    return fcntl(number, F_GETFD) == -1 && errno == EBADF;
}

static void still_reports(void)
{
    write_bytes(watched[1], 1);
    EXPECT_ONE(ep, 1, EPOLLIN);
    CHECK_EQ(read_all(watched[0]), 1);
    EXPECT_NONE_NOW(ep);
}

static int duplicate_onto(int number)
{
    return dup2(watched[0], number);
}

static int duplicate_above(int number)
{
    return fcntl(watched[0], F_DUPFD_CLOEXEC, number);
}

/* A number that the library first sees in the registration. */
static int register_under(int number)
{
    CHECK_EQ(bare(SYS_dup3, watched[0], number, 0, 0, 0, 0), number);
    int answer = ctl(ep, EPOLL_CTL_ADD, number, EPOLLIN, 2);
    if (answer == 0) {
        DEL(ep, number);
        return number;
    }
    CHECK_EQ(errno, ENOMEM);
    CHECK_ERRNO(epoll_ctl(ep, EPOLL_CTL_DEL, number, NULL), ENOENT);
    CHECK_EQ(bare(SYS_close, number, 0, 0, 0, 0, 0), 0);
    errno = ENOMEM;
    return -1;
}

static void try(int (*way)(int))
{
    ep = new_epoll();
    make_pipe(watched);
    ADD(ep, watched[0], EPOLLIN, 1);
    still_reports();

    atomic_store(&mappings_left, 0);
    if (way(NUMBER) == -1) {
        CHECK_EQ(errno, ENOMEM);
        CHECK(!on_the_kernel());
        CHECK(atomic_load(&mappings_refused) > 0);
        CHECK(is_free(NUMBER));
    } else {
        CHECK(on_the_kernel());
        OK(close(NUMBER));
    }
    still_reports();

    atomic_store(&mappings_left, 1l << 40);
    CHECK_EQ(way(NUMBER), NUMBER);
    still_reports();
    OK(close(NUMBER));
    CHECK(is_free(NUMBER));
    still_reports();
}

void test(void)
{
    static const struct {
        int (*way)(int);
        const char *name;
    } ways[] = {{duplicate_onto, "dup2"}, {duplicate_above, "F_DUPFD"}, {register_under, "EPOLL_CTL_ADD"}};
    struct rlimit limit;
    raise_descriptor_limit();
    OK(getrlimit(RLIMIT_NOFILE, &limit));
    if (limit.rlim_cur <= NUMBER)
        exit(77);
    trap_mappings();
    for (int i = 0; i < 3; i++) {
        subject = ways[i].name;
        pid_t child = OK(fork());
        if (child == 0) {
            try(ways[i].way);
            _exit(0);
        }
        expect_exit_0(child);
    }
}
