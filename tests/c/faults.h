/* Faults on demand: system calls that the kernel refuses from now on, and memory that runs out at a
 * chosen mapping. They use seccomp, so the library is tested unchanged. A refusal lasts for the
 * life of the process, its threads and its children. */
#ifndef FAULTS_H
#define FAULTS_H

#include "bare.h"
#include "harness.h"

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/mman.h>
#include <sys/prctl.h>

#define LOAD(field) BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, field))
#define LOW(n) args[n]

static inline void install_filter(struct sock_filter *filter, unsigned short length)
{
    struct sock_fprog program = {.len = length, .filter = filter};
    OK(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
    OK(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program, 0, 0));
}

/* Makes the call fail with this errno. */
static inline void refuse_call(int number, int error)
{
    struct sock_filter filter[] = {
        LOAD(nr),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, number, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | error),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    install_filter(filter, sizeof filter / sizeof *filter);
}

/* Makes the call end the process, as the lists of allowed calls of sandboxes do. */
static inline void forbid_call(int number)
{
    struct sock_filter filter[] = {
        LOAD(nr),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, number, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    install_filter(filter, sizeof filter / sizeof *filter);
}

/* Makes the call fail if its argument (the low half, counted from 0) is greater than `most`. */
static inline void refuse_call_above(int number, int argument, uint32_t most, int error)
{
    struct sock_filter filter[] = {
        LOAD(nr),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, number, 0, 3),
        LOAD(LOW(argument)),
        BPF_JUMP(BPF_JMP | BPF_JGT | BPF_K, most, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | error),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    install_filter(filter, sizeof filter / sizeof *filter);
}

/* Makes the start of threads fail with EAGAIN, but not of processes. */
static inline void refuse_threads(void)
{
    refuse_call(SYS_clone3, ENOSYS);
    struct sock_filter filter[] = {
        LOAD(nr),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_clone, 0, 3),
        LOAD(LOW(0)),
        BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, 0x10000 /* CLONE_THREAD */, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EAGAIN),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    install_filter(filter, sizeof filter / sizeof *filter);
}

/* --- memory --------------------------------------------------------------------------------------
 *
 * Every mapping traps into a handler, which lets `mappings_left` of them through. The handler's own
 * mappings carry a mark: in the offset, which is meaningless without a file, or, for a file, in the
 * address, which is only a hint. */

#define MARK 0x5eed0000u
static _Atomic long mappings_left = 1l << 40;
static _Atomic long mappings_refused;

#include <ucontext.h>

static inline void on_mapping(int number, siginfo_t *info, void *context)
{
    (void)number;
    ucontext_t *user = context;
    long result = -ENOMEM;
    if (atomic_fetch_sub(&mappings_left, 1) > 0) {
#if defined(__x86_64__)
        greg_t *r = user->uc_mcontext.gregs;
        long a[5] = {r[REG_RDI], r[REG_RSI], r[REG_RDX], r[REG_R10], r[REG_R8]}, offset = r[REG_R9];
#elif defined(__riscv)
        unsigned long *a = user->uc_mcontext.__gregs + REG_A0, offset = a[5];
#else
        __u64 *a = user->uc_mcontext.regs, offset = a[5];
#endif
        if (info->si_syscall == SYS_mmap && (int)a[4] >= 0)
            result = bare(SYS_mmap, MARK, a[1], a[2], a[3], a[4], offset);
        else if (info->si_syscall == SYS_mmap)
            result = bare(SYS_mmap, a[0], a[1], a[2], a[3], a[4], MARK);
        else
            /* The fifth argument of mremap, the new address, is unused without MREMAP_FIXED. */
            result = bare(SYS_mremap, a[0], a[1], a[2], a[3], MARK, MARK);
    } else {
        atomic_fetch_add(&mappings_refused, 1);
    }
#if defined(__x86_64__)
    user->uc_mcontext.gregs[REG_RAX] = result;
#elif defined(__riscv)
    user->uc_mcontext.__gregs[REG_A0] = result;
#else
    user->uc_mcontext.regs[0] = result;
#endif
}

/* From here on, `mappings_left` anonymous mappings succeed. */
static inline void trap_mappings(void)
{
    struct sigaction action = {.sa_sigaction = on_mapping, .sa_flags = SA_SIGINFO | SA_RESTART};
    OK(sigaction(SIGSYS, &action, NULL));
    struct sock_filter filter[] = {
        LOAD(nr),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_mmap, 1, 0),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_mremap, 0, 5),
        LOAD(LOW(5)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, MARK, 3, 0),
        LOAD(LOW(0)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, MARK, 1, 0),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_TRAP),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    install_filter(filter, sizeof filter / sizeof *filter);
}

/* --- numbers ---------------------------------------------------------------------------------- */

static inline void limit_numbers(rlim_t soft)
{
    struct rlimit limit;
    OK(getrlimit(RLIMIT_NOFILE, &limit));
    limit.rlim_cur = soft;
    OK(setrlimit(RLIMIT_NOFILE, &limit));
}

/* Takes every free number below `limit` and returns how many it took. The caller can close any of
 * them to free one. */
static inline int take_all_numbers(rlim_t limit, int *taken, int most)
{
    int n = 0;
    limit_numbers(limit);
    while (n < most && (taken[n] = dup(STDERR_FILENO)) >= 0)
        n++;
    CHECK_EQ(errno, EMFILE);
    return n;
}

#endif
