/* A spawned child whose file actions close watched numbers, and dup over them, changes nothing in
 * its parent (D5). */
#include "harness.h"

#include <spawn.h>

void test(void)
{
    int ep = new_epoll(), fd[2], other[2];
    extern char **environ;
    make_pipe(fd);
    make_pipe(other);
    ADD(ep, fd[0], EPOLLIN | EPOLLET, 1);
    ADD(ep, other[0], EPOLLIN, 2);
    for (int i = 0; i < 5; i++) {
        pid_t child;
        posix_spawn_file_actions_t actions;
        PT(posix_spawn_file_actions_init(&actions));
        PT(posix_spawn_file_actions_addclose(&actions, fd[0]));
        PT(posix_spawn_file_actions_adddup2(&actions, fd[1], other[0]));
        PT(posix_spawn_file_actions_addclosefrom_np(&actions, 3));
        char *argv[] = {"true", NULL};
        PT(posix_spawn(&child, "/bin/true", &actions, NULL, argv, environ));
        expect_exit_0(child);
        PT(posix_spawn_file_actions_destroy(&actions));
        write_bytes(fd[1], 1);
        EXPECT_ONE(ep, 1, EPOLLIN);
        write_bytes(other[1], 1);
        EXPECT_ONE(ep, 2, EPOLLIN);
        CHECK_EQ(read_all(other[0]), 1);
        EXPECT_NONE_NOW(ep);
    }
}
