// Reads a record to its end, in parts.
// libraries: -lssl -lcrypto
// audit: nothing
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
    while (got < 800) {
        struct epoll_event event;
        size_t n;
        CHECK(epoll_wait(epfd, &event, 1, 5000) == 1);
        while (SSL_read_ex(connection, bytes, sizeof bytes, &n))
            got += n;
        CHECK(SSL_get_error(connection, 0) == SSL_ERROR_WANT_READ);
    }
    CHECK(waitpid(child, NULL, 0) == child);
    return 7;
}
