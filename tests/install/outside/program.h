/* Shared by the programs here, in C and in C++: shows whose epoll they run on.
 *
 * Three facts show it: the version that the library returns is the header's; the epoll descriptor
 * is a pipe, where the kernel's would be anon_inode:[eventpoll]; and the program prints the file
 * that epoll_create1 is in, for the script to compare with the installed one. */
#ifndef PROGRAM_H
#define PROGRAM_H

#include <dlfcn.h>
#include <epolyfill.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CHECK(condition)                                                                  \
    do {                                                                                  \
        if (!(condition)) {                                                               \
            fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #condition);       \
            exit(1);                                                                      \
        }                                                                                 \
    } while (0)

static inline void check_whose_epoll(int ep)
{
    char link[64], name[64];
    Dl_info info;
    ssize_t length;

    CHECK(strcmp(epolyfill_version(), EPOLYFILL_VERSION) == 0);

    snprintf(link, sizeof link, "/proc/self/fd/%d", ep);
    length = readlink(link, name, sizeof name - 1);
    CHECK(length > 0);
    name[length] = '\0';
    CHECK(strncmp(name, "pipe:", 5) == 0);

    CHECK(dladdr((void *)epoll_create1, &info) != 0);
    printf("served by %s\n", info.dli_fname);
}

#endif
