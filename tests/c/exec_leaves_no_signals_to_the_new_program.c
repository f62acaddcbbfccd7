/* A program that is executed with a watched descriptor, or started by any other call, gets no
 * signal from arrivals, and starts with the mask that its parent had (C3). */
#include "harness.h"

#include <spawn.h>

extern char **environ;

/* Fails if a signal is blocked, or ends it while data arrives. */
static char script[] = "while read key value; do case $key in SigBlk:) test $value = 0000000000000000 || exit 1;; esac;"
                       " done </proc/self/status; sleep 0.2; exit 0";
static char *words[] = {"sh", "-c", script, NULL};

/* The new program inherits a connection on which data arrives. */
static void execute(bool fails_first)
{
    int listener = tcp_listener();
    pid_t child = OK(fork());
    if (child == 0) {
        struct pollfd connection = {.fd = listener, .events = POLLIN};
        CHECK_EQ(poll(&connection, 1, BOUND_MS), 1);
        int ep = new_epoll(), own = OK(accept4(listener, NULL, NULL, SOCK_NONBLOCK));
        ADD(ep, own, EPOLLIN, 1);
        EXPECT_ONE(ep, 1, EPOLLIN);
        CHECK_EQ(read(own, &(char){0}, 1), 1);
        if (fails_first) {
            CHECK_ERRNO(execv("/no/such/program", words), ENOENT);
            EXPECT_ONE(ep, 1, EPOLLIN);
        }
        execv("/bin/sh", words);
        _exit(9);
    }
    int client = tcp_client_of(listener), status;
    while (waitpid(child, &status, WNOHANG) == 0) {
        (void)send(client, "x", 1, MSG_NOSIGNAL); /* the program may have ended */
        pause_ms(1);
    }
    CHECK_EQ(status, 0);
    OK(close(client)), OK(close(listener));
}

void test(void)
{
    int fd[2], ep = new_epoll(), status;
    make_pair(SOCK_STREAM, fd);
    execute(false);
    execute(true);

    ADD(ep, fd[0], EPOLLIN, 1);
    pid_t child;
    CHECK_EQ(posix_spawn(&child, "/bin/sh", NULL, NULL, words, environ), 0);
    expect_exit_0(child);
    CHECK_EQ(status = system(script), 0);
    FILE *stream = popen(script, "r");
    CHECK(stream != NULL);
    CHECK_EQ(pclose(stream), 0);
    child = vfork();
    if (child == 0) {
        execv("/bin/sh", words);
        _exit(9);
    }
    expect_exit_0(child);
    write_bytes(fd[1], 1);
    EXPECT_ONE(ep, 1, EPOLLIN);
}
