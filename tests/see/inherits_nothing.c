// Finds no child that it did not make, no descriptor but its own, and no signal.
// audit: nothing
#include "see.h"
#include <dirent.h>

int main(void)
{
    sigset_t pending;
    CHECK(waitpid(-1, NULL, WNOHANG | __WALL) == -1 && errno == ECHILD);
    CHECK(sigpending(&pending) == 0 && sigismember(&pending, SIGCHLD) == 0);
    DIR *directory = opendir("/proc/self/fd");
    struct dirent *entry;
    int count = 0;
    CHECK(directory != NULL);
    while ((entry = readdir(directory)) != NULL)
        count += entry->d_name[0] != '.';
    // Three standard ones, and that of the directory.
    CHECK(count == 4);
    CHECK(closedir(directory) == 0);
    CHECK(new_instance() == 3);
    return 7;
}
