// Reads once for each event, and leaves the rest of the record decrypted in GnuTLS.
// libraries: -lgnutls
// audit: fault tls-pending watch
#include "see.h"
#include <gnutls/gnutls.h>

static gnutls_session_t secure(int fd, unsigned end)
{
    gnutls_session_t session;
    gnutls_anon_server_credentials_t server;
    gnutls_anon_client_credentials_t client;
    CHECK(gnutls_init(&session, end) == 0);
    CHECK(gnutls_priority_set_direct(session, "NORMAL:-VERS-ALL:+VERS-TLS1.2:-KX-ALL:+ANON-ECDH", NULL) == 0);
    CHECK(gnutls_anon_allocate_server_credentials(&server) == 0);
    CHECK(gnutls_anon_allocate_client_credentials(&client) == 0);
    CHECK(gnutls_credentials_set(session, GNUTLS_CRD_ANON, end == GNUTLS_SERVER ? (void *)server : (void *)client) == 0);
    gnutls_transport_set_int(session, fd);
    CHECK(gnutls_handshake(session) == 0);
    return session;
}

int main(void)
{
    static const char message[100];
    int fds[2], epfd = new_instance(), got = 0;
    char bytes[60];
    CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) == 0);
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        CHECK(close(fds[0]) == 0);
        gnutls_session_t session = secure(fds[1], GNUTLS_CLIENT);
        for (int i = 0; i < 8; i++) {
            rest(100);
            CHECK(gnutls_record_send(session, message, sizeof message) == sizeof message);
        }
        rest(100);
        _exit(0);
    }
    CHECK(close(fds[1]) == 0);
    gnutls_session_t session = secure(fds[0], GNUTLS_SERVER);
    CHECK(fcntl(fds[0], F_SETFL, O_NONBLOCK) == 0);
    watch(epfd, fds[0], EPOLLIN);
    while (got < 700) {
        struct epoll_event event;
        CHECK(epoll_wait(epfd, &event, 1, 5000) == 1);
        ssize_t n = gnutls_record_recv(session, bytes, sizeof bytes);
        CHECK(n > 0);
        got += n;
    }
    CHECK(waitpid(child, NULL, 0) == child);
    return 7;
}
