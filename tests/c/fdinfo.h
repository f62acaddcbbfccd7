/* The flags of a description as the kernel sees them, whatever the library hides from fcntl(2). */
#ifndef FDINFO_H
#define FDINFO_H

#include "harness.h"

#include <fcntl.h>

static inline bool is_async(int number)
{
    char path[64], line[64];
    unsigned flags = 0;
    snprintf(path, sizeof path, "/proc/self/fdinfo/%d", number);
    FILE *info = fopen(path, "r");
    CHECK(info != NULL);
    while (fgets(line, sizeof line, info) != NULL && sscanf(line, "flags: %o", &flags) != 1)
        ;
    CHECK_EQ(fclose(info), 0);
    return flags & O_ASYNC;
}

#endif
