//! Static programs with a C library, glibc or musl: which are loaded, and which are refused.

use super::static_programs::{assert_said, starter};
use super::support::*;
use std::fs;
use std::path::Path;

/// By which gcc compiles and links for musl.
pub const MUSL: &str = "-specs=/usr/lib/x86_64-linux-musl/musl-gcc.specs";

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
