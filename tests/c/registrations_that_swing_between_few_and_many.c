/* Registrations come and go by the hundred beside a few that stay: the kernel's resources for these
 * do not grow. */
#include "harness.h"

#include <dirent.h>
#include <netinet/in.h>

#define MANY 600
#define STAY 10

/* The requests of all rings; the kernel's epoll has none. */
static int requests(void)
{
    DIR *all = opendir("/proc/self/fdinfo");
    struct dirent *entry;
    int count = 0;
    CHECK(all);
    while ((entry = readdir(all))) {
        char line[512];
        int fd = openat(dirfd(all), entry->d_name, O_RDONLY);
        FILE *info = fd < 0 ? NULL : fdopen(fd, "r");
        while (info && fgets(line, sizeof line, info))
            count += strstr(line, "op=") != NULL;
        if (info)
            fclose(info);
    }
    closedir(all);
    return count;
}

/* In several waits, each of which does a part of the work. */
static void settle(int ep)
{
    for (int i = 0; i < 5; i++)
        EXPECT_NONE_NOW(ep);
}

void test(void)
{
    static int ends[MANY][2];
    struct rlimit limit = {3 * MANY, 3 * MANY};
    int ep = new_epoll(), before = 0;
    if (setrlimit(RLIMIT_NOFILE, &limit) < 0)
        exit(77);
    for (int i = 0; i < STAY; i++) {
        struct sockaddr_in any = {.sin_family = AF_INET};
        int fd = OK(socket(AF_INET, SOCK_DGRAM, 0));
        OK(bind(fd, (struct sockaddr *)&any, sizeof any));
        ADD(ep, fd, EPOLLIN, i);
    }
    for (int round = 0; round < 4; round++) {
        for (int i = 0; i < MANY; i++) {
            OK(pipe(ends[i]));
            ADD(ep, ends[i][0], EPOLLIN, STAY + i);
        }
        settle(ep);
        for (int i = 0; i < MANY; i++) {
            OK(close(ends[i][0]));
            OK(close(ends[i][1]));
        }
        settle(ep);
        if (round == 0)
            before = requests();
    }
    CHECK_EQ(requests(), before);
}
