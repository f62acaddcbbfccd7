/* An event loop with a fault, which then waits for ever: loop FAULT. It writes a line to standard
 * output before the wait or the call that it does not return from.
 *
 *   edge    edge-triggered; 64 of 100 bytes are read, then the loop waits
 *   ticks   as edge, but the waits have a time-out, and the loop goes on
 *   shot    one-shot; not armed again
 *   block   a handler reads from a blocking descriptor
 *   full    edge-triggered for room to write, and the other end does not read
 *   idle    no fault: nothing comes
 */
#include <arpa/inet.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

static int loop, server, client;

static void check(int holds, const char *what)
{
    if (!holds) {
        perror(what);
        exit(2);
    }
}

static void make_pair(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    check(listen(listener, 1) == 0, "listen");
    check(getsockname(listener, (struct sockaddr *)&address, &size) == 0, "getsockname");
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    client = socket(AF_INET, SOCK_STREAM, 0);
    check(connect(client, (struct sockaddr *)&address, size) == 0, "connect");
    server = accept(listener, NULL, NULL);
    check(server >= 0, "accept");
    close(listener);
}

static void add(unsigned events)
{
    struct epoll_event event = {.events = events, .data.fd = server};
    check(epoll_ctl(loop, EPOLL_CTL_ADD, server, &event) == 0, "epoll_ctl");
}

static void send_message(void)
{
    char message[100] = "";
    check(write(client, message, sizeof message) == sizeof message, "write");
}

static void wait_for_event(int timeout)
{
    struct epoll_event event;
    check(epoll_wait(loop, &event, 1, timeout) == 1, "epoll_wait");
}

static void announce(void)
{
    check(write(STDOUT_FILENO, "hangs\n", 6) == 6, "write");
}

int main(int count, char **words)
{
    const char *fault = count > 1 ? words[1] : "";
    char buffer[64];
    make_pair();
    loop = epoll_create1(EPOLL_CLOEXEC);
    check(loop >= 0, "epoll_create1");
    if (!strcmp(fault, "edge") || !strcmp(fault, "ticks")) {
        add(EPOLLIN | EPOLLET);
        send_message();
        wait_for_event(-1);
        check(read(server, buffer, sizeof buffer) == sizeof buffer, "read");
    } else if (!strcmp(fault, "shot")) {
        add(EPOLLIN | EPOLLONESHOT);
        send_message();
        wait_for_event(-1);
    } else if (!strcmp(fault, "block")) {
        add(EPOLLIN);
        announce();
        return (int)read(server, buffer, sizeof buffer);
    } else if (!strcmp(fault, "full")) {
        static char much[1 << 20];
        check(fcntl(server, F_SETFL, O_NONBLOCK) == 0, "fcntl");
        while (write(server, much, sizeof much) > 0)
            ;
        add(EPOLLIN | EPOLLOUT | EPOLLET);
    } else {
        add(EPOLLIN | EPOLLET);
    }
    announce();
    while (!strcmp(fault, "ticks")) {
        struct epoll_event event;
        check(epoll_wait(loop, &event, 1, 30) == 0, "epoll_wait");
    }
    wait_for_event(count > 2 ? atoi(words[2]) : -1);
    return 0;
}
