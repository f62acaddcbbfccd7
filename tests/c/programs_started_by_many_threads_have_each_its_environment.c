/* Threads start programs at the same time, each with an environment of its own, while another
 * thread changes that of the process: each program has the environment that it was given, and
 * epoll. */
#include "execs.h"

#define THREADS 4
#define ROUNDS 15

static atomic_bool over;
static atomic_int ended;

static void in_the_program(void)
{
    const char *id = getenv("ID");
    CHECK(id && strcmp(id, test_argv[1]) == 0);
    CHECK_EQ(is_served(), test_argv[2][0] == 's');
    if (is_served() && strcmp(test_argv[3], "preloaded") == 0)
        CHECK(is_preloaded());
    int ep = new_epoll(), fd = OK(eventfd(1, 0));
    ADD(ep, fd, EPOLLIN, 7);
    EXPECT_ONE(ep, 7, EPOLLIN);
}

static void spawn(char **words, char **environment)
{
    pid_t child;
    PT(posix_spawn(&child, SELF, NULL, NULL, words, environment));
    expect_exit_0(child);
}
static void execute_in_a_vfork_child(char **words, char **environment)
{
    pid_t child = OK(vfork());
    if (child == 0) {
        execve(SELF, words, environment);
        _exit(127);
    }
    expect_exit_0(child);
}

static void *start(void *number)
{
    long thread = (long)number;
    for (int i = 0; i < ROUNDS; i++) {
        char id[32], entry[40];
        int n = i % 3 == 0 ? 10 : i % 3 == 1 ? 1000 : 6000;
        char **environment = calloc(n + 2, sizeof *environment);
        snprintf(id, sizeof id, "%ld.%d", thread, i);
        snprintf(entry, sizeof entry, "ID=%s", id);
        for (int j = 0; j < n; j++)
            environment[j] = j == n - 1 ? entry : "A=1";
        char *words[] = {test_argv[0], id, is_served() ? "served" : "not", is_preloaded() ? "preloaded" : "-", NULL};
        (thread % 2 ? spawn : execute_in_a_vfork_child)(words, environment);
        free(environment);
        ended++;
    }
    return NULL;
}

static void *change(void *unused)
{
    for (int i = 0; !over; i++) {
        char name[32];
        snprintf(name, sizeof name, "CHANGE%d", i % 50);
        OK(setenv(name, "x", 1));
        OK(unsetenv(name));
        pause_ms(1);
    }
    return unused;
}

void test(void)
{
    if (test_argv[1]) {
        in_the_program();
        return;
    }
    struct thread threads[THREADS], changer;
    start_thread(&changer, change, NULL);
    for (long i = 0; i < THREADS; i++)
        start_thread(&threads[i], start, (void *)i);
    /* The bound is for each program. */
    for (int i = 1; i <= THREADS * ROUNDS; i++)
        UNTIL(ended >= i);
    for (int i = 0; i < THREADS; i++)
        join_thread(&threads[i]);
    over = true;
    join_thread(&changer);
}
