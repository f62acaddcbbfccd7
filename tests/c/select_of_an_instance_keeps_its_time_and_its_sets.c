/* select() and pselect() on an instance may look several times, which neither restarts their
 * timeout nor changes a set; a set may be smaller than an fd_set, or larger (N1). */
#include "harness.h"

#include <sys/mman.h>
#include <sys/select.h>

static atomic_bool over;

/* Makes arrivals that are gone before the look. */
static void *stir(void *arg)
{
    int *fd = arg;
    char byte;
    while (!atomic_load(&over)) {
        write_bytes(fd[1], 1);
        while (read(fd[0], &byte, 1) == 1)
            ;
        pause_ms(2);
    }
    return NULL;
}

void test(void)
{
    int ep = new_epoll(), fd[2], other[2];
    make_pipe(fd);
    make_pipe(other);
    ADD(ep, fd[0], EPOLLIN, 1);
    for (int p = 0; p < 2; p++) {
        subject = p ? "pselect" : "select";
        atomic_store(&over, false);
        struct thread thread;
        start_thread(&thread, stir, fd);
        int64_t begin = now_ns(), end = begin + 200000000;
        for (;;) {
            long left_us = (end - now_ns()) / 1000;
            if (left_us <= 0)
                break;
            fd_set r, w;
            FD_ZERO(&r);
            FD_ZERO(&w);
            FD_SET(ep, &r), FD_SET(other[0], &r);
            struct timeval v = {0, left_us};
            struct timespec t = {0, left_us * 1000};
            int n = OK(p ? pselect(1024, &r, &w, NULL, &t, NULL) : select(1024, &r, &w, NULL, &v));
            if (n == 0)
                break;
            CHECK_EQ(n, 1);
            CHECK(FD_ISSET(ep, &r) && !FD_ISSET(other[0], &r));
        }
        CHECK(now_ns() >= end - 1000000);
        CHECK(now_ns() - begin < 2000000000);
        atomic_store(&over, true);
        join_thread(&thread);

        /* The other descriptor's bit remains after any number of looks. */
        fd_set r;
        FD_ZERO(&r);
        FD_SET(ep, &r), FD_SET(other[0], &r);
        write_bytes(other[1], 1);
        struct timespec t = {BOUND_MS / 1000, 0};
        CHECK_EQ(pselect(1024, &r, NULL, NULL, &t, NULL), 1);
        CHECK(FD_ISSET(other[0], &r) && !FD_ISSET(ep, &r));
        CHECK_EQ(read_all(other[0]), 1);
    }
    subject = "";

    /* A set of eight bytes at the end of memory. */
    char *pages = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(pages != MAP_FAILED);
    OK(mprotect(pages + 4096, 4096, PROT_NONE));
    fd_set *small = (fd_set *)(pages + 4096 - 8);
    CHECK(ep < 64);
    write_bytes(fd[1], 1);
    struct timeval zero = {0, 0};
    for (int look = 0; look < 2; look++) {
        *(uint64_t *)small = 1ull << ep | 1ull << other[0];
        CHECK_EQ(select(64, small, NULL, NULL, &zero), look == 0);
        CHECK_EQ(*(uint64_t *)small, look == 0 ? 1ull << ep : 0);
        read_all(fd[0]);
    }

    /* A set of 4096 numbers. */
    raise_descriptor_limit();
    int high = OK(fcntl(ep, F_DUPFD_CLOEXEC, 3000));
    static uint64_t large[4096 / 64];
    write_bytes(fd[1], 1);
    for (int look = 0; look < 2; look++) {
        memset(large, 0, sizeof large);
        large[high / 64] = 1ull << high % 64;
        CHECK_EQ(select(4096, (fd_set *)large, NULL, NULL, &zero), look == 0);
        CHECK_EQ(large[high / 64] != 0, look == 0);
        read_all(fd[0]);
    }
}
