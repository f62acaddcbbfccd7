/* Specimens of descriptors that few programs wait for: sockets of uncommon families, and
 * descriptors that are neither sockets nor pipes. A specimen that cannot be made here, for lack of
 * privileges or of kernel support, is skipped. */
#ifndef STRANGERS_H
#define STRANGERS_H

#include "bare.h"
#include "harness.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/if_ether.h>
#include <linux/io_uring.h>
#include <linux/netlink.h>
#include <mqueue.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/ip_icmp.h>
#include <netpacket/packet.h>
#include <sys/fanotify.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#ifndef IPPROTO_MPTCP
#define IPPROTO_MPTCP 262
#endif
#ifndef IPPROTO_UDPLITE
#define IPPROTO_UDPLITE 136
#endif

#define ARRIVAL 8 /* bytes of one arrival */

struct stranger {
    int fd;     /* the watched descriptor, nonblocking; -1 if it cannot be made */
    int feeder; /* the descriptor that feeds it, or -1 */
    struct sockaddr_in address;
    char *memory;
    struct io_uring_params ring;
    char path[32];
    int serial;
};

struct sort {
    const char *name;
    void (*make)(struct stranger *);
    void (*feed)(struct stranger *); /* makes data arrive */
    bool (*take)(struct stranger *); /* takes one arrival; false if there was none */
};

static inline void feed_by_write(struct stranger *s) { CHECK_EQ(write(s->feeder, "arrival", ARRIVAL), ARRIVAL); }
static inline bool take_by_read(struct stranger *s)
{
    char buffer[4096];
    ssize_t n = read(s->fd, buffer, sizeof buffer);
    CHECK(n > 0 || (n < 0 && errno == EAGAIN));
    return n > 0;
}

/* Every netlink family returns an error for a message of an unknown type, and that is an
 * arrival. */
static inline void make_netlink(struct stranger *s) { s->fd = s->feeder = socket(AF_NETLINK, SOCK_RAW | SOCK_NONBLOCK, NETLINK_ROUTE); }
static inline void feed_netlink(struct stranger *s)
{
    struct nlmsghdr nothing = {.nlmsg_len = sizeof nothing, .nlmsg_type = NLMSG_NOOP, .nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK};
    CHECK_EQ(send(s->fd, &nothing, sizeof nothing, 0), sizeof nothing);
}

static inline void make_datagrams(struct stranger *s, int type, int protocol)
{
    socklen_t size = sizeof s->address;
    s->address = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    s->fd = socket(AF_INET, type | SOCK_NONBLOCK, protocol);
    if (s->fd < 0)
        return;
    OK(bind(s->fd, (struct sockaddr *)&s->address, size));
    OK(getsockname(s->fd, (struct sockaddr *)&s->address, &size));
    s->feeder = OK(socket(AF_INET, type, protocol));
    OK(connect(s->feeder, (struct sockaddr *)&s->address, size));
}
static inline void make_udplite(struct stranger *s) { make_datagrams(s, SOCK_DGRAM, IPPROTO_UDPLITE); }

/* It has an address of its own, and protocol 253, which is reserved for experiments. */
static inline void make_raw(struct stranger *s)
{
    make_datagrams(s, SOCK_RAW, 253);
    if (s->fd < 0)
        return;
    s->address.sin_addr.s_addr = htonl(INADDR_LOOPBACK + 1 + (getpid() & 0xffff));
    OK(close(s->fd));
    s->fd = OK(socket(AF_INET, SOCK_RAW | SOCK_NONBLOCK, 253));
    OK(bind(s->fd, (struct sockaddr *)&s->address, sizeof s->address));
    OK(connect(s->feeder, (struct sockaddr *)&s->address, sizeof s->address));
}

/* The loopback device shows each packet twice, outgoing and incoming. The protocol number is unique
 * to the test. */
static inline void make_packet(struct stranger *s)
{
    int protocol = htons(0x8000 | (getpid() & 0x7fff));
    struct sockaddr_ll lo = {.sll_family = AF_PACKET, .sll_protocol = protocol, .sll_ifindex = if_nametoindex("lo"), .sll_halen = 6};
    s->fd = socket(AF_PACKET, SOCK_DGRAM | SOCK_NONBLOCK, 0);
    if (s->fd < 0)
        return;
#ifdef PACKET_IGNORE_OUTGOING
    int yes = 1;
    OK(setsockopt(s->fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, &yes, sizeof yes));
#endif
    OK(bind(s->fd, (struct sockaddr *)&lo, sizeof lo));
    s->feeder = OK(socket(AF_PACKET, SOCK_DGRAM, 0));
    OK(bind(s->feeder, (struct sockaddr *)&lo, sizeof lo));
}
static inline void feed_packet(struct stranger *s)
{
    struct sockaddr_ll lo;
    socklen_t size = sizeof lo;
    OK(getsockname(s->feeder, (struct sockaddr *)&lo, &size));
    memset(lo.sll_addr, 0, sizeof lo.sll_addr);
    lo.sll_halen = 6;
    CHECK_EQ(sendto(s->feeder, "arrival", ARRIVAL, 0, (struct sockaddr *)&lo, sizeof lo), ARRIVAL);
}

static inline void make_mptcp(struct stranger *s)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    int listener = socket(AF_INET, SOCK_STREAM, IPPROTO_MPTCP);
    s->fd = -1;
    if (listener < 0)
        return;
    OK(bind(listener, (struct sockaddr *)&address, size));
    OK(listen(listener, 1));
    OK(getsockname(listener, (struct sockaddr *)&address, &size));
    s->feeder = OK(socket(AF_INET, SOCK_STREAM, IPPROTO_MPTCP));
    OK(connect(s->feeder, (struct sockaddr *)&address, size));
    s->fd = OK(accept4(listener, NULL, NULL, SOCK_NONBLOCK));
    OK(close(listener));
}
static inline bool take_of_stream(struct stranger *s)
{
    char buffer[ARRIVAL];
    ssize_t n = read(s->fd, buffer, sizeof buffer);
    CHECK(n == ARRIVAL || (n < 0 && errno == EAGAIN));
    return n > 0;
}

static inline void make_queue(struct stranger *s)
{
    char name[64];
    struct mq_attr attributes = {.mq_maxmsg = 10, .mq_msgsize = ARRIVAL};
    snprintf(name, sizeof name, "/epolyfill-%d", getpid());
    s->fd = mq_open(name, O_CREAT | O_EXCL | O_RDWR | O_NONBLOCK, 0600, &attributes);
    if (s->fd >= 0)
        OK(mq_unlink(name));
}
static inline void feed_queue(struct stranger *s) { OK(mq_send(s->fd, "arrival", ARRIVAL, 0)); }
static inline bool take_of_queue(struct stranger *s)
{
    char buffer[ARRIVAL];
    return mq_receive(s->fd, buffer, sizeof buffer, NULL) >= 0;
}

static inline void make_ring(struct stranger *s)
{
    /* The library refuses io_uring to libc's syscall(). */
    s->fd = bare(SYS_io_uring_setup, 8, (long)&s->ring, 0, 0, 0, 0);
    if (s->fd < 0)
        return;
    s->memory = mmap(NULL, 65536, PROT_READ | PROT_WRITE, MAP_SHARED, s->fd, IORING_OFF_SQ_RING);
    CHECK(s->memory != MAP_FAILED);
    struct io_uring_sqe *requests = mmap(NULL, 8 * sizeof *requests, PROT_READ | PROT_WRITE, MAP_SHARED, s->fd, IORING_OFF_SQES);
    CHECK(requests != MAP_FAILED);
    for (int i = 0; i < 8; i++) {
        requests[i] = (struct io_uring_sqe){.opcode = IORING_OP_NOP};
        ((unsigned *)(s->memory + s->ring.sq_off.array))[i] = i;
    }
}
static inline void feed_ring(struct stranger *s)
{
    __atomic_fetch_add((unsigned *)(s->memory + s->ring.sq_off.tail), 1, __ATOMIC_SEQ_CST);
    CHECK_EQ(bare(SYS_io_uring_enter, s->fd, 1, 0, 0, 0, 0), 1);
}
static inline bool take_of_ring(struct stranger *s)
{
    unsigned *head = (unsigned *)(s->memory + s->ring.cq_off.head);
    if (*head == __atomic_load_n((unsigned *)(s->memory + s->ring.cq_off.tail), __ATOMIC_SEQ_CST))
        return false;
    __atomic_fetch_add(head, 1, __ATOMIC_SEQ_CST);
    return true;
}

static inline void make_fanotify(struct stranger *s)
{
    strcpy(s->path, "/tmp/epolyfill-XXXXXX");
    s->fd = fanotify_init(FAN_CLASS_NOTIF | FAN_NONBLOCK, O_RDONLY);
    if (s->fd < 0)
        return;
    CHECK(mkdtemp(s->path) != NULL);
    s->feeder = OK(open(s->path, O_RDONLY | O_DIRECTORY));
    OK(fanotify_mark(s->fd, FAN_MARK_ADD, FAN_MODIFY | FAN_EVENT_ON_CHILD, AT_FDCWD, s->path));
}
/* Each event has a file of its own, because the kernel merges events of one file. */
static inline void feed_fanotify(struct stranger *s)
{
    char name[16];
    snprintf(name, sizeof name, "%d", s->serial++);
    int file = OK(openat(s->feeder, name, O_CREAT | O_WRONLY, 0600));
    CHECK_EQ(write(file, "a", 1), 1);
    OK(close(file));
    OK(unlinkat(s->feeder, name, 0));
}
static inline bool take_of_fanotify(struct stranger *s)
{
    struct fanotify_event_metadata event;
    ssize_t n = read(s->fd, &event, sizeof event);
    if (n > 0)
        OK(close(event.fd));
    return n > 0;
}

static const struct sort sorts[] = {
    {"netlink", make_netlink, feed_netlink, take_by_read},
    {"raw", make_raw, feed_by_write, take_by_read},
    {"packet", make_packet, feed_packet, take_by_read},
    {"udplite", make_udplite, feed_by_write, take_by_read},
    {"mptcp", make_mptcp, feed_by_write, take_of_stream},
    {"message queue", make_queue, feed_queue, take_of_queue},
    {"io_uring", make_ring, feed_ring, take_of_ring},
    {"fanotify", make_fanotify, feed_fanotify, take_of_fanotify},
};

/* Makes a specimen; returns false if that is impossible here. */
static inline bool make_stranger(struct stranger *s, const struct sort *sort)
{
    *s = (struct stranger){.fd = -1, .feeder = -1};
    sort->make(s);
    return s->fd >= 0;
}
static inline void discard_stranger(struct stranger *s)
{
    if (s->feeder >= 0 && s->feeder != s->fd)
        OK(close(s->feeder));
    OK(close(s->fd));
    if (s->path[0])
        OK(rmdir(s->path));
}
static inline void drain_stranger(struct stranger *s, const struct sort *sort)
{
    while (sort->take(s))
        ;
}

#define FOR_EACH_STRANGER(s, sort)                                                                                     \
    for (const struct sort *sort = sorts; sort < sorts + sizeof sorts / sizeof *sorts; sort++)                         \
        if ((subject = sort->name) && make_stranger(s, sort))

#endif
