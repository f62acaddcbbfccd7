/* The program may dup2 a file of its own onto any number, even while threads wait, change
 * registrations and write (C3): only the program itself writes to the file or reads from it, and no
 * wake-up is lost. */
#include "harness.h"

#include <dirent.h>
#include <sched.h>
#include <sys/mman.h>

#define ROUNDS 2000

static int ep, bell, stop;
static atomic_bool over;
static atomic_uint rung, heard;

/* Sleeps repeatedly; each change by the other threads must wake it. */
static void *waits(void *arg)
{
    struct epoll_event event;
    while (OK(epoll_wait(ep, &event, 1, BOUND_MS)) == 1) {
        if (event.data.u64 == 2)
            return arg;
        atomic_store(&heard, atomic_load(&rung));
    }
    die(__FILE__, __LINE__, "a wake-up was lost");
}

static void *rings(void *arg)
{
    while (!atomic_load(&over)) {
        unsigned now = atomic_fetch_add(&rung, 1) + 1;
        MOD(ep, bell, EPOLLIN | EPOLLET, 1);
        add_one(bell);
        while (atomic_load(&heard) < now)
            sched_yield();
    }
    add_one(stop);
    return arg;
}

/* Dups the file onto every high number in use. */
static int cover_all(int file)
{
    int covered = 0;
    DIR *list = opendir("/proc/self/fd");
    CHECK(list != NULL);
    struct dirent *entry;
    while ((entry = readdir(list)) != NULL) {
        int fd = atoi(entry->d_name);
        if (fd >= 100) {
            CHECK_EQ(dup2(file, fd), fd);
            CHECK_EQ(lseek(fd, 0, SEEK_CUR), 4);
            OK(close(fd));
            covered++;
        }
    }
    closedir(list);
    return covered;
}

void test(void)
{
    int file = OK(memfd_create("own", MFD_CLOEXEC));
    CHECK_EQ(write(file, "mine and nobody's", 17), 17);
    CHECK_EQ(lseek(file, 4, SEEK_SET), 4);
    ep = new_epoll();
    bell = OK(eventfd(0, EFD_NONBLOCK));
    stop = OK(eventfd(0, EFD_NONBLOCK));
    ADD(ep, bell, EPOLLIN | EPOLLET, 1);
    ADD(ep, stop, EPOLLIN, 2);
    struct thread waiter, ringer;
    start_thread(&waiter, waits, NULL);
    start_thread(&ringer, rings, NULL);
    int covered = 0;
    for (int i = 0; i < ROUNDS; i++)
        covered += cover_all(file);
    CHECK(on_the_kernel() || covered > 0);
    atomic_store(&over, true);
    join_thread(&ringer);
    join_thread(&waiter);
    CHECK_EQ(lseek(file, 0, SEEK_CUR), 4);
    CHECK_EQ(lseek(file, 0, SEEK_END), 17);
}
