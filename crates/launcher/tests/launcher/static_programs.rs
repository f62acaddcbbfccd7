//! Static programs, which the loader loads: the launcher executes it, and so does the library when
//! another program starts a static one.

use super::support::*;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Output;

/// A program without libc, with the marks of Go's linker, as its linker makes them.
fn guest(room: &Path, name: &str, flags: &[&str]) -> PathBuf {
    let all = [&["-nostdlib", "-O1", "-ffreestanding", "-fno-stack-protector", "-mno-red-zone"][..], flags].concat();
    compile(room, name, include_str!("guest.c"), &all)
}

fn starter(room: &Path) -> PathBuf {
    compile(room, "starter", include_str!("starter.c"), &[])
}

#[track_caller]
fn assert_said(ran: &Output, said: &str) {
    assert_code(ran, 0);
    assert_eq!((stdout(ran).as_str(), stderr(ran).as_str()), (said, ""));
}

/// Runs a program that may hang with its signals blocked.
fn run_for_a_minute(program: &Path) -> Output {
    run(command("timeout").args(["--signal=KILL", "60", LAUNCHER, "--no-kernel-epoll", "--"]).arg(program))
}

#[test]
fn a_static_go_program_is_loaded() {
    let room = room("static-go");
    let program = guest(&room, "program", &["-static"]);
    let check = run(launcher(["--check"]).arg(&program));
    assert_code(&check, 0);
    assert!(stdout(&check).contains("can be served: static: loaded by epolyfill, and "), "{check:?}");
    let path = program.canonicalize().unwrap();
    assert_said(&run(launcher(["--no-kernel-epoll", "--"]).arg(&program).arg(&path)), "served\n");

    let started = run(launcher(["--check", "timeout", "5"]).arg(&program));
    assert_code(&started, 0);
    assert!(stdout(&started).contains(" instructions are rewritten, started by "), "{started:?}");
    let off = run(launcher(["--"]).arg(&program).env("EPOLYFILL_RAW", "no"));
    assert_refused(&off, 125, "EPOLYFILL_RAW=no leaves them alone");
    // The loader cannot be put in front of a script's interpreter.
    let script = script(&room, "script", &format!("#!{}\n", program.display()));
    assert_not_served(&script, 125, "is static and can only be loaded itself");
}

/// Copies a file into a room.
fn copy(from: &Path, to: PathBuf) -> PathBuf {
    fs::create_dir_all(to.parent().unwrap()).unwrap();
    let status = command("cp").arg(from).arg(&to).status();
    assert!(status.expect("cp starts").success());
    to
}

#[test]
fn without_the_loader_a_static_go_program_is_refused() {
    let room = room("no-loader");
    let program = guest(&room, "program", &["-static"]);
    // The launcher and the library alone. The name makes it the one with the observer.
    copy(&library(), room.join("libepolyfill.so"));
    copy(&library(), room.join("libepolyfill-see.so"));
    let alone = copy(LAUNCHER.as_ref(), room.join("epolyfill"));
    let timeline = format!("--timeline={}", room.join("timeline").display());
    for option in ["--", "--check", "--audit", "--audit-exit=3", "-t", "-c", "--chaos=1", "--chaos-hunt=2", &timeline] {
        let ran = run(command(&alone).arg(option).arg(&program));
        assert_refused(&ran, 125, "static programs need epolyfill-loader, which is not in ");
    }
    assert!(!room.join("timeline").exists());
    // A program that another one starts is left to the kernel.
    let starter = starter(&room);
    assert_said(&run(command(&alone).arg("--").arg(&starter).arg("execve").arg(&program)), "words|a b||");
}

#[test]
fn the_loader_is_one_that_the_library_finds_for_children() {
    let room = room("places");
    let program = guest(&room, "program", &["-static"]);
    let starter = starter(&room);
    let library = copy(&library(), room.join("lib/triplet/libepolyfill.so"));
    let start =
        |words: &[&Path]| run(launcher(["--no-kernel-epoll", "--"]).args(words).env("EPOLYFILL_LIBRARY", &library));
    let loader = Path::new(LAUNCHER).with_file_name("epolyfill-loader");
    for place in ["lib/triplet", "lib/triplet/epolyfill", "lib/epolyfill"] {
        let there = copy(&loader, room.join(place).join("epolyfill-loader"));
        assert_said(&start(&[&program, &program.canonicalize().unwrap()]), "served\n");
        assert_said(&start(&[&starter, "execve".as_ref(), &program]), "words|a b||");
        fs::remove_file(there).unwrap();
    }
    // The one beside the launcher would serve the program, and not its children.
    assert_refused(&start(&[&program]), 125, "static programs need epolyfill-loader, which is not in ");
}

#[test]
fn a_static_go_program_with_c_code_is_refused() {
    let room = room("static-cgo");
    for flags in [&["-static", "-DWITH_C_CODE"][..], &["-static-pie"]] {
        assert_not_served(&guest(&room, "program", flags), 125, "is linked statically with C code");
    }
}

#[test]
fn a_static_go_program_that_another_one_starts_is_loaded_with_its_words() {
    let room = room("started");
    let (starter, program) = (starter(&room), guest(&room, "program", &["-static"]));
    let start = |way: &str, program: &Path, more: &[&str]| {
        run(launcher(["--no-kernel-epoll", "--"]).arg(&starter).arg(way).arg(program).args(more))
    };
    let ways =
        ["execve", "syscall", "execvpe", "execle", "posix_spawn", "posix_spawnp", "vfork", "execv", "execl", "execlp"];
    for way in ways {
        let ran = start(way, &program, &[]);
        assert_eq!((stdout(&ran).as_str(), stderr(&ran).as_str()), ("words|a b||", ""), "{way}");
        assert_code(&ran, 0);
    }
    for count in [1, 2, 180, 200, 3000, 20000] {
        let words =
            format!("words|{}{}", "a b|".repeat((count as usize).saturating_sub(2)), if count > 1 { "|" } else { "" });
        for way in ["execve", "vfork"] {
            assert_said(&start(way, &program, &[&count.to_string()]), &words);
        }
    }
    // As for the kernel, there is always a first word: the guest fails, which takes an argument.
    let ran = start("no words", &program, &[]);
    assert_code(&ran, 1);
    assert!(stderr(&ran).starts_with("line "), "{ran:?}");
}

#[test]
fn a_static_go_program_is_searched_for_as_libc_does() {
    let room = room("searched");
    let (starter, program) = (starter(&room), guest(&room, "program", &["-static"]));
    // A directory, and a file that may not be executed, are passed over.
    let (first, second, third) = (room.join("first"), room.join("second"), room.join("third"));
    fs::create_dir_all(first.join("name")).unwrap();
    fs::create_dir_all(&second).unwrap();
    fs::create_dir_all(&third).unwrap();
    fs::write(second.join("name"), "").unwrap();
    make_mode(&second.join("name"), 0o644);
    symlink(&program, third.join("name")).unwrap();
    let path = format!("{}:{}:/nowhere:{}", first.display(), second.display(), third.display());
    let start = |path: &str| {
        let mut command = launcher(["--no-kernel-epoll", "--"]);
        run(command.arg(&starter).args(["execvp", "name", "3", path]).current_dir(&third))
    };
    assert_said(&start(&path), "words|a b||");
    assert_said(&start(&format!("{}:", first.display())), "words|a b||");
    assert_code(&start("/nowhere"), 5);
}

#[test]
fn a_static_program_that_is_not_to_be_loaded_is_left_to_the_kernel() {
    let room = room("left");
    let (starter, program) = (starter(&room), guest(&room, "program", &["-static"]));
    let start_by = |way: &str, program: &Path, variable: &str, value: &str| {
        let mut command = launcher(["--no-kernel-epoll", "--"]);
        run(command.arg(&starter).arg(way).arg(program).env(variable, value))
    };
    let start = |program: &Path, variable: &str, value: &str| start_by("execv", program, variable, value);
    // It fails at its first epoll call.
    let assert_left = |ran: Output| {
        assert_code(&ran, 1);
        assert!(stderr(&ran).starts_with("line "), "{ran:?}");
    };
    assert_said(&start(&program, "OTHER", ""), "words|a b||");
    assert_left(start(&program, "EPOLYFILL_CHILDREN", "no"));
    assert_left(start(&program, "EPOLYFILL_RAW", "no"));
    // The descriptor is closed when the loader would open the path.
    assert_left(start_by("descriptor", &program, "OTHER", ""));
    assert_left(start(&guest(&room, "with-c", &["-static", "-DWITH_C_CODE"]), "OTHER", ""));
    make_mode(&program, 0o4755);
    assert_left(start(&program, "OTHER", ""));
}

#[test]
fn a_started_program_that_the_loader_cannot_load_is_executed() {
    let room = room("unknown");
    let (starter, program) = (starter(&room), guest(&room, "program", &["-static", "-DUNCLEAR"]));
    assert_not_served(&program, 125, "by instructions of an unknown form");
    let ran = run(launcher(["--"]).arg(&starter).arg("execve").arg(&program));
    assert_code(&ran, 0);
    assert_eq!(stdout(&ran), "words|a b||");
    assert!(stderr(&ran).contains(" runs without the library: it makes its system calls by "), "{ran:?}");
    let quiet = run(launcher(["--"]).arg(&starter).arg("execve").arg(&program).env("EPOLYFILL_QUIET", "1"));
    assert_said(&quiet, "words|a b||");
}

/// A program that waits for its threads, starts another one, and is started by one.
const WITH_C: &str = r#"
#include <pthread.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/wait.h>
#include <unistd.h>
extern char **environ;
static int ends[2];
static void *writes(void *arg) { return write(ends[1], "x", 1) == 1 ? arg : NULL; }
int main(int count, char **words) {
    struct epoll_event event = {EPOLLIN | EPOLLET, {.u64 = 7}}, out;
    char byte, path[256] = "";
    int ep = epoll_create1(0), status = -1;
    if (ep < 0 || pipe(ends) != 0 || epoll_ctl(ep, EPOLL_CTL_ADD, ends[0], &event) != 0)
        return 1;
    for (int i = 0; i < 20; i++) {
        pthread_t thread;
        void *result = NULL;
        if (pthread_create(&thread, NULL, writes, ends) != 0 || epoll_wait(ep, &out, 1, 5000) != 1 ||
            out.data.u64 != 7 || read(ends[0], &byte, 1) != 1 || pthread_join(thread, &result) != 0 || result != ends)
            return 2;
    }
    if (epoll_wait(ep, &out, 1, 0) != 0 || readlink("/proc/self/exe", path, sizeof path - 1) < 1)
        return 3;
    if (count > 1) {
        pid_t child;
        char *again[] = {"again", NULL};
        if (posix_spawn(&child, path, NULL, NULL, again, environ) != 0 || waitpid(child, &status, 0) != child)
            return 4;
    }
    printf("%s %d %s\n", words[0], status, strrchr(path, '/'));
    return 0;
}
"#;

/// By which gcc compiles and links for musl.
const MUSL: &str = "-specs=/usr/lib/x86_64-linux-musl/musl-gcc.specs";

#[test]
fn a_static_program_with_a_c_library_is_loaded_and_so_are_its_children() {
    let room = room("static-c");
    for flags in [
        &["-static", "-pthread"][..],
        &["-static-pie", "-fPIE", "-pthread"],
        &["-static", MUSL],
        &["-static", "-Os", MUSL],
    ] {
        let program = compile(&room, "program", WITH_C, flags);
        let check = run(launcher(["--check"]).arg(&program));
        assert_code(&check, 0);
        assert!(stdout(&check).contains("can be served: static: loaded by epolyfill, and "), "{check:?}");
        for poller in ["--poller=poll", "--poller=uring"] {
            let ran = run(launcher(["--no-kernel-epoll", poller, "--"]).arg(&program).arg("more"));
            assert_said(&ran, &format!("again -1 /program\n{} 0 /program\n", program.display()));
        }
        let off = run(launcher(["--"]).arg(&program).env("EPOLYFILL_RAW", "no"));
        assert_refused(&off, 125, "EPOLYFILL_RAW=no leaves its system calls alone");
    }
}

#[test]
fn a_static_program_with_a_c_library_that_another_one_starts_is_loaded_if_it_uses_epoll() {
    let room = room("static-c-started");
    let starter = starter(&room);
    let start = |program: &Path| run(launcher(["--no-kernel-epoll", "--"]).arg(&starter).arg("execve").arg(program));
    let source = r#"
        #include <stdio.h>
        #include <string.h>
        int main(void) {
            char line[4096];
            FILE *maps = fopen("/proc/self/maps", "r");
            while (maps != NULL && fgets(line, sizeof line, maps) != NULL)
                if (strstr(line, "/libepolyfill") != NULL)
                    return 1;
            puts("alone");
            return 0;
        }"#;
    for flags in [&["-static", "-pthread"][..], &["-static", MUSL]] {
        let program = compile(&room, "program", WITH_C, flags);
        assert_code(&start(&program), 0);
        let without = compile(&room, "without", source, flags);
        assert_said(&start(&without), "alone\n");
    }
}

#[test]
fn a_static_program_that_cannot_be_rewritten_is_refused_with_the_reason() {
    let room = room("static-refused");
    // There is a nop on both sides.
    let without_room = r#"
        int main(int count, char **words) {
            long result = count;
            (void)words;
            __asm__ volatile("nop\nsyscall\nnop" : "+a"(result) : : "rcx", "r11", "memory");
            return 0;
        }"#;
    // The text ends in a prefix, with which `mov $291,%eax; syscall` is one instruction.
    let behind_text = r#"
        __asm__(".text\n.ascii \"PATH\"\n"
                "create: mov $291,%eax\nsyscall\nret");
        long create(int flags);
        int main(void) { return create(0) < 0; }"#;
    for flags in [&["-static"][..], &["-static", MUSL]] {
        for source in [without_room, behind_text] {
            let program = compile(&room, "program", source, flags);
            assert_not_served(&program, 125, "makes system calls by instructions that cannot be rewritten");
        }
    }
    let without_library = r#"
        void _start(void) {
            __asm__ volatile("mov $60,%eax\nxor %edi,%edi\nsyscall");
        }"#;
    let program = compile(&room, "alone", without_library, &["-static", "-nostdlib", "-fno-stack-protector"]);
    assert_not_served(&program, 125, "its C library is neither musl nor a glibc that starts without a heap by brk");
}

#[test]
fn a_static_program_with_code_in_several_parts_or_writable_code_is_refused() {
    let room = room("static-parts");
    // A jump from one part behind a system call of the other one would lead into a site.
    let source = r#"
        __asm__(".section .far,\"" FLAGS "\",@progbits\n"
                "far: mov $39,%eax\nret\n.text");
        int main(void) { return 0; }"#;
    let place = "-Wl,--section-start=.far=0x1000000";
    for (flags, place) in [("-DFLAGS=\"ax\"", place), ("-DFLAGS=\"awx\"", "-Wl,--no-warn-rwx-segments")] {
        for library in [&[][..], &[MUSL]] {
            let program =
                compile(&room, "program", source, &[&["-static", "-no-pie", flags, place][..], library].concat());
            assert_not_served(&program, 125, "makes system calls by instructions that cannot be rewritten");
        }
    }
}

#[test]
fn a_static_program_has_an_executable_stack_if_it_wants_one() {
    let room = room("static-c-stack");
    let source = r#"
        #include <stdio.h>
        int main(void) {
            /* mov $42,%eax; ret */
            volatile unsigned char code[] = {0xb8, 42, 0, 0, 0, 0xc3};
            printf("%d\n", ((int (*)(void))code)());
            return 0;
        }"#;
    let program = compile(&room, "program", source, &["-static", "-Wl,-z,execstack"]);
    assert_said(&run(launcher(["--no-kernel-epoll", "--"]).arg(&program)), "42\n");
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

#[test]
fn threads_that_unmap_their_stacks_leave_nothing_behind() {
    let room = room("static-detached");
    let source = r#"
        #include <pthread.h>
        #include <stdatomic.h>
        #include <stdio.h>
        #include <string.h>
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
        static long status(const char *line) {
            char text[256];
            long value = -1;
            FILE *file = fopen("/proc/self/status", "r");
            while (fgets(text, sizeof text, file) != NULL && sscanf(text, line, &value) != 1) {}
            fclose(file);
            return value;
        }
        int main(void) {
            long before = 0;
            ep = epoll_create1(0);
            for (int i = 0; i < 600; i++) {
                pthread_t thread;
                if (pthread_create(&thread, NULL, waits, NULL) != 0 || pthread_detach(thread) != 0)
                    return 1;
                while (atomic_load(&ended) + 8 < i)
                    usleep(100);
                if (i == 100)
                    before = status("VmSize: %ld");
            }
            for (int i = 0; i < 5000 && status("Threads: %ld") > 1; i++)
                usleep(1000);
            printf("%ld %d\n", status("Threads: %ld"), status("VmSize: %ld") - before < 4096);
            return 0;
        }"#;
    let program = compile(&room, "program", source, &["-static", MUSL]);
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
fn static_shells_of_the_distribution_are_served() {
    let script = "x=$(echo a | cat); (exit 3); echo $x $?; sleep 0.01 & wait; for i in 1 2; do echo $i; done | sort -r";
    for words in [&["/bin/bash-static"][..], &["/bin/busybox", "sh"]] {
        let check = run(launcher(["--check"]).args(&words[..1]));
        assert_code(&check, 0);
        assert!(stdout(&check).contains("can be served: static: loaded by epolyfill, and "), "{check:?}");
        assert_said(&run(launcher(["--no-kernel-epoll", "--"]).args(words).args(["-c", script])), "a 3\n2\n1\n");
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
    // A thread of the loader's has a stack and a guard. libc keeps 160 of these for later.
    let source = r#"
        #include <pthread.h>
        #include <stdio.h>
        static pthread_barrier_t all;
        static void *waits(void *arg) {
            pthread_barrier_wait(&all);
            return arg;
        }
        static int mappings(void) {
            int lines = 0;
            FILE *file = fopen("/proc/self/maps", "r");
            for (int byte; (byte = getc(file)) != EOF;)
                lines += byte == '\n';
            fclose(file);
            return lines;
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
            printf("%d %d\n", most - before >= 800, mappings() - before < 400);
            return 0;
        }"#;
    let program = compile(&room, "program", source, &["-static", MUSL]);
    assert_said(&run(launcher(["--no-kernel-epoll", "--"]).arg(&program)), "1 1\n");
}

#[test]
fn a_static_program_in_rust_is_loaded() {
    let room = room("static-rust");
    let source = r#"
        use std::os::fd::AsRawFd;
        unsafe extern "C" {
            fn epoll_create1(flags: i32) -> i32;
            fn epoll_ctl(ep: i32, op: i32, fd: i32, event: *mut u8) -> i32;
            fn epoll_wait(ep: i32, events: *mut u8, count: i32, limit: i32) -> i32;
        }
        fn main() {
            let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
            let address = listener.local_addr().unwrap();
            let (mut event, mut out) = ([0u8; 12], [0u8; 12]);
            event[0] = 1;
            let ep = unsafe { epoll_create1(0) };
            assert_eq!(unsafe { epoll_ctl(ep, 1, listener.as_raw_fd(), event.as_mut_ptr()) }, 0);
            let client = std::thread::spawn(move || {
                for _ in 0..20 { std::net::TcpStream::connect(address).unwrap(); }
            });
            for _ in 0..20 {
                assert_eq!(unsafe { epoll_wait(ep, out.as_mut_ptr(), 1, 5000) }, 1);
                listener.accept().unwrap();
            }
            client.join().unwrap();
            assert!(std::panic::catch_unwind(|| panic!("unwinds")).is_err());
            assert!(std::process::Command::new("true").status().unwrap().success());
            println!("served");
        }"#;
    let (text, program) = (room.join("source.rs"), room.join("program"));
    fs::write(&text, source).unwrap();
    let rustc = || command(std::env::var_os("RUSTC").unwrap_or("rustc".into()));
    let has_musl = {
        let asked = rustc().args(["--print=target-libdir", "--target=x86_64-unknown-linux-musl"]).output().unwrap();
        Path::new(stdout(&asked).trim()).exists()
    };
    let targets: &[&str] = if has_musl { &["gnu", "musl"] } else { &["gnu"] };
    for target in targets {
        let target = format!("--target=x86_64-unknown-linux-{target}");
        let flags = ["--edition=2024", "-Ctarget-feature=+crt-static", &target, "-o"];
        let built = rustc().args(flags).args([&program, &text]).status();
        assert!(built.expect("rustc starts").success());
        let ran = run(launcher(["--no-kernel-epoll", "--"]).arg(&program));
        assert_code(&ran, 0);
        assert_eq!(stdout(&ran), "served\n", "{ran:?}");
    }
}
