// A program without libc, with the marks and the system call instructions of a static Go program. It
// makes the calls that the loader answers, and fails with the number of a line. Its first argument
// is its own path without symbolic links. If its name is "words", it prints its argv.
#include <asm/prctl.h>
#include <asm/signal.h>
#include <asm/unistd.h>
#include <linux/errno.h>
#include <linux/eventpoll.h>
#include <linux/fcntl.h>
#include <linux/futex.h>
#include <linux/sched.h>

typedef unsigned long word;

#ifdef UNCLEAR
// It may be the load of another register, or that of a wanted number.
__asm__(".text\n mov $0, %r8d\n syscall\n");
#endif

#ifdef WITH_C_CODE
__thread int of_c;
#endif

__attribute__((section(".go.buildinfo"), used)) static char info[] = "\xff Go buildinf:";
__asm__(".pushsection .note.go.buildid,\"a\",@note\n .long 4, 4, 4\n .asciz \"Go\\0\"\n .ascii \"test\"\n .popsection");

// Go's Syscall6, and a thread's exit. After a clone, the child returns by its own stack.
__asm__(".globl raw, restore, leave, _start\n"
        "raw: mov %rdi, %rax\n mov %rsi, %rdi\n mov %rdx, %rsi\n mov %rcx, %rdx\n mov %r8, %r10\n mov %r9, %r8\n"
        " mov 8(%rsp), %r9\n syscall\n cmp $-4095, %rax\n ret\n"
        "leave: xor %edi, %edi\n mov $60, %eax\n syscall\n ud2\n"
        "restore: mov $15, %eax\n syscall\n"
        "_start: mov %rsp, %rdi\n and $-16, %rsp\n call start\n ud2\n");
extern long raw(long number, long a, long b, long c, long d, long e, long f);
extern void restore(void), leave(void);
#define CALL(number, a, b, c, d, e) raw(__NR_##number, (long)(a), (long)(b), (long)(c), (long)(d), (long)(e), 0)

#define CHECK(is) \
    do { \
        if (!(is)) \
            fail(__LINE__); \
    } while (0)

static void fail(int line) {
    char text[] = "line 000\n";
    for (int at = 7; line > 0; line /= 10)
        text[at--] = '0' + line % 10;
    CALL(write, 2, text, 9, 0, 0);
    CALL(exit_group, 1, 0, 0, 0, 0);
}

static int is_same(const char *a, const char *b) {
    while (*a && *a == *b)
        a++, b++;
    return *a == *b;
}

static void print(const char *text) {
    long length = 0;
    while (text[length])
        length++;
    CHECK(CALL(write, 1, text, length, 0, 0) == length);
}

// Other processes see the words of the guest, and no others, if the kernel lets it change them.
static void show(char **argv) {
    unsigned size;
    if (CALL(prctl, 35, 15, &size, 0, 0) < 0)
        return;
    char seen[8192], *at = seen;
    long fd = CALL(open, "/proc/self/cmdline", 0, 0, 0, 0), n = CALL(read, fd, seen, sizeof seen, 0, 0);
    CHECK(fd >= 0 && n > 0);
    for (; *argv; argv++)
        for (const char *c = *argv;; c++) {
            CHECK(at < seen + n && *at == *c);
            at++;
            if (!*c)
                break;
        }
    CHECK(at == seen + n && CALL(close, fd, 0, 0, 0, 0) == 0);
}

static word areas[2][16];
static int ends[2];
static volatile word seen_by_handler, seen_by_thread;
static volatile int ended;

// The thread pointer, which a thread control block begins with.
static word pointer(void) {
    word value;
    __asm__ volatile("mov %%fs:0, %0" : "=r"(value));
    return value;
}

static int instance(void) {
    struct epoll_event event = {.events = EPOLLIN, .data = 7};
    long epfd = CALL(epoll_create1, 0, 0, 0, 0, 0);
    CHECK(epfd >= 0);
    CHECK(CALL(epoll_ctl, epfd, EPOLL_CTL_ADD, ends[0], &event, 0) == 0);
    return (int)epfd;
}

static void handle(int signal) {
    (void)signal;
    seen_by_handler = pointer();
    CHECK(CALL(close, -1, 0, 0, 0, 0) == -EBADF);
    CHECK(pointer() == seen_by_handler);
}

// Signals that interrupt the library find the guest's thread pointer, and so does the guest.
static void interrupt(int epfd) {
    struct { word handler, flags, restorer, mask; } action = {(word)handle, SA_RESTORER, (word)restore, 0}, old = {0};
    struct { word interval[2], value[2]; } timer = {{0, 1000}, {0, 1000}}, off = {{0, 0}, {0, 0}};
    struct epoll_event event;
    CHECK(CALL(rt_sigaction, SIGALRM, &action, &old, 8, 0) == 0 && old.handler == 0);
    CHECK(CALL(rt_sigaction, SIGALRM, 0, &old, 8, 0) == 0 && old.handler == (word)handle);
    CHECK(CALL(rt_sigaction, SIGALRM, 8, 0, 8, 0) == -EFAULT);
    CHECK(CALL(rt_sigaction, SIGKILL, &action, 0, 8, 0) == -EINVAL);
    // glibc's own, whose handler it installs with its first thread.
    CHECK(CALL(rt_sigaction, 33, &action, &old, 8, 0) == 0);
    CHECK(CALL(setitimer, 0, &timer, 0, 0, 0) == 0);
    for (int i = 0; i < 50; i++) {
        seen_by_handler = 0;
        long n = CALL(epoll_wait, epfd, &event, 1, 1000, 0);
        CHECK(n == -EINTR && seen_by_handler == (word)&areas[0][8] && pointer() == (word)&areas[0][8]);
    }
    CHECK(CALL(setitimer, 0, &off, 0, 0, 0) == 0);
}

static void thread(void) {
    seen_by_thread = pointer();
    CHECK(CALL(write, ends[1], "x", 1, 0, 0) == 1);
    CHECK(pointer() == seen_by_thread);
    leave();
}

static void make_threads(int epfd) {
    static word stack[8192] __attribute__((aligned(16)));
    struct { word handler, flags, restorer, mask; } action;
    const word flags = CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD | CLONE_SYSVSEM | CLONE_SETTLS |
                       CLONE_PARENT_SETTID | CLONE_CHILD_CLEARTID;
    for (int i = 0; i < 200; i++) {
        static int id;
        struct epoll_event event;
        char byte;
        word *top = &stack[8190];
        *top = (word)thread;
        ended = 1;
        seen_by_thread = 0;
        long made = CALL(clone, flags, top, &id, &ended, &areas[1][8]);
        CHECK(made > 0 && id == made);
        CHECK(CALL(epoll_wait, epfd, &event, 1, 10000, 0) == 1 && event.data == 7);
        CHECK(CALL(read, ends[0], &byte, 1, 0, 0) == 1);
        while (ended)
            CALL(futex, &ended, FUTEX_WAIT, 1, 0, 0);
        CHECK(seen_by_thread == (word)&areas[1][8]);
    }
    CHECK(CALL(rt_sigaction, 33, 0, &action, 8, 0) == 0 && action.handler == (word)handle);
}

static void execute(const char *path) {
    const char *words[] = {"child", path, 0}, *environment[] = {0};
    int status = -1;
    long child = CALL(clone, SIGCHLD, 0, 0, 0, 0);
    CHECK(child >= 0);
    if (child == 0) {
        CALL(execve, "/proc/self/exe", words, environment, 0, 0);
        fail(__LINE__);
    }
    CHECK(CALL(wait4, child, &status, 0, 0, 0) == child && status == 0);
}

void start(word *stack) {
    char **argv = (char **)&stack[1], link[4096];
    const char *path = argv[1];
    long n, epfd;
    areas[0][8] = (word)&areas[0][8];
    areas[1][8] = (word)&areas[1][8];
    CHECK(info[0] != 0);
    CHECK(CALL(arch_prctl, ARCH_SET_FS, &areas[0][8], 0, 0, 0) == 0 && pointer() == (word)&areas[0][8]);
    CHECK(CALL(pipe2, ends, O_NONBLOCK, 0, 0, 0) == 0);
    epfd = instance();
    if (is_same(argv[0], "words")) {
        for (word i = 0; i < stack[0]; i++)
            print(argv[i]), print("|");
        CALL(exit_group, 0, 0, 0, 0, 0);
    }
    CHECK(stack[0] == 2);
    show(argv);
    CHECK(CALL(brk, 0, 0, 0, 0, 0) == 0);
    n = CALL(readlink, "/proc/self/exe", link, sizeof link - 1, 0, 0);
    CHECK(n > 0);
    link[n] = 0;
    CHECK(is_same(link, path));
    if (is_same(argv[0], "child"))
        CALL(exit_group, 0, 0, 0, 0, 0);
    interrupt((int)epfd);
    make_threads((int)epfd);
    execute(path);
    CALL(write, 1, "served\n", 7, 0, 0);
    CALL(exit_group, 0, 0, 0, 0, 0);
}
