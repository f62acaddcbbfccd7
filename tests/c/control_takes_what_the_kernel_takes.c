/* For every kind of file that can be opened on a machine, each operation returns what the kernel's
 * does (T3). */
#include "oracle.h"

#include <dirent.h>
#include <linux/bpf.h>
#include <linux/if_packet.h>
#include <linux/io_uring.h>
#include <linux/perf_event.h>
#include <mqueue.h>
#include <netinet/in.h>
#include <pty.h>
#include <sys/fanotify.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/signalfd.h>

static int kernel_ep, tested_ep, compared;

/* Compares the operations on a descriptor, and closes it; -1 if this machine does not have the
 * file. */
static void compare(const char *what, int fd)
{
    if (fd < 0)
        return;
    subject = what;
    /* Bad operations first, then an order in which some operations succeed. */
    int ops[] = {0, EPOLL_CTL_DEL, EPOLL_CTL_MOD, 9, EPOLL_CTL_ADD, EPOLL_CTL_ADD, EPOLL_CTL_MOD, 9, EPOLL_CTL_DEL, EPOLL_CTL_DEL};
    for (size_t i = 0; i < sizeof ops / sizeof *ops; i++)
        CHECK_EQ(set_on(TESTED, tested_ep, ops[i], fd, EPOLLIN, 1), set_on(KERNEL, kernel_ep, ops[i], fd, EPOLLIN, 1));

    /* Edge-triggered, whatever the file: both sides report the same, or neither reports. */
    if (set_on(KERNEL, kernel_ep, EPOLL_CTL_ADD, fd, EPOLLIN | EPOLLOUT | EPOLLET, 1) == 0) {
        struct epoll_event at[2][2];
        CHECK_EQ(set_on(TESTED, tested_ep, EPOLL_CTL_ADD, fd, EPOLLIN | EPOLLOUT | EPOLLET, 1), 0);
        long n = wait_on(KERNEL, kernel_ep, at[0], 2, 0);
        CHECK_EQ(wait_on(TESTED, tested_ep, at[1], 2, 0), n);
        if (n == 1)
            CHECK_EQ(at[1][0].events, at[0][0].events);
        CHECK_EQ(set_on(KERNEL, kernel_ep, EPOLL_CTL_DEL, fd, 0, 0), 0);
        CHECK_EQ(set_on(TESTED, tested_ep, EPOLL_CTL_DEL, fd, 0, 0), 0);
    }
    OK(close(fd));
    compared++;
}

static void compare_path(const char *path, int flags)
{
    int fd = open(path, flags | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    compare(path, fd);
}

static void compare_files(void)
{
    const char *paths[] = {
        "/", "/tmp", "/etc/passwd", "/proc", "/proc/self/exe", "/proc/self/mem", "/proc/self/maps", "/proc/self/mounts",
        "/proc/self/mountinfo", "/proc/self/mountstats", "/proc/self/status", "/proc/self/stat", "/proc/self/environ",
        "/proc/self/fdinfo/0", "/proc/self/task", "/proc/self/net/dev", "/proc/self/net/unix", "/proc/thread-self/status",
        "/proc/thread-self/net/dev", "/proc/self/ns/net", "/proc/net/tcp", "/proc/cpuinfo", "/proc/meminfo", "/proc/kmsg",
        "/proc/mdstat", "/proc/swaps", "/proc/modules", "/proc/uptime", "/proc/sys/kernel/hostname",
        "/proc/sys/kernel/random/entropy_avail", "/proc/sys/fs/epoll/max_user_watches", "/proc/sys/kernel", "/proc/pressure/cpu",
        "/sys", "/sys/kernel/mm/transparent_hugepage/enabled", "/sys/class/net/lo/operstate", "/sys/fs/cgroup/cgroup.procs",
        "/sys/fs/cgroup/unified/cgroup.procs", "/sys/fs/cgroup/pids/cgroup.procs", "/sys/kernel/tracing/trace_pipe",
        "/sys/kernel/debug/sleep_time", "/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom", "/dev/kmsg",
        "/dev/tty", "/dev/tty0", "/dev/ttyS0", "/dev/console", "/dev/ptmx", "/dev/vcs", "/dev/fuse", "/dev/net/tun", "/dev/kvm",
        "/dev/loop-control", "/dev/btrfs-control", "/dev/autofs", "/dev/hwrng", "/dev/userfaultfd", "/dev/vsock", "/dev/rtc0",
        "/dev/vga_arbiter", "/dev/loop0", "/dev/vda", "/dev/sda", "/dev/zram0", "/dev/input/event0", "/dev/snd/timer"};
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
        compare_path(paths[i], O_RDONLY);
        compare_path(paths[i], O_PATH);
    }
    const char *written[] = {"/dev/null", "/dev/random", "/dev/kmsg", "/dev/net/tun", "/dev/fuse", "/proc/sys/kernel/domainname"};
    for (size_t i = 0; i < sizeof written / sizeof *written; i++)
        compare_path(written[i], O_RDWR);

    /* An O_PATH descriptor cannot be watched, even one of a file without a name. */
    int fd[2], kinds[4] = {OK(eventfd(0, 0)), OK(socket(AF_UNIX, SOCK_STREAM, 0)), 0, tested_ep};
    make_pipe(fd);
    kinds[2] = fd[0];
    for (int i = 0; i < 4; i++) {
        char path[32];
        snprintf(path, sizeof path, "/proc/self/fd/%d", kinds[i]);
        compare_path(path, O_PATH);
    }
}

static void compare_sockets(void)
{
    int families[] = {AF_UNIX, AF_INET, AF_INET6, AF_NETLINK, AF_PACKET, AF_VSOCK, AF_ALG, AF_KEY, AF_BLUETOOTH, AF_CAN, AF_TIPC,
                      AF_RDS, AF_XDP, AF_QIPCRTR, AF_LLC, AF_APPLETALK, AF_X25, AF_PPPOX, AF_SMC};
    int types[] = {SOCK_STREAM, SOCK_DGRAM, SOCK_RAW, SOCK_SEQPACKET, SOCK_RDM};
    int protocols[] = {0, IPPROTO_ICMP, IPPROTO_SCTP, 262 /* MPTCP */, IPPROTO_UDPLITE};
    for (size_t f = 0; f < sizeof families / sizeof *families; f++)
        for (size_t t = 0; t < sizeof types / sizeof *types; t++)
            for (size_t p = 0; p < sizeof protocols / sizeof *protocols; p++) {
                char what[64];
                snprintf(what, sizeof what, "socket of family %d, type %d, protocol %d", families[f], types[t], protocols[p]);
                compare(what, socket(families[f], types[t], protocols[p]));
            }
}

void test(void)
{
    need_the_kernels_epoll();
    kernel_ep = create_on(KERNEL), tested_ep = create_on(TESTED);
    compare_files();
    compare_sockets();

    int fd[2];
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGUSR1);
    make_pipe(fd);
    compare("pipe, read end", fd[0]);
    compare("pipe, write end", fd[1]);
    OK(openpty(&fd[0], &fd[1], NULL, NULL, NULL));
    compare("terminal, slave", fd[1]);
    compare("terminal, master", fd[0]);
    compare("eventfd", eventfd(1, 0));
    compare("timerfd", timerfd_create(CLOCK_MONOTONIC, 0));
    compare("signalfd", signalfd(-1, &signals, 0));
    compare("inotify", inotify_init1(0));
    compare("fanotify", fanotify_init(FAN_CLASS_NOTIF, O_RDONLY));
    compare("pidfd", bare(SYS_pidfd_open, getpid(), 0, 0, 0, 0, 0));
    compare("memfd", memfd_create("memory", 0));
    compare("memfd_secret", bare(SYS_memfd_secret, 0, 0, 0, 0, 0, 0));
    compare("userfaultfd", bare(SYS_userfaultfd, 0, 0, 0, 0, 0, 0));
    compare("fscontext", bare(SYS_fsopen, (long)"tmpfs", 0, 0, 0, 0, 0));
    compare("another epoll", create_on(KERNEL));

    /* io_uring has no function in libc, and the library refuses it to libc's syscall(). */
    struct io_uring_params ring = {0};
    compare("io_uring", bare(SYS_io_uring_setup, 4, (long)&ring, 0, 0, 0, 0));
    struct perf_event_attr perf = {.type = PERF_TYPE_SOFTWARE, .size = sizeof perf, .config = PERF_COUNT_SW_TASK_CLOCK, .disabled = 1};
    compare("perf event", bare(SYS_perf_event_open, (long)&perf, 0, -1, -1, 0, 0));
    union bpf_attr map = {.map_type = BPF_MAP_TYPE_ARRAY, .key_size = 4, .value_size = 4, .max_entries = 1};
    compare("bpf map", bare(SYS_bpf, BPF_MAP_CREATE, (long)&map, sizeof map, 0, 0, 0));
    union bpf_attr ringbuf = {.map_type = BPF_MAP_TYPE_RINGBUF, .max_entries = 4096};
    compare("bpf ring buffer", bare(SYS_bpf, BPF_MAP_CREATE, (long)&ringbuf, sizeof ringbuf, 0, 0, 0));

    char name[32];
    snprintf(name, sizeof name, "/epolyfill-%d", getpid());
    mqd_t queue = mq_open(name, O_RDWR | O_CREAT | O_EXCL, 0600, NULL);
    mq_unlink(name);
    compare("message queue", queue);
    FILE *file = tmpfile();
    compare("file of its own", dup(fileno(file)));
    compare("shared memory", shm_open(name, O_RDWR | O_CREAT | O_EXCL, 0600));
    shm_unlink(name);

    subject = "";
    CHECK(compared > 60);
}
