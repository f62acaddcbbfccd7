/* System calls by instructions of the program's own, in the forms of Go's runtime. A program that
 * includes this has Go's note, by which the library recognizes it, so its instructions are
 * rewritten. With IS_RUST defined it imports names as programs in Rust do instead, and its
 * instructions are trapped. x86_64 only: include it after checking HAS_GO_CALLS. */
#ifndef RAW_GO_H
#define RAW_GO_H

#include "harness.h"

#define SKIPPED 77

#if defined __x86_64__ && (defined __GLIBC__ || !defined IS_RUST)
#define HAS_GO_CALLS 1

#ifdef IS_RUST
extern char _Unwind_GetTextRelBase[], _Unwind_Backtrace[];
char *volatile imported[] = {_Unwind_GetTextRelBase, _Unwind_Backtrace};
#else
__asm__(".pushsection .note.go.buildid,\"a\",@note\n"
        ".long 4, 4, 4\n"
        ".asciz \"Go\\0\"\n"
        ".ascii \"test\"\n"
        ".popsection\n");
#endif

/* Any number, as Syscall6 has it: `syscall; cmp $-4095,%rax`. A failure is -errno. */
long go_syscall(long number, long a, long b, long c, long d, long e, long f);
__asm__(".pushsection .text\n"
        ".type go_syscall,@function\n"
        "go_syscall:\n"
        "    mov %rdi, %rax\n"
        "    mov %rsi, %rdi\n"
        "    mov %rdx, %rsi\n"
        "    mov %rcx, %rdx\n"
        "    mov %r8, %r10\n"
        "    mov %r9, %r8\n"
        "    mov 8(%rsp), %r9\n"
        "    syscall\n"
        "    cmp $-4095, %rax\n"
        "    ret\n"
        ".popsection\n");

/* One number, as the runtime has it: `mov $number,%eax; syscall`. */
#define GO_CALL(name, number)                                                                                          \
    long name(long a, long b, long c, long d);                                                                         \
    __asm__(".pushsection .text\n"                                                                                     \
            ".type " #name ",@function\n" #name ":\n"                                                                  \
            "    mov %rcx, %r10\n"                                                                                     \
            "    mov $0, %r8d\n"                                                                                       \
            "    nop\n"                                                                                                \
            "    mov $" #number ", %eax\n"                                                                             \
            "    syscall\n"                                                                                            \
            "    ret\n"                                                                                                \
            ".popsection\n")

GO_CALL(go_read, 0);
GO_CALL(go_write, 1);
GO_CALL(go_close, 3);
GO_CALL(go_epoll_ctl, 233);
GO_CALL(go_epoll_pwait, 281);
GO_CALL(go_epoll_create1, 291);

static inline long go_wait(int ep, struct epoll_event *events, int max, int timeout_ms)
{
    return go_epoll_pwait(ep, (long)events, max, timeout_ms);
}

#else
#define HAS_GO_CALLS 0
#endif

#endif
