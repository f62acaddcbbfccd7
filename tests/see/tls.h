// A TLS connection without certificates, over a socket pair.
#include "see.h"
#include <openssl/ssl.h>

static inline SSL *secure(int fd, int is_server)
{
    SSL_CTX *context = SSL_CTX_new(TLS_method());
    CHECK(context != NULL);
    CHECK(SSL_CTX_set_max_proto_version(context, TLS1_2_VERSION) == 1);
    CHECK(SSL_CTX_set_cipher_list(context, "aNULL:@SECLEVEL=0") == 1);
    SSL *connection = SSL_new(context);
    CHECK(connection != NULL && SSL_set_fd(connection, fd) == 1);
    CHECK((is_server ? SSL_accept(connection) : SSL_connect(connection)) == 1);
    return connection;
}

// A child that sends a message of 100 bytes, as one record, every 100 ms.
static inline pid_t secure_sender(int fd, int other, int messages)
{
    static const char message[100];
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        CHECK(close(other) == 0);
        SSL *connection = secure(fd, 0);
        for (int i = 0; i < messages; i++) {
            rest(100);
            CHECK(SSL_write(connection, message, sizeof message) == sizeof message);
        }
        // The end is not reported before the last message has been read.
        rest(100);
        _exit(0);
    }
    CHECK(close(fd) == 0);
    return child;
}

static inline void blocking_pair(int fds[2])
{
    CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) == 0);
}

static inline void unblock(int fd)
{
    CHECK(fcntl(fd, F_SETFL, O_NONBLOCK) == 0);
}
