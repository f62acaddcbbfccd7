/* Holds the far ends of descriptors that another benchmark watches: far KIND COUNT, with a socket
 * as its standard input. */
#include "far.h"
#include <netinet/in.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>

/* Makes a TCP connection over the loopback: the accepted end, and the connecting one. */
static int connection(int ends[2])
{
    static int listener = -1;
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t length = sizeof address;
    if (listener < 0) {
        listener = must(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), "socket");
        must(bind(listener, (struct sockaddr *)&address, length), "bind");
        must(listen(listener, 1), "listen");
    }
    must(getsockname(listener, (struct sockaddr *)&address, &length), "getsockname");
    ends[1] = must(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), "socket");
    must(connect(ends[1], (struct sockaddr *)&address, length), "connect");
    return ends[0] = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
}

static int make(const char *kind, int ends[2])
{
    if (strcmp(kind, "pipe") == 0)
        return pipe2(ends, O_CLOEXEC | O_NONBLOCK);
    if (strcmp(kind, "eventfd") == 0)
        return ends[0] = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (strcmp(kind, "tcp") == 0)
        return connection(ends);
    return socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends);
}

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
            must(make(argv[1], ends), "far end");
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
