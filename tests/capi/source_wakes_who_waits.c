/* A post wakes a waiting thread, from another thread and from signal handlers in the same thread
 * and in others, and also among many silent registrations. */
#include "capi.h"

#define SILENT 300
#define POSTS 2000

static int ep, source;

static void post_in_handler(int signal)
{
    int before = errno;
    if (epolyfill_source_post(source, signal == SIGUSR1 ? EPOLLIN : EPOLLRDHUP))
        _exit(9);
    errno = before;
}

static void expect_woken(uint32_t events)
{
    struct waiter waiter;
    start_waiter(&waiter, ep);
    OK(epolyfill_source_post(source, events));
    CHECK_EQ(join_waiter(&waiter), 1);
    CHECK_EQ(waiter.at[0].data.u64, 1);
    CHECK_EQ(waiter.at[0].events, events);
    OK(epolyfill_source_clear(source, events));
    EXPECT_NONE_NOW(ep);
}

static void *hand_over(void *unused)
{
    (void)unused;
    pthread_kill(pthread_self(), SIGUSR2);
    return NULL;
}

/* One side posts, the other clears and answers: no post is lost. */
static int there, back;
static void *answer(void *unused)
{
    (void)unused;
    int own = new_epoll();
    ADD(own, there, EPOLLIN | EPOLLET, 0);
    for (int i = 0; i < POSTS; i++) {
        EXPECT_ONE(own, 0, EPOLLIN);
        OK(epolyfill_source_clear(there, EPOLLIN));
        OK(epolyfill_source_post(back, EPOLLIN));
    }
    OK(close(own));
    return NULL;
}

static void to_and_fro(uint32_t how)
{
    there = OK(epolyfill_source_new(0));
    back = OK(epolyfill_source_new(0));
    ADD(ep, back, EPOLLIN | how, 2);
    struct thread thread;
    start_thread(&thread, answer, NULL);
    for (int i = 0; i < POSTS; i++) {
        OK(epolyfill_source_post(there, EPOLLIN));
        EXPECT_ONE(ep, 2, EPOLLIN);
        OK(epolyfill_source_clear(back, EPOLLIN));
    }
    join_thread(&thread);
    OK(close(there));
    OK(close(back));
}

void test(void)
{
    struct sigaction action = {.sa_handler = post_in_handler};
    OK(sigaction(SIGUSR1, &action, NULL));
    OK(sigaction(SIGUSR2, &action, NULL));
    ep = new_epoll();
    source = OK(epolyfill_source_new(0));
    ADD(ep, source, EPOLLIN | EPOLLOUT | EPOLLPRI | EPOLLRDHUP | EPOLLET, 1);
    static int silent[SILENT][2];
    for (int round = 0; round < 2; round++) {
        const uint32_t each[] = {EPOLLIN, EPOLLOUT, EPOLLPRI, EPOLLRDHUP, EPOLLHUP, EPOLLERR};
        for (size_t i = 0; i < sizeof each / sizeof *each; i++)
            expect_woken(each[i]);
        /* A handler in the waiting thread interrupts the wait, and the bits that it posted are
         * reported afterwards. */
        struct waiter waiter;
        start_waiter(&waiter, ep);
        PT(pthread_kill(waiter.thread.id, SIGUSR1));
        CHECK_EQ(join_waiter(&waiter), -1);
        CHECK_EQ(waiter.error, EINTR);
        EXPECT_ONE(ep, 1, EPOLLIN);
        OK(epolyfill_source_clear(source, EPOLLIN));
        /* A handler in another thread wakes it. */
        start_waiter(&waiter, ep);
        struct thread other;
        start_thread(&other, hand_over, NULL);
        CHECK_EQ(join_waiter(&waiter), 1);
        CHECK_EQ(waiter.at[0].events, EPOLLRDHUP);
        join_thread(&other);
        OK(epolyfill_source_clear(source, EPOLLRDHUP));
        to_and_fro(EPOLLET);
        to_and_fro(0);
        /* The second round has many silent registrations. */
        for (int i = 0; i < SILENT && round == 0; i++) {
            make_pipe(silent[i]);
            ADD(ep, silent[i][0], EPOLLIN, 100 + i);
        }
        for (int i = 0; i < 300 && round == 0; i++)
            EXPECT_NONE_NOW(ep);
    }
    OK(close(source));
    EXPECT_NONE_NOW(ep);
    OK(close(ep));
}
