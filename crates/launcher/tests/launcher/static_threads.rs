//! The threads and the children of static programs with a C library.

use super::static_c::MUSL;
use super::static_programs::assert_said;
use super::support::*;
use std::path::Path;
use std::process::Output;

/// Runs a program that may hang with its signals blocked.
fn run_for_a_minute(program: &Path) -> Output {
    run(command("timeout").args(["--signal=KILL", "60", LAUNCHER, "--no-kernel-epoll", "--"]).arg(program))
}

#[test]
fn a_child_of_a_static_program_begins_on_the_stack_that_clone_is_given() {
    let room = room("static-c-clone");
    let source = r#"
        #define _GNU_SOURCE
        #include <sched.h>
        #include <signal.h>
        #include <stdio.h>
        #include <sys/epoll.h>
        #include <sys/wait.h>
        static char stack[65536] __attribute__((aligned(16)));
        static int starts(void *arg) {
            char here;
            return &here < stack || &here >= stack + sizeof stack ? 1 : epoll_create1(0) < 0 ? 2 : *(int *)arg;
        }
        int main(void) {
            int result = 42, status = -1, flags[] = {0, CLONE_FILES, CLONE_FS, CLONE_VM | CLONE_VFORK};
            for (int i = 0; i < 4; i++) {
                int child = clone(starts, stack + sizeof stack, flags[i] | SIGCHLD, &result);
                if (child < 0 || waitpid(child, &status, 0) != child || !WIFEXITED(status))
                    return 1;
                printf("%d\n", WEXITSTATUS(status));
            }
            return 0;
        }"#;
    for flags in [&["-static"][..], &["-static", MUSL]] {
        let program = compile(&room, "program", source, flags);
        for poller in ["--poller=poll", "--poller=uring"] {
            assert_said(&run(launcher(["--no-kernel-epoll", poller, "--"]).arg(&program)), "42\n42\n42\n42\n");
        }
    }
}

#[test]
fn the_main_thread_of_a_static_program_can_be_joined() {
    let room = room("static-c-joined");
    let source = r#"
        #include <pthread.h>
        #include <stdio.h>
        #include <stdlib.h>
        #include <unistd.h>
        static pthread_t first;
        static void *joins(void *arg) {
            void *result = NULL;
            int failed = pthread_join(first, &result);
            printf("%d %d\n", failed, result == arg);
            exit(0);
        }
        int main(void) {
            pthread_t thread;
            alarm(10);
            first = pthread_self();
            if (pthread_create(&thread, NULL, joins, &first) != 0)
                return 1;
            pthread_exit(&first);
        }"#;
    for flags in [&["-static", "-pthread"][..], &["-static", MUSL]] {
        let program = compile(&room, "program", source, flags);
        assert_said(&run(launcher(["--no-kernel-epoll", "--"]).arg(&program)), "0 1\n");
    }
}

/// Counts the mappings of the process. Each thread has a stack and a guard from the loader. libc keeps
/// 160 stacks for later: as many as there were threads at once.
const MAPPINGS: &str = r#"
        #include <stdio.h>
        static int mappings(void) {
            int lines = 0;
            FILE *file = fopen("/proc/self/maps", "r");
            for (int byte; (byte = getc(file)) != EOF;)
                lines += byte == '\n';
            fclose(file);
            return lines;
        }
"#;
/// Fewer than 500 threads have, and more than those 160.
const FEW: &str = "-DFEW=400";

#[test]
fn threads_that_unmap_their_stacks_leave_nothing_behind() {
    let room = room("static-detached");
    let source = r#"
        #include <pthread.h>
        #include <stdatomic.h>
        #include <stdio.h>
        #include <sys/epoll.h>
        #include <unistd.h>
        static atomic_int ended;
        static int ep;
        static void *waits(void *arg) {
            struct epoll_event event;
            epoll_wait(ep, &event, 1, 1);
            atomic_fetch_add(&ended, 1);
            return arg;
        }
        static int threads(void) {
            char line[256];
            int count = -1;
            FILE *file = fopen("/proc/self/status", "r");
            while (fgets(line, sizeof line, file) != NULL && sscanf(line, "Threads: %d", &count) != 1) {}
            fclose(file);
            return count;
        }
        int main(void) {
            int before = 0;
            ep = epoll_create1(0);
            for (int i = 0; i < 600; i++) {
                pthread_t thread;
                if (pthread_create(&thread, NULL, waits, NULL) != 0 || pthread_detach(thread) != 0)
                    return 1;
                while (atomic_load(&ended) + 8 < i)
                    usleep(100);
                if (i == 100)
                    before = mappings();
            }
            for (int i = 0; i < 5000 && threads() > 1; i++)
                usleep(1000);
            printf("%d %d\n", threads(), mappings() - before < FEW);
            return 0;
        }"#;
    let program = compile(&room, "program", &[MAPPINGS, source].concat(), &["-static", FEW, MUSL]);
    assert_said(&run(launcher(["--no-kernel-epoll", "--"]).arg(&program)), "1 1\n");
}

#[test]
fn threads_are_cancelled_in_the_calls_of_musl_that_are_cancellation_points() {
    let room = room("static-cancelled");
    let source = include_str!("cancelled.c");
    for flags in [&["-static", MUSL][..], &["-static", "-pthread"]] {
        let program = compile(&room, "program", source, flags);
        for poller in ["--poller=poll", "--poller=uring"] {
            assert_said(&run(launcher(["--no-kernel-epoll", poller, "--"]).arg(&program)), "cancelled\n");
        }
    }
}

#[test]
fn a_child_of_a_static_program_makes_threads_whatever_the_parent_was_at() {
    let room = room("static-c-fork");
    // The locks are held for moments only: one of several hundred forks meets them. A thread that
    // hangs has its signals blocked.
    let source = r#"
        #include <pthread.h>
        #include <signal.h>
        #include <stdatomic.h>
        #include <stdio.h>
        #include <sys/prctl.h>
        #include <sys/wait.h>
        #include <unistd.h>
        static atomic_int ends;
        static void *nothing(void *arg) { return arg; }
        static int makes(void) {
            pthread_t thread;
            return pthread_create(&thread, NULL, nothing, NULL) == 0 && pthread_join(thread, NULL) == 0;
        }
        static void *makes_many(void *arg) {
            while (!ends && makes()) {}
            return arg;
        }
        int main(void) {
            pthread_t threads[2];
            int status = 0;
            for (int i = 0; i < 2; i++)
                if (pthread_create(&threads[i], NULL, makes_many, NULL) != 0)
                    return 1;
            for (int i = 0; i < 400 && status == 0; i++) {
                pid_t child = fork();
                if (child == 0) {
                    prctl(PR_SET_PDEATHSIG, SIGKILL);
                    _exit(makes() && makes() ? 0 : 1);
                }
                if (waitpid(child, &status, 0) != child)
                    return 1;
            }
            ends = 1;
            for (int i = 0; i < 2; i++)
                pthread_join(threads[i], NULL);
            printf("%d\n", status);
            return 0;
        }"#;
    let program = compile(&room, "program", source, &["-static", "-pthread"]);
    assert_said(&run_for_a_minute(&program), "0\n");
}

#[test]
fn a_handler_of_a_static_program_makes_threads_whatever_it_interrupted() {
    let room = room("static-c-handler");
    // The handler interrupts calls that hold a lock, for which a fork waits.
    let source = r#"
        #include <pthread.h>
        #include <signal.h>
        #include <stdatomic.h>
        #include <stdio.h>
        #include <sys/epoll.h>
        #include <sys/eventfd.h>
        #include <sys/time.h>
        #include <sys/wait.h>
        #include <unistd.h>
        static atomic_int made, ended;
        static pthread_attr_t detached;
        static void *counts(void *arg) { ended++; return arg; }
        static void makes(int signal) {
            pthread_t thread;
            made += pthread_create(&thread, &detached, counts, NULL) == 0;
        }
        static void *forks(void *arg) {
            while (ended < 1000) {
                pid_t child = _Fork();
                if (child == 0)
                    _exit(0);
                if (waitpid(child, NULL, 0) != child)
                    _exit(1);
            }
            return arg;
        }
        int main(void) {
            int epfd = epoll_create1(0), efd = eventfd(0, 0);
            struct epoll_event event = { .events = EPOLLIN }, found;
            struct itimerval often = { { 0, 1000 }, { 0, 1000 } }, never = { 0 };
            pthread_t forker;
            sigset_t alarms;
            sigemptyset(&alarms);
            sigaddset(&alarms, SIGALRM);
            pthread_sigmask(SIG_BLOCK, &alarms, NULL);
            pthread_attr_init(&detached);
            pthread_attr_setdetachstate(&detached, PTHREAD_CREATE_DETACHED);
            if (pthread_create(&forker, NULL, forks, NULL) != 0)
                return 1;
            signal(SIGALRM, makes);
            setitimer(ITIMER_REAL, &often, NULL);
            pthread_sigmask(SIG_UNBLOCK, &alarms, NULL);
            while (made < 1000) {
                epoll_ctl(epfd, EPOLL_CTL_ADD, efd, &event);
                epoll_wait(epfd, &found, 1, 0);
                epoll_ctl(epfd, EPOLL_CTL_DEL, efd, NULL);
            }
            setitimer(ITIMER_REAL, &never, NULL);
            pthread_join(forker, NULL);
            puts("made");
            return 0;
        }"#;
    let program = compile(&room, "program", source, &["-static", "-pthread", "-D_GNU_SOURCE"]);
    assert_said(&run_for_a_minute(&program), "made\n");
}

#[test]
fn a_static_program_makes_threads_while_it_waits_for_a_child_with_a_copy_of_its_memory() {
    let room = room("static-c-clone-vfork");
    let source = r#"
        #include <pthread.h>
        #include <sched.h>
        #include <signal.h>
        #include <stdio.h>
        #include <sys/syscall.h>
        #include <sys/wait.h>
        #include <unistd.h>
        static int begun[2], made[2];
        static void *nothing(void *arg) { return arg; }
        static void *makes(void *arg) {
            pthread_t thread;
            char byte;
            if (read(begun[0], &byte, 1) != 1 || pthread_create(&thread, NULL, nothing, NULL) != 0 ||
                pthread_join(thread, NULL) != 0 || write(made[1], "x", 1) != 1)
                _exit(1);
            return arg;
        }
        int main(void) {
            pthread_t thread;
            int status = -1;
            if (pipe(begun) != 0 || pipe(made) != 0 || pthread_create(&thread, NULL, makes, NULL) != 0)
                return 1;
            pid_t child = syscall(SYS_clone, CLONE_VFORK | SIGCHLD, 0, 0, 0, 0);
            if (child == 0) {
                char byte;
                _exit(write(begun[1], "x", 1) == 1 && read(made[0], &byte, 1) == 1 ? 0 : 1);
            }
            if (waitpid(child, &status, 0) != child || pthread_join(thread, NULL) != 0)
                return 1;
            printf("%d\n", status);
            return 0;
        }"#;
    let program = compile(&room, "program", source, &["-static", "-pthread", "-D_GNU_SOURCE"]);
    assert_said(&run_for_a_minute(&program), "0\n");
}

#[test]
fn the_parent_of_a_vfork_child_that_is_killed_while_it_forks_makes_threads_and_forks() {
    let room = room("static-c-killed");
    let source = r#"
        #include <pthread.h>
        #include <signal.h>
        #include <stdio.h>
        #include <stdlib.h>
        #include <sys/syscall.h>
        #include <sys/wait.h>
        #include <unistd.h>
        static int ends[2];
        static void *nothing(void *arg) { return arg; }
        static void *kills(void *arg) {
            pid_t child;
            while (read(ends[0], &child, sizeof child) == sizeof child) {
                usleep(rand() % 300);
                kill(child, SIGKILL);
            }
            return arg;
        }
        static int forks(void) {
            int status = -1;
            pid_t child = _Fork();
            if (child == 0)
                _exit(0);
            return waitpid(child, &status, 0) == child && status == 0;
        }
        int main(void) {
            pthread_t killer, thread;
            int status;
            if (pipe(ends) != 0 || pthread_create(&killer, NULL, kills, NULL) != 0)
                return 1;
            for (int i = 0; i < 100; i++) {
                pid_t child = vfork();
                if (child == 0) {
                    pid_t own = getpid();
                    if (write(ends[1], &own, sizeof own) != sizeof own)
                        _exit(0);
                    for (;;)
                        if (syscall(SYS_fork) == 0)
                            _exit(0);
                }
                if (waitpid(child, &status, 0) != child || !WIFSIGNALED(status) || !forks())
                    return 2;
                if (pthread_create(&thread, NULL, nothing, NULL) != 0 || pthread_join(thread, NULL) != 0)
                    return 3;
            }
            puts("made");
            return 0;
        }"#;
    let program = compile(&room, "program", source, &["-static", "-pthread", "-D_GNU_SOURCE"]);
    assert_said(&run_for_a_minute(&program), "made\n");
}

#[test]
fn a_fork_that_a_handler_of_sigsys_leaves_or_makes_is_over() {
    let room = room("static-c-sigsys");
    let source = r#"
        #include <linux/filter.h>
        #include <linux/seccomp.h>
        #include <pthread.h>
        #include <setjmp.h>
        #include <signal.h>
        #include <stddef.h>
        #include <stdio.h>
        #include <string.h>
        #include <sys/prctl.h>
        #include <sys/syscall.h>
        #include <sys/wait.h>
        #include <unistd.h>
        static int leaves;
        static sigjmp_buf back;
        static void *nothing(void *arg) { return arg; }
        static int makes(void) {
            pthread_t thread;
            return pthread_create(&thread, NULL, nothing, NULL) == 0 && pthread_join(thread, NULL) == 0;
        }
        static void handle(int signal, siginfo_t *info, void *context) {
            (void)signal, (void)info;
            if (leaves)
                siglongjmp(back, 1);
            long child = syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);
            if (child == 0 && !makes())
                _exit(1);
            ((ucontext_t *)context)->uc_mcontext.gregs[REG_RAX] = child;
        }
        static int ends(pid_t child) {
            int status = -1;
            if (child == 0)
                _exit(makes() ? 7 : 1);
            return waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 7;
        }
        int main(void) {
            struct sock_filter code[] = {
                BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
                BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_fork, 0, 1),
                BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_TRAP),
                BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)};
            struct sock_fprog filter = {4, code};
            struct sigaction action = {.sa_sigaction = handle, .sa_flags = SA_SIGINFO};
            if (sigaction(SIGSYS, &action, NULL) != 0 || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
                prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) != 0)
                return 1;
            for (int i = 0; i < 20; i++) {
                leaves = i % 2;
                if (sigsetjmp(back, 1) == 0 && !ends(syscall(SYS_fork)))
                    return 2;
                if (!makes() || !ends(_Fork()))
                    return 3;
            }
            puts("over");
            return 0;
        }"#;
    let program = compile(&room, "program", source, &["-static", "-pthread", "-D_GNU_SOURCE"]);
    assert_said(&run_for_a_minute(&program), "over\n");
}

#[test]
fn many_threads_that_end_together_leave_nothing_behind() {
    let room = room("static-many");
    let source = r#"
        #include <pthread.h>
        #include <stdio.h>
        static pthread_barrier_t all;
        static void *waits(void *arg) {
            pthread_barrier_wait(&all);
            return arg;
        }
        int main(void) {
            pthread_t threads[400];
            int before = mappings(), most;
            pthread_barrier_init(&all, NULL, 401);
            for (int i = 0; i < 400; i++)
                if (pthread_create(&threads[i], NULL, waits, NULL) != 0)
                    return 1;
            most = mappings();
            pthread_barrier_wait(&all);
            for (int i = 0; i < 400; i++)
                pthread_join(threads[i], NULL);
            printf("%d %d\n", most - before >= 800, mappings() - before < FEW);
            return 0;
        }"#;
    let program = compile(&room, "program", &[MAPPINGS, source].concat(), &["-static", FEW, MUSL]);
    assert_said(&run(launcher(["--no-kernel-epoll", "--"]).arg(&program)), "1 1\n");
}
