//! Programs that contain a sanitizer's runtime, or run beside libfaketime: they start, are served,
//! and get the same results as on the kernel's epoll.

use super::support::*;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A thread receives through epoll the address of data that another thread has just written, as in
/// event loops. The program prints whether it is served. With an argument it starts that command.
const PROGRAM: &str = r#"
#define _GNU_SOURCE
#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>
static int ep;
static void *wait_for_it(void *nothing) {
    struct epoll_event event;
    if (epoll_wait(ep, &event, 1, 10000) != 1) exit(3);
    if (*(int *) event.data.ptr != 42) exit(4);
    return nothing;
}
/* Threads wait for the same by turns, and have instances of their own. */
static void *wait_in_vain(void *nothing) {
    struct epoll_event event;
    for (int turn = 0; turn < 20; turn++) {
        int own = epoll_create1(0);
        if (own < 0 || epoll_wait(ep, &event, 1, 1) || epoll_wait(own, &event, 1, 0) || close(own)) exit(6);
    }
    return nothing;
}
int main(int n, char **words) {
    int ends[2];
    pthread_t thread, others[3];
    (void) others, (void) wait_in_vain;
    if (pipe(ends) || (ep = epoll_create1(0)) < 0 || pthread_create(&thread, 0, wait_for_it, 0)) return 2;
    int *given = malloc(sizeof *given);
    *given = 42;
    struct epoll_event event = { .events = EPOLLIN, .data.ptr = given };
    if (epoll_ctl(ep, EPOLL_CTL_ADD, ends[0], &event) || write(ends[1], "x", 1) != 1) return 2;
    pthread_join(thread, 0);
    free(given);
    if (epoll_ctl(ep, EPOLL_CTL_DEL, ends[0], NULL)) return 2;
#ifndef FEW_THREADS
    for (int i = 0; i < 3; i++) if (pthread_create(&others[i], 0, wait_in_vain, 0)) return 2;
    for (int i = 0; i < 3; i++) pthread_join(others[i], 0);
#endif
#ifdef BROKEN
    char *small = malloc(8);
    if (read(ends[0], small + BROKEN, 1) != 1) return 2;
    free(small);
#endif
    if (n > 2 && !dlopen(words[2], RTLD_NOW)) { puts(dlerror()); return 5; }
    puts(dlsym(RTLD_DEFAULT, "epolyfill_version") ? "served" : "not served");
    fflush(stdout);
    return n > 1 && system(words[1]);
}
#ifdef OWN_OPTIONS
const char *__asan_default_options(void) { return "detect_leaks=1"; }
#endif
"#;

/// A directory, and the program in it; `None` if the compiler lacks the sanitizer.
fn sanitized(test: &str, compiler: &str, flags: &[&str]) -> Option<(PathBuf, PathBuf)> {
    let room = room(&format!("{test}-{compiler}{}", flags.concat().replace(['/', ' '], "_")));
    let mut all = vec!["-g", "-pthread"];
    all.extend(flags);
    let program = compile_with(compiler, &room, "program", PROGRAM, &all)?;
    // `None` also if the runtime itself does not run on this machine.
    command(&program).output().unwrap().status.success().then_some((room, program))
}

#[track_caller]
fn assert_served(words: &[&str], program: &Path, arguments: &[&str]) {
    let output = run(launcher(words).arg(program).args(arguments));
    assert_code(&output, 0);
    assert!(stdout(&output).starts_with("served\n"), "{output:?}");
    assert_eq!(stderr(&output), "", "{output:?}");
}

const SANITIZERS: [(&str, &[&str]); 7] = [
    ("gcc", &["-fsanitize=address"]),
    ("gcc", &["-fsanitize=address", "-DOWN_OPTIONS"]),
    ("gcc", &["-fsanitize=thread"]),
    ("gcc", &["-fsanitize=leak"]),
    ("gcc", &["-fsanitize=undefined"]),
    ("clang", &["-fsanitize=address"]),
    // Its runtime reports the library's copies under its locks (docs/differences.md).
    ("clang", &["-fsanitize=thread", "-DFEW_THREADS"]),
];

#[test]
fn a_program_with_a_sanitizer_is_served_and_so_is_what_it_starts() {
    for (compiler, flags) in SANITIZERS {
        let Some((room, program)) = sanitized("served", compiler, flags) else { continue };
        let plugin = compile(&room, "plugin.so", "int plugin;", &["-shared", "-fPIC"]);
        assert_code(&run(launcher(["--check"]).arg(&program)), 0);
        // A child that must not load the runtime: bash leaks, and dies under ThreadSanitizer.
        assert_served(&["--"], &program, &["bash -c 'exit 0'", plugin.to_str().unwrap()]);
        assert_served(&["--no-kernel-epoll"], &program, &[]);
        // The launcher sees only sh, and not the program that sh starts.
        if !flags.contains(&"-DOWN_OPTIONS") {
            assert_served(&["sh", "-c", "\"$0\"; exit $?"], &program, &[]);
        }
    }
}

#[test]
fn a_sanitizer_still_finds_what_is_wrong() {
    for flags in [["-fsanitize=address", "-DBROKEN=8"], ["-fsanitize=address", "-DBROKEN=-1"]] {
        let room = room(&format!("broken{}", flags[1]));
        let Some(program) = compile_with("gcc", &room, "program", PROGRAM, &[flags[0], flags[1], "-pthread", "-w"])
        else {
            continue;
        };
        let output = run(launcher(["--"]).arg(&program));
        assert!(!output.status.success() && stderr(&output).contains("heap-buffer-overflow"), "{output:?}");
    }
}

#[test]
fn a_preloaded_runtime_stays_in_front() {
    let Some((_, program)) = sanitized("front", "gcc", &["-fsanitize=address"]) else { return };
    let name = command("gcc").arg("-print-file-name=libasan.so").output().unwrap();
    let runtime = std::fs::canonicalize(stdout(&name).trim_end()).unwrap();
    let mut command = launcher(["sh", "-c", "printenv LD_PRELOAD; exec \"$0\""]);
    let output = run(command.arg(&program).env("LD_PRELOAD", &runtime).env("ASAN_OPTIONS", "detect_leaks=0"));
    assert_code(&output, 0);
    let expected = format!("{}:{}\nserved\n", runtime.display(), library().display());
    assert_eq!(stdout(&output), expected);
}

/// A program that prints how many seconds of its clock each call of one second takes.
const SECONDS: &str = r#"
#define _GNU_SOURCE
#include <poll.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/select.h>
#include <time.h>
#include <unistd.h>
static double now(void) { struct timespec t; clock_gettime(CLOCK_MONOTONIC, &t); return t.tv_sec + t.tv_nsec / 1e9; }
/* Of several times, those that are too long were measured while others had the processor. */
#define TIMED(seconds, call) do { \
    int taken = 0; \
    for (int attempt = 0; attempt < 10 && taken != seconds; attempt++) { \
        double before = now(); \
        if (call) return 1; \
        taken = now() - before + 0.5; \
    } \
    printf("%d ", taken); \
} while (0)
static int selected(int fd) {
    struct timeval second = { .tv_sec = 1 };
    fd_set set;
    FD_ZERO(&set);
    FD_SET(fd, &set);
    return select(fd + 1, &set, NULL, NULL, &second);
}
int main(void) {
    struct epoll_event event = { .events = EPOLLIN };
    int ends[2], ep = epoll_create1(0);
    if (pipe(ends) || epoll_ctl(ep, EPOLL_CTL_ADD, ends[0], &event)) return 2;
    struct pollfd polled = { .fd = ep, .events = POLLIN };
    struct timespec second = { .tv_sec = 1 };
    TIMED(1, epoll_wait(ep, &event, 1, 1000));
    TIMED(1, epoll_pwait(ep, &event, 1, 1000, NULL));
    TIMED(10, epoll_pwait2(ep, &event, 1, &second, NULL));
    TIMED(1, poll(&polled, 1, 1000));
    TIMED(1, selected(ep));
    return 0;
}
"#;

#[test]
fn time_outs_are_those_of_libfaketimes_clock() {
    let directories = ["/usr/lib/x86_64-linux-gnu", "/usr/lib/aarch64-linux-gnu", "/usr/lib64", "/usr/lib"];
    let files = directories.map(|directory| Path::new(directory).join("faketime/libfaketimeMT.so.1"));
    let Some(faketime) = files.iter().find(|file| file.exists()) else { return };
    let program = compile(&room("faketime"), "program", SECONDS, &[]);
    let taken = |command: &mut Command| {
        let output = run(command.env("LD_PRELOAD", faketime).env("FAKETIME", "+0 x10"));
        assert_code(&output, 0);
        stdout(&output)
    };
    let native = taken(&mut command(&program));
    // The program is linked with it.
    let directory = faketime.parent().unwrap().display().to_string();
    let flags = [format!("-L{directory}"), format!("-Wl,-rpath,{directory}")];
    let linked = [&flags[0], &flags[1], "-Wl,--no-as-needed", "-l:libfaketimeMT.so.1"];
    let linked = compile(&room("faketime-linked"), "program", SECONDS, &linked);
    let output = run(launcher(["--"]).arg(linked).env("FAKETIME", "+0 x10"));
    assert_eq!(stdout(&output), native, "{output:?}");
    // Other programs start it, with libfaketime behind the library or alone in LD_PRELOAD.
    let mut between = launcher(["--", "env"]);
    between.arg(format!("LD_PRELOAD={}:{}", library().display(), faketime.display())).arg("FAKETIME=+0 x10");
    let output = run(between.arg(&program));
    assert_eq!(stdout(&output), native, "{output:?}");
    let output = run(launcher(["--", "env"])
        .arg(format!("LD_PRELOAD={}", faketime.display()))
        .arg("FAKETIME=+0 x10")
        .arg(&program));
    assert_eq!(stdout(&output), native, "{output:?}");
    for poller in ["--poller=poll", "--poller=uring"] {
        assert_eq!(taken(launcher(["--no-kernel-epoll", poller, "--"]).arg(&program)), native, "with {poller}");
    }
}
