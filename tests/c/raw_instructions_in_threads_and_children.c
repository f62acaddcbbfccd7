/* System call instructions work in every thread, in forked children and in vfork children, whose
 * exec fails or succeeds; threads that end and children that execute leave no mapping behind. */
#include "raw_go.h"

#if HAS_GO_CALLS
static int mappings(void)
{
    FILE *maps = fopen("/proc/self/maps", "r");
    CHECK(maps);
    int lines = 0;
    for (int c; (c = fgetc(maps)) != EOF;)
        lines += c == '\n';
    fclose(maps);
    return lines;
}

static void use(void)
{
    struct epoll_event event = {.events = EPOLLIN, .data.u64 = 5}, out = {0};
    uint64_t one = 1;
    int ep = go_epoll_create1(EPOLL_CLOEXEC, 0, 0, 0);
    CHECK(ep >= 0);
    int fd = OK(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC));
    CHECK_EQ(go_epoll_ctl(ep, EPOLL_CTL_ADD, fd, (long)&event), 0);
    CHECK_EQ(go_wait(ep, &out, 1, 0), 0);
    CHECK_EQ(go_write(fd, (long)&one, sizeof one, 0), sizeof one);
    CHECK_EQ(go_wait(ep, &out, 1, BOUND_MS), 1);
    CHECK_EQ(out.data.u64, 5);
    CHECK_EQ(go_close(fd, 0, 0, 0), 0);
    CHECK_EQ(go_close(ep, 0, 0, 0), 0);
}

static void *use_in_a_thread(void *arg)
{
    use();
    return arg;
}

static void threads(int rounds)
{
    for (int i = 0; i < rounds; i++) {
        pthread_t thread[4];
        for (int k = 0; k < 4; k++)
            PT(pthread_create(&thread[k], NULL, use_in_a_thread, NULL));
        for (int k = 0; k < 4; k++)
            PT(pthread_join(thread[k], NULL));
    }
}

static int vfork_and_execute(const char *path)
{
    char *words[] = {"/bin/true", NULL}, *nothing[] = {NULL};
    pid_t child = vfork();
    if (child == 0) {
        go_syscall(SYS_execve, (long)path, (long)words, (long)nothing, 0, 0, 0);
        _exit(7);
    }
    int status;
    CHECK_EQ(OK(waitpid(child, &status, 0)), child);
    CHECK(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static void vforks(int rounds)
{
    for (int i = 0; i < rounds; i++) {
        CHECK_EQ(vfork_and_execute("/no/such/program"), 7);
        if (i % 10 == 0)
            CHECK_EQ(vfork_and_execute("/bin/true"), 0);
    }
    use();
}

void test(void)
{
    use();
    threads(10);
    int before = mappings();
    threads(300);
    int grown = mappings() - before;
    if (grown > 8)
        die(__FILE__, __LINE__, "%d mappings more after 1200 threads", grown);
    for (int i = 0; i < 20; i++) {
        pid_t child = OK(fork());
        if (child == 0) {
            use();
            threads(1);
            _exit(0);
        }
        int status;
        CHECK_EQ(OK(waitpid(child, &status, 0)), child);
        CHECK_EQ(status, 0);
    }
    vforks(500);
}

#else
void test(void)
{
    exit(SKIPPED);
}
#endif
