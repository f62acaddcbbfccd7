/* The pattern of an asynchronous executor: one thread waits, an eventfd that is never read wakes it
 * (IN|ET), every descriptor is registered for all bits with EPOLLET, an operation is freed one wait
 * after its DEL, and a ring of io_uring is watched like any descriptor. Other threads queue tasks
 * and write to the descriptors. No wake-up is lost, and no freed operation is reported (E1,
 * T10). */
#include "harness.h"

#include <linux/io_uring.h>
#include <sys/mman.h>

enum { PEERS = 6, MESSAGES = 3000, SUBMISSIONS = 500, READD_EVERY = 7 };
#define ALL (EPOLLIN | EPOLLOUT | EPOLLPRI | EPOLLERR | EPOLLHUP | EPOLLRDHUP | EPOLLET)

/* Freed operations stay allocated here, so that a late report is detected. */
struct operation {
    int fd, peer;
    bool is_ring, is_freed;
    struct operation *next_freed;
};

static int ep, waker;
static atomic_int tasks_queued, peers_done;
static int tasks_run;

static struct operation *add_operation(int fd, int peer, bool is_ring)
{
    struct operation *op = calloc(1, sizeof *op);
    CHECK(op != NULL);
    op->fd = fd;
    op->peer = peer;
    op->is_ring = is_ring;
    ADD(ep, fd, ALL, (uintptr_t)op);
    return op;
}

/* --- the other threads ------------------------------------------------------------------------ */

static int ends[PEERS][2];

/* Sends messages of one byte, each of which the executor answers, and queues a task for each
 * seventh. */
static void *peer_main(void *arg)
{
    int peer = (intptr_t)arg;
    for (int i = 0; i < MESSAGES; i++) {
        char byte = i;
        CHECK_EQ(write(ends[peer][1], &byte, 1), 1);
        if (i % READD_EVERY == 0) {
            atomic_fetch_add(&tasks_queued, 1);
            add_one(waker);
        }
        CHECK_EQ(read(ends[peer][1], &byte, 1), 1);
        CHECK_EQ(byte, (char)i);
    }
    atomic_fetch_add(&peers_done, 1);
    add_one(waker);
    return NULL;
}

/* --- the ring --------------------------------------------------------------------------------- */

static struct {
    int fd;
    struct io_uring_params params;
    char *memory;
    struct io_uring_sqe *entries;
    int submitted, completed;
} ring = {.fd = -1};

static unsigned *word(unsigned offset) { return (unsigned *)(ring.memory + offset); }

/* Returns false where the system refuses a ring. */
static bool make_ring(void)
{
    ring.fd = syscall(SYS_io_uring_setup, 8, &ring.params);
    if (ring.fd < 0)
        return false;
    size_t size = ring.params.cq_off.cqes + ring.params.cq_entries * sizeof(struct io_uring_cqe);
    ring.memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, ring.fd, IORING_OFF_SQ_RING);
    CHECK(ring.memory != MAP_FAILED);
    ring.entries = mmap(NULL, 8 * sizeof *ring.entries, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, ring.fd, IORING_OFF_SQES);
    CHECK(ring.entries != MAP_FAILED);
    return true;
}

/* Submits a timeout of 50 us, which completes while the executor sleeps. */
static void submit(void)
{
    static struct __kernel_timespec soon = {.tv_nsec = 50000};
    unsigned tail = *word(ring.params.sq_off.tail), at = tail & *word(ring.params.sq_off.ring_mask);
    ring.entries[at] = (struct io_uring_sqe){.opcode = IORING_OP_TIMEOUT, .addr = (uintptr_t)&soon, .len = 1};
    word(ring.params.sq_off.array)[at] = at;
    __atomic_store_n(word(ring.params.sq_off.tail), tail + 1, __ATOMIC_RELEASE);
    CHECK_EQ(syscall(SYS_io_uring_enter, ring.fd, 1, 0, 0, NULL, 0), 1);
    ring.submitted++;
}

static void take_completions(void)
{
    unsigned head = *word(ring.params.cq_off.head), tail = __atomic_load_n(word(ring.params.cq_off.tail), __ATOMIC_ACQUIRE);
    ring.completed += tail - head;
    __atomic_store_n(word(ring.params.cq_off.head), tail, __ATOMIC_RELEASE);
}

/* --- the executor ----------------------------------------------------------------------------- */

static struct operation *graveyard, *freed_now;

static void remove_operation(struct operation *op)
{
    DEL(ep, op->fd);
    op->next_freed = freed_now;
    freed_now = op;
}

/* An item that was deleted before the last wait can no longer be reported. */
static void free_operations(void)
{
    while (freed_now != NULL) {
        struct operation *op = freed_now;
        freed_now = op->next_freed;
        op->is_freed = true;
        op->next_freed = graveyard;
        graveyard = op;
    }
}

static void answer(struct operation *op)
{
    char byte;
    int taken = 0;
    while (read(op->fd, &byte, 1) == 1) {
        CHECK_EQ(write(op->fd, &byte, 1), 1);
        taken++;
    }
    CHECK_EQ(errno, EAGAIN);
    /* One task of the executor releases the descriptor, and another one takes it over. */
    if (taken > 0 && (byte & 15) == 3) {
        remove_operation(op);
        add_operation(op->fd, op->peer, false);
    }
}

void test(void)
{
    /* With the library, a program must request io_uring before it starts. */
    if (!on_the_kernel() && getenv("EPOLYFILL_IO_URING") == NULL) {
        OK(setenv("EPOLYFILL_IO_URING", "1", 1));
        execl("/proc/self/exe", test_argv[0], (char *)NULL);
        die(__FILE__, __LINE__, "exec failed");
    }
    struct thread peers[PEERS];
    ep = new_epoll();
    waker = OK(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
    CHECK_EQ(ctl(ep, EPOLL_CTL_ADD, waker, EPOLLIN | EPOLLET, 0), 0);
    for (int i = 0; i < PEERS; i++) {
        OK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends[i]));
        set_nonblocking(ends[i][0]);
        add_operation(ends[i][0], i, false);
    }
    if (make_ring()) {
        add_operation(ring.fd, -1, true);
        submit();
    }
    for (int i = 0; i < PEERS; i++)
        start_thread(&peers[i], peer_main, (void *)(intptr_t)i);
    int ring_target = ring.fd < 0 ? 0 : SUBMISSIONS;
    while (atomic_load(&peers_done) < PEERS || ring.completed < ring_target) {
        struct epoll_event events[4];
        int n = epoll_wait(ep, events, 4, BOUND_MS);
        /* On Linux, a completion for a thread in a wait can make the wait fail with EINTR. */
        if (n == -1 && errno == EINTR)
            continue;
        CHECK(n >= 0);
        if (n == 0)
            die(__FILE__, __LINE__, "a wake-up is lost: %d of %d peers are done, %d tasks of %d run, %d completions of %d taken",
                atomic_load(&peers_done), PEERS, tasks_run, atomic_load(&tasks_queued), ring.completed, ring.submitted);
        for (int i = 0; i < n; i++) {
            struct operation *op = (struct operation *)(uintptr_t)events[i].data.u64;
            if (op == NULL)
                continue;
            CHECK(!op->is_freed);
            if (!op->is_ring) {
                answer(op);
            } else {
                take_completions();
                if (ring.completed == ring.submitted && ring.submitted < ring_target)
                    submit();
            }
        }
        free_operations();
        tasks_run = atomic_load(&tasks_queued);
    }
    for (int i = 0; i < PEERS; i++)
        join_thread(&peers[i]);
}
