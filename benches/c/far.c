/* Holds the far ends of descriptors that another benchmark watches: far KIND COUNT, with a socket
 * as its standard input. */
#include "far.h"
#include <sys/prctl.h>

int main(int argc, char **argv)
{
    if (argc != 3)
        die("this is started by the other programs");
    size_t count = strtoul(argv[2], NULL, 10);
    int near[FAR_BATCH];
    raise_limit(count + FAR_BATCH);
    for (size_t i = 0; i < count;) {
        size_t batch = count - i < FAR_BATCH ? count - i : FAR_BATCH;
        for (size_t j = 0; j < batch; j++) {
            int ends[2];
            new_ends(argv[1], ends);
            near[j] = ends[0];
        }
        char byte = 0, space[CMSG_SPACE(sizeof near)] = {0};
        struct iovec part = {&byte, 1};
        struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = space, .msg_controllen = CMSG_SPACE(batch * sizeof(int))};
        struct cmsghdr *c = CMSG_FIRSTHDR(&message);
        c->cmsg_level = SOL_SOCKET;
        c->cmsg_type = SCM_RIGHTS;
        c->cmsg_len = CMSG_LEN(batch * sizeof(int));
        memcpy(CMSG_DATA(c), near, batch * sizeof(int));
        must((int)sendmsg(0, &message, MSG_NOSIGNAL), "sendmsg");
        for (size_t j = 0; j < batch; j++)
            close(near[j]);
        i += batch;
    }
    /* Returns when the other process is gone. */
    char byte;
    while (read(0, &byte, 1) > 0)
        ;
    return 0;
}
