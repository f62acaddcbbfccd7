// A line editor on an edge-triggered terminal that reads one key per event. A user pastes eight
// characters; most of them wait in the terminal until the next key is pressed.
//
//   cc -g -o paste paste.c -lutil && ./paste         stalls
//   ./paste all                                      reads until EAGAIN
//   epolyfill --audit -- ./paste                     finds the fault
//
// audit: fault slept-edge new_loop
// status: 0
// libraries: -lutil

#include <errno.h>
#include <fcntl.h>
#include <pty.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

static int terminal;
static int reads_all;

static int read_key(char *key)
{
    return read(terminal, key, 1) == 1;
}

static void on_input(void)
{
    char key;
    while (read_key(&key)) {
        printf("%c", key);
        fflush(stdout);
        if (!reads_all)
            break;
    }
}

static int new_loop(void)
{
    int loop = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event event = {.events = EPOLLIN | EPOLLET, .data.fd = terminal};
    if (loop < 0 || epoll_ctl(loop, EPOLL_CTL_ADD, terminal, &event) < 0)
        exit(1);
    return loop;
}

/* The user: pastes, waits for the echo, and after half a second presses a key. */
static void user(int master)
{
    for (int paste = 0; paste < 3; paste++) {
        if (write(master, "epollfd ", 8) != 8)
            _exit(1);
        usleep(300000);
        if (write(master, ".", 1) != 1)
            _exit(1);
        usleep(200000);
    }
    _exit(0);
}

int main(int argc, char **argv)
{
    int master;
    struct termios raw;
    reads_all = argc > 1 && strcmp(argv[1], "all") == 0;
    if (openpty(&master, &terminal, NULL, NULL, NULL) < 0 || tcgetattr(terminal, &raw) < 0)
        return 1;
    cfmakeraw(&raw);
    tcsetattr(terminal, TCSANOW, &raw);
    fcntl(terminal, F_SETFL, O_NONBLOCK);
    if (fork() == 0)
        user(master);
    int loop = new_loop();
    struct epoll_event event;
    while (epoll_wait(loop, &event, 1, 1000) > 0)
        on_input();
    printf("\n");
    return 0;
}
