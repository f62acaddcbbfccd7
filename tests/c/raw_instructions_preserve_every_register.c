/* The instruction `syscall` changes rax, rcx and r11, and nothing else: no other register, no flag,
 * no vector, nothing in the red zone. That holds for instructions in the forms of Go's runtime,
 * whichever number they call and whatever the result is. */
#include "raw_go.h"

#if HAS_GO_CALLS
#include <stddef.h>

/* The registers in the order of the table below; rax is the number, and then the result. */
enum { RAX, RBX, RDX, RSI, RDI, RBP, R8, R9, R10, R12, R13, R14, R15, FLAGS, REGISTERS };
static const char *const names[REGISTERS] = {"rax", "rbx", "rdx", "rsi", "rdi", "rbp", "r8",
                                             "r9",  "r10", "r12", "r13", "r14", "r15", "flags"};
struct state {
    uint64_t registers[REGISTERS];
    uint64_t red_zone[16];
    uint64_t masks[8];
    uint8_t vectors[32][64];
};
struct state before_call __attribute__((aligned(64))), after_call __attribute__((aligned(64)));
uint64_t outer_stack;

/* 0: SSE, 1: AVX, 2: AVX-512. */
int vector_level;

__asm__(".pushsection .text\n"
        /* Copies all registers from before_call, makes the call, and copies them to after_call.
         * Nothing is pushed meanwhile, since the red zone is compared. */
        ".macro VECTORS move, file, count, bytes, to, symbol\n"
        ".set i, 0\n"
        ".rept \\count\n"
        "    VECTOR \\move, \\file, %i, \\bytes, \\to, \\symbol\n"
        ".set i, i + 1\n"
        ".endr\n"
        ".endm\n"
        ".altmacro\n"
        ".macro VECTOR move, file, i, bytes, to, symbol\n"
        ".if \\to\n"
        "    \\move %\\file\\i, \\symbol+304+64*\\i(%rip)\n"
        ".else\n"
        "    \\move \\symbol+304+64*\\i(%rip), %\\file\\i\n"
        ".endif\n"
        ".endm\n"
        ".macro MASKS to, symbol\n"
        ".set i, 1\n"
        ".rept 7\n"
        "    MASK %i, \\to, \\symbol\n"
        ".set i, i + 1\n"
        ".endr\n"
        ".endm\n"
        ".macro MASK i, to, symbol\n"
        ".if \\to\n"
        "    kmovq %k\\i, \\symbol+240+8*\\i(%rip)\n"
        ".else\n"
        "    kmovq \\symbol+240+8*\\i(%rip), %k\\i\n"
        ".endif\n"
        ".endm\n"
        ".macro ALL to, symbol\n"
        "    cmpl $1, vector_level(%rip)\n"
        "    ja 3f\n"
        "    je 2f\n"
        "    VECTORS movdqu, xmm, 16, 64, \\to, \\symbol\n"
        "    jmp 4f\n"
        "2:  VECTORS vmovdqu, ymm, 16, 64, \\to, \\symbol\n"
        "    jmp 4f\n"
        "3:  VECTORS vmovdqu64, zmm, 32, 64, \\to, \\symbol\n"
        "    MASKS \\to, \\symbol\n"
        "4:\n"
        ".endm\n"
        ".macro ZONE i, to, symbol\n"
        ".if \\to\n"
        "    mov -128+8*\\i(%rsp), %rax\n"
        "    mov %rax, \\symbol+112+8*\\i(%rip)\n"
        ".else\n"
        "    mov \\symbol+112+8*\\i(%rip), %rax\n"
        "    mov %rax, -128+8*\\i(%rsp)\n"
        ".endif\n"
        ".endm\n"
        ".macro RED_ZONE to, symbol\n"
        ".set i, 0\n"
        ".rept 16\n"
        "    ZONE %i, \\to, \\symbol\n"
        ".set i, i + 1\n"
        ".endr\n"
        ".endm\n"
        ".macro EXCHANGE name, fixed, number\n"
        ".type \\name,@function\n"
        "\\name:\n"
        "    push %rbx\n    push %rbp\n    push %r12\n    push %r13\n    push %r14\n    push %r15\n"
        "    mov %rsp, outer_stack(%rip)\n"
        "    ALL 0, before_call\n"
        "    push before_call+8*13(%rip)\n"
        "    popf\n"
        "    RED_ZONE 0, before_call\n"
        "    mov before_call+8*1(%rip), %rbx\n"
        "    mov before_call+8*2(%rip), %rdx\n"
        "    mov before_call+8*3(%rip), %rsi\n"
        "    mov before_call+8*4(%rip), %rdi\n"
        "    mov before_call+8*5(%rip), %rbp\n"
        "    mov before_call+8*6(%rip), %r8\n"
        "    mov before_call+8*7(%rip), %r9\n"
        "    mov before_call+8*8(%rip), %r10\n"
        "    mov before_call+8*9(%rip), %r12\n"
        "    mov before_call+8*10(%rip), %r13\n"
        "    mov before_call+8*11(%rip), %r14\n"
        "    mov before_call+8*12(%rip), %r15\n"
        ".if \\fixed\n"
        "    nop\n"
        "    mov $\\number, %eax\n"
        "    syscall\n"
        ".else\n"
        "    mov before_call(%rip), %rax\n"
        "    syscall\n"
        "    cmp $-4095, %rax\n"
        ".endif\n"
        "    mov %rax, after_call(%rip)\n"
        "    mov %rbx, after_call+8*1(%rip)\n"
        "    mov %rdx, after_call+8*2(%rip)\n"
        "    mov %rsi, after_call+8*3(%rip)\n"
        "    mov %rdi, after_call+8*4(%rip)\n"
        "    mov %rbp, after_call+8*5(%rip)\n"
        "    mov %r8, after_call+8*6(%rip)\n"
        "    mov %r9, after_call+8*7(%rip)\n"
        "    mov %r10, after_call+8*8(%rip)\n"
        "    mov %r12, after_call+8*9(%rip)\n"
        "    mov %r13, after_call+8*10(%rip)\n"
        "    mov %r14, after_call+8*11(%rip)\n"
        "    mov %r15, after_call+8*12(%rip)\n"
        "    RED_ZONE 1, after_call\n"
        "    pushf\n"
        "    pop after_call+8*13(%rip)\n"
        "    cld\n"
        "    ALL 1, after_call\n"
        "    mov %rsp, %rax\n"
        "    sub outer_stack(%rip), %rax\n"
        "    pop %r15\n    pop %r14\n    pop %r13\n    pop %r12\n    pop %rbp\n    pop %rbx\n"
        "    ret\n"
        ".endm\n"
        "    EXCHANGE exchange_any, 0, 0\n"
        "    EXCHANGE exchange_read, 1, 0\n"
        "    EXCHANGE exchange_wait, 1, 281\n"
        "    EXCHANGE exchange_close, 1, 3\n"
        ".noaltmacro\n"
        ".popsection\n");
/* Return by how much the stack pointer moved. */
long exchange_any(void), exchange_read(void), exchange_wait(void), exchange_close(void);

_Static_assert(offsetof(struct state, red_zone) == 112 && offsetof(struct state, masks) == 240 &&
                   offsetof(struct state, vectors) == 304,
               "the offsets above");

/* Carry, parity, adjust, zero, sign, overflow, in every second combination; direction too. */
static const uint64_t flag_sets[] = {0x202, 0x203, 0x2d7 & ~2ul, 0xad7, 0xa02, 0x602, 0xed7};
#define STATUS_FLAGS 0xcd5ul

static void compare(const char *what, bool flags_are_compared)
{
    static char text[64];
    for (int i = RAX + 1; i < REGISTERS; i++) {
        snprintf(text, sizeof text, "%s, %s", what, names[i]);
        subject = text;
        if (i == FLAGS && !flags_are_compared)
            continue;
        uint64_t mask = i == FLAGS ? STATUS_FLAGS : ~0ul;
        CHECK_EQ(after_call.registers[i] & mask, before_call.registers[i] & mask);
    }
    subject = what;
    CHECK(!memcmp(after_call.red_zone, before_call.red_zone, sizeof after_call.red_zone));
    int count = vector_level == 2 ? 32 : 16, bytes = vector_level == 2 ? 64 : vector_level == 1 ? 32 : 16;
    for (int i = 0; i < count; i++)
        CHECK(!memcmp(after_call.vectors[i], before_call.vectors[i], bytes));
    if (vector_level == 2)
        CHECK(!memcmp(&after_call.masks[1], &before_call.masks[1], 7 * sizeof(uint64_t)));
    subject = NULL;
}

static long call(const char *what, long (*exchange)(void), long number, long a, long b, long c, long d, long e)
{
    static unsigned turn;
    for (size_t i = 0; i < sizeof before_call / sizeof(uint64_t); i++)
        ((uint64_t *)&before_call)[i] = (turn + i) * 0x9e3779b97f4a7c15ul;
    memset(&after_call, 0, sizeof after_call);
    uint64_t *r = before_call.registers;
    r[RAX] = number, r[RDI] = a, r[RSI] = b, r[RDX] = c, r[R10] = d, r[R8] = e;
    r[FLAGS] = flag_sets[turn++ % (sizeof flag_sets / sizeof *flag_sets)];
    CHECK_EQ(exchange(), 0);
    compare(what, exchange != exchange_any);
    return after_call.registers[RAX];
}
#define ANY(name, ...) call(#name, exchange_any, SYS_##name, __VA_ARGS__)

static bool has_avx512(void)
{
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw");
}

void test(void)
{
    int widest = has_avx512() ? 2 : __builtin_cpu_supports("avx") ? 1 : 0;
    for (int turn = 0; turn < 200; turn++) {
        vector_level = turn % (widest + 1);
        struct epoll_event event = {.events = EPOLLIN, .data.u64 = 0x123456789abcdef0}, out = {0};
        char buffer[8] = {0};
        uint64_t one = 1;
        int fd = OK(eventfd(0, EFD_NONBLOCK));
        int ep = ANY(epoll_create1, 0, 0, 0, 0, 0);
        CHECK(ep >= 0);
        CHECK_EQ(ANY(epoll_ctl, ep, EPOLL_CTL_ADD, fd, (long)&event, 0), 0);
        CHECK_EQ(ANY(epoll_ctl, ep, EPOLL_CTL_ADD, fd, (long)&event, 0), -EEXIST);
        CHECK_EQ(call("read", exchange_read, 0, fd, (long)buffer, 8, 0, 0), -EAGAIN);
        CHECK_EQ(call("epoll_pwait", exchange_wait, 0, ep, (long)&out, 1, 0, 0), 0);
        CHECK_EQ(ANY(write, fd, (long)&one, sizeof one, 0, 0), sizeof one);
        CHECK_EQ(call("epoll_pwait", exchange_wait, 0, ep, (long)&out, 1, 0, 0), 1);
        CHECK_EQ(out.data.u64, event.data.u64);
        CHECK_EQ(call("read", exchange_read, 0, fd, (long)buffer, 8, 0, 0), 8);
        CHECK_EQ(ANY(epoll_wait, ep, (long)&out, 1, 2, 0), 0);
        /* Calls that the library does not want, and one that nobody knows. */
        CHECK_EQ(ANY(getpid, 0, 0, 0, 0, 0), getpid());
        CHECK_EQ(call("no call", exchange_any, 0xfff7, 0, 0, 0, 0, 0), -ENOSYS);
        CHECK_EQ(call("close", exchange_close, 0, fd, 0, 0, 0, 0), 0);
        CHECK_EQ(ANY(close, fd, 0, 0, 0, 0), -EBADF);
        CHECK_EQ(ANY(close, ep, 0, 0, 0, 0), 0);
    }
}

#else
void test(void)
{
    exit(SKIPPED);
}
#endif
