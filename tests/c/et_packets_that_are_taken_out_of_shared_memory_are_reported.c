/* A packet socket has a ring in shared memory, from which the program takes packets without any
 * call. Later packets are edges, at once and as long as they arrive (E1, E6). */
#include "harness.h"

#include <arpa/inet.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <sys/mman.h>

#define FRAMES 256
#define FRAME_BYTES 2048

static int sender;
static struct sockaddr_ll lo;

static void *send_many(void *number)
{
    for (int i = 0; i < *(int *)number; i++) {
        CHECK_EQ(sendto(sender, "packet", 6, 0, (struct sockaddr *)&lo, sizeof lo), 6);
        pause_ms(1);
    }
    return NULL;
}

void test(void)
{
    int yes = 1, version = TPACKET_V2, number = 2000, at = 0, taken = 0;
    struct tpacket_req request = {
        .tp_block_size = FRAMES * FRAME_BYTES, .tp_block_nr = 1, .tp_frame_size = FRAME_BYTES, .tp_frame_nr = FRAMES};
    int ring = socket(AF_PACKET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (ring < 0)
        exit(77);
    lo = (struct sockaddr_ll){.sll_family = AF_PACKET,
                              .sll_protocol = htons(0x8000 | (getpid() & 0x7fff)),
                              .sll_ifindex = if_nametoindex("lo"),
                              .sll_halen = 6};
    OK(setsockopt(ring, SOL_PACKET, PACKET_IGNORE_OUTGOING, &yes, sizeof yes));
    OK(setsockopt(ring, SOL_PACKET, PACKET_VERSION, &version, sizeof version));
    OK(setsockopt(ring, SOL_PACKET, PACKET_RX_RING, &request, sizeof request));
    char *frames = mmap(NULL, FRAMES * FRAME_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, ring, 0);
    CHECK(frames != MAP_FAILED);
    OK(bind(ring, (struct sockaddr *)&lo, sizeof lo));
    sender = OK(socket(AF_PACKET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    int ep = new_epoll();
    ADD(ep, ring, EPOLLIN | EPOLLET, 1);

    struct thread thread;
    start_thread(&thread, send_many, &number);
    while (taken < number) {
        CHECK_EQ(wait_events(ep, BOUND_MS).n, 1);
        for (;;) {
            struct tpacket2_hdr *frame = (struct tpacket2_hdr *)(frames + at * FRAME_BYTES);
            if (!(__atomic_load_n(&frame->tp_status, __ATOMIC_ACQUIRE) & TP_STATUS_USER))
                break;
            __atomic_store_n(&frame->tp_status, TP_STATUS_KERNEL, __ATOMIC_RELEASE);
            at = (at + 1) % FRAMES;
            taken++;
        }
    }
    join_thread(&thread);
    /* No packet was dropped because the ring was full. */
    struct tpacket_stats stats;
    socklen_t size = sizeof stats;
    OK(getsockopt(ring, SOL_PACKET, PACKET_STATISTICS, &stats, &size));
    CHECK_EQ(stats.tp_drops, 0);
}
