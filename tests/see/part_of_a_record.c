// Reads once for each event, and leaves the rest of the record decrypted in the TLS library.
// libraries: -lssl -lcrypto
// audit: fault tls-pending watch
#include "tls.h"

int main(void)
{
    int fds[2], epfd = new_instance(), got = 0;
    char bytes[60];
    blocking_pair(fds);
    pid_t child = secure_sender(fds[1], fds[0], 8);
    SSL *connection = secure(fds[0], 1);
    unblock(fds[0]);
    watch(epfd, fds[0], EPOLLIN);
    while (got < 700) {
        struct epoll_event event;
        CHECK(epoll_wait(epfd, &event, 1, 5000) == 1);
        int n = SSL_read(connection, bytes, sizeof bytes);
        CHECK(n > 0);
        got += n;
    }
    CHECK(waitpid(child, NULL, 0) == child);
    return 7;
}
