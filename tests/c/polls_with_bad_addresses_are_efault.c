/* poll and select with an array that cannot be read, or not to its end, are EFAULT even if the
 * array contains an instance. */
#include "harness.h"

#include <sys/mman.h>
#include <sys/select.h>

void test(void)
{
    int ep = new_epoll(), fd = OK(eventfd(1, 0));
    ADD(ep, fd, EPOLLIN, 1);
    char *pages = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(pages != MAP_FAILED);
    OK(mprotect(pages + 4096, 4096, PROT_NONE));
    struct timespec zero = {0, 0};
    struct timeval none = {0, 0};

    for (int entries = 1; entries < 40; entries += 19) {
        struct pollfd *set = (struct pollfd *)(pages + 4096) - entries;
        for (int i = 0; i < entries; i++)
            set[i] = (struct pollfd){.fd = i ? -1 : ep, .events = POLLIN};
        CHECK_EQ(poll(set, entries, 0), 1);
        CHECK_ERRNO(poll(set, entries + 1, 0), EFAULT);
        CHECK_ERRNO(ppoll(set, entries + 1, &zero, NULL), EFAULT);
        CHECK_ERRNO(syscall(SYS_ppoll, set, entries + 1, &zero, NULL, 8), EFAULT);
        CHECK_EQ(ppoll(set, entries, &zero, NULL), 1);
    }
    struct pollfd *bad[] = {NULL, (struct pollfd *)0x10, (struct pollfd *)(pages + 4096), (struct pollfd *)-8};
    for (int i = 0; i < 4; i++)
        CHECK_ERRNO(poll(bad[i], 1, 0), EFAULT);
    CHECK_ERRNO(syscall(SYS_ppoll, bad[2], 1, bad[2], NULL, 8), EFAULT);

    CHECK(ep < 64);
    OK(dup2(fd, 100)); /* select reads no further than the descriptor table, at first 64 numbers */
    fd_set *set = (fd_set *)(pages + 4096 - 8), *hole = (fd_set *)(pages + 4096);
    *(uint64_t *)set = 1ull << ep;
    CHECK_ERRNO(select(65, set, NULL, NULL, &none), EFAULT);
    CHECK_ERRNO(select(64, set, hole, NULL, &none), EFAULT);
    CHECK_ERRNO(pselect(64, set, NULL, hole, &zero, NULL), EFAULT);
    CHECK_ERRNO(select(64, hole, NULL, NULL, &none), EFAULT);
    CHECK_ERRNO(syscall(SYS_pselect6, 64, set, NULL, NULL, hole, NULL), EFAULT);
    CHECK_ERRNO(syscall(SYS_pselect6, 64, set, NULL, NULL, &zero, hole), EFAULT);
    CHECK_EQ(*(uint64_t *)set, 1ull << ep);
    CHECK_EQ(select(64, set, NULL, NULL, &none), 1);
}
