//! The launcher, run as its user runs it. Nothing of the library crate is used here: it would put libc's own names into this binary.

#[path = "launcher/served.rs"]
mod served;
#[path = "launcher/support.rs"]
mod support;

use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::symlink;
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, Stdio};
use support::*;

// What the program is given

#[test]
fn the_exit_status_is_the_programs_own() {
    assert_code(&run(&mut launcher(["true"])), 0);
    assert_code(&run(&mut launcher(["sh", "-c", "exit 42"])), 42);
}

#[test]
fn a_signal_that_kills_the_program_is_seen_as_such() {
    let output = run(&mut launcher(["sh", "-c", "kill -TERM $$"]));
    assert_eq!(output.status.signal(), Some(libc::SIGTERM));
}

#[test]
fn the_process_id_is_the_programs_own() {
    let mut command = launcher(["sh", "-c", "echo $$"]);
    let child = command.stdout(Stdio::piped()).spawn().unwrap();
    let id = child.id().to_string();
    assert_eq!(stdout(&child.wait_with_output().unwrap()).trim_end(), id);
}

#[test]
fn the_program_keeps_the_name_it_was_called_by() {
    let room = room("name");
    let source = "#include <stdio.h>\nint main(int n, char **v) { puts(v[0]); return n - 1; }";
    compile(&room, "prog", source, &[]);
    let output = run(launcher(["prog", "a"]).env("PATH", &room));
    assert_eq!(stdout(&output), "prog\n");
    assert_code(&output, 1);
}

#[test]
fn sigpipe_and_the_signal_mask_are_passed_on_as_they_were() {
    let states = "grep -E 'SigBlk|SigIgn' /proc/self/status";
    let plain = Command::new("sh").args(["-c", states]).output().unwrap();
    let ours = run(&mut launcher(["sh", "-c", states]));
    assert_eq!(stdout(&ours), stdout(&plain));

    let ignoring = |words: &str| {
        let inner = format!("trap '' PIPE USR1; {words} sh -c \"{states}\"");
        let output = Command::new("sh").args(["-c", &inner]).output().unwrap();
        stdout(&output)
    };
    assert_eq!(ignoring(LAUNCHER), ignoring(""));
}

#[test]
fn a_closed_descriptor_stays_closed() {
    let words = format!("{LAUNCHER} sh -c 'test -e /proc/$$/fd/0' <&-");
    let output = Command::new("sh").args(["-c", &words]).output().unwrap();
    assert_code(&output, 1);
}

#[test]
fn the_library_is_first_in_ld_preload_and_what_was_there_is_kept() {
    let room = room("preload");
    let other = compile(&room, "other.so", "int other;", &["-shared", "-fPIC"]);
    let third = compile(&room, "third.so", "int third;", &["-shared", "-fPIC"]);
    let library = library();
    assert_eq!(library.file_name(), Some(OsStr::new("libepolyfill.so")));

    let existing = format!("{} {}", other.display(), third.display());
    let output = run(launcher(["printenv", "LD_PRELOAD"]).env("LD_PRELOAD", existing));
    let expected = [library, other, third].map(|path| path.display().to_string());
    assert_eq!(stdout(&output).trim_end(), expected.join(":"));
}

#[test]
fn the_library_is_in_ld_preload_only_once() {
    let library = library();
    let output = run(&mut launcher([LAUNCHER, "printenv", "LD_PRELOAD"]));
    assert_eq!(stdout(&output).trim_end(), library.to_str().unwrap());

    // A library of another name, given outright.
    let link = room("once").join("renamed.so");
    symlink(&library, &link).unwrap();
    let mut command = launcher([LAUNCHER, "printenv", "LD_PRELOAD"]);
    let output = run(command.env("EPOLYFILL_LIBRARY", &link));
    assert_eq!(stdout(&output).trim_end(), link.to_str().unwrap());
}

#[test]
fn the_librarys_settings_are_set_only_when_asked_for() {
    let set = |options: &[&str]| {
        let mut words = options.to_vec();
        words.extend(["sh", "-c", "echo ${EPOLYFILL_COUNTERS-no} ${EPOLYFILL_POLLER-no}"]);
        stdout(&run(&mut launcher(words)))
    };
    assert_eq!(set(&[]), "no no\n");
    assert_eq!(set(&["-c"]), "1 no\n");
    assert_eq!(set(&["--counters", "--poller=poll"]), "1 poll\n");
    assert_eq!(set(&["--poller", "auto"]), "no auto\n");
}

// The command line

#[test]
fn options_end_at_the_first_word_that_is_none() {
    let output = run(&mut launcher(["sh", "-c", "echo $1 $2 $3", "--check", "--help", "-c", "--"]));
    assert_eq!(stdout(&output), "--help -c --\n");
}

#[test]
fn two_dashes_end_the_options() {
    assert_code(&run(&mut launcher(["--", "sh", "-c", "exit 4"])), 4);
    let output = run(&mut launcher(["--", "printf", "%s", "--"]));
    assert_eq!(stdout(&output), "--");

    let room = room("dashes");
    compile(&room, "-V", "int main(void) { return 5; }", &[]);
    assert_code(&run(launcher(["--", "-V"]).env("PATH", &room)), 5);
}

#[test]
fn a_wrong_command_line_is_refused_in_one_line() {
    let words = |words: &[&str]| run(&mut launcher(words));
    assert_refused(&words(&["--bogus", "true"]), 125, "unknown option --bogus");
    assert_refused(&words(&["-cx", "true"]), 125, "unknown option -x");
    assert_refused(&words(&["--counters=1", "true"]), 125, "--counters takes no argument");
    assert_refused(&words(&["--poller"]), 125, "--poller needs an argument");
    assert_refused(&words(&["--poller=bogus", "true"]), 125, "known are: auto, poll");
    assert_refused(&words(&[]), 125, "usage: epolyfill");
    assert_refused(&words(&["--check", "--"]), 125, "no program");
    assert_refused(&words(&["--demo", "true"]), 125, "--demo");
}

#[test]
fn help_and_version_go_to_stdout() {
    for option in ["-h", "--help"] {
        let output = run(&mut launcher([option]));
        assert_code(&output, 0);
        let help = stdout(&output);
        for word in [
            "usage: ",
            "--no-kernel-epoll",
            "-c, --counters",
            "--poller=NAME",
            "--check",
            "--demo",
            "-h, --help",
            "-V, --version",
        ] {
            assert!(help.contains(word), "{word} is not in: {help}");
        }
    }
    for option in ["-V", "--version"] {
        let output = run(&mut launcher([option]));
        assert_code(&output, 0);
        assert_eq!(stdout(&output), concat!("epolyfill ", env!("CARGO_PKG_VERSION"), "\n"));
    }
}

// The library

#[test]
fn a_library_that_is_not_there_is_an_error() {
    let mut command = launcher(["true"]);
    let output = run(command.env("EPOLYFILL_LIBRARY", "/nonexistent"));
    assert_refused(&output, 125, "EPOLYFILL_LIBRARY names /nonexistent");
    let output = run(command.env("EPOLYFILL_LIBRARY", "/etc/passwd"));
    assert_refused(&output, 125, "/etc/passwd is no shared library");
}

#[test]
fn the_library_is_looked_for_around_the_launcher_and_never_in_the_working_directory() {
    let library = library();
    let room = room("search");
    let bin = room.join("bin");
    fs::create_dir_all(&bin).unwrap();
    let launcher = bin.join("epolyfill");
    fs::hard_link(LAUNCHER, &launcher).unwrap();

    let elsewhere = room.join("elsewhere");
    fs::create_dir_all(&elsewhere).unwrap();
    symlink(&library, elsewhere.join("libepolyfill.so")).unwrap();
    let output = run(launcher_at(&launcher).arg("true").current_dir(&elsewhere));
    assert_refused(&output, 125, "libepolyfill.so is neither in");

    for directory in ["lib/epolyfill", "lib", "bin/deps", "bin"] {
        let directory = room.join(directory);
        fs::create_dir_all(&directory).unwrap();
        let place = directory.join("libepolyfill.so");
        symlink(&library, &place).unwrap();
        let output = run(launcher_at(&launcher).args(["printenv", "LD_PRELOAD"]));
        assert_eq!(stdout(&output).trim_end(), place.to_str().unwrap());
    }
}

#[test]
fn a_path_that_ld_preload_cannot_hold_is_refused_and_a_link_helps() {
    for (name, bad) in [("a:b", "colon"), ("a b", "space")] {
        let room = room(name);
        let (file, link) = (room.join("libepolyfill.so"), room.parent().unwrap().join(bad));
        symlink(library(), &file).unwrap();
        let output = run(launcher(["true"]).env("EPOLYFILL_LIBRARY", &file));
        assert_refused(&output, 125, &format!("there is a {bad} in it"));

        let _ = fs::remove_file(&link);
        symlink(&file, &link).unwrap();
        assert_code(&run(launcher(["true"]).env("EPOLYFILL_LIBRARY", &link)), 0);
    }
}

// The filter

const RAW_EPOLL_CREATE1: &str = r#"
#if defined __x86_64__
static long raw(long call, long a) {
    long result;
    __asm__ volatile("syscall" : "=a"(result) : "a"(call), "D"(a) : "rcx", "r11", "memory");
    return result;
}
enum { CREATE1 = 291 };
#elif defined __aarch64__
static long raw(long call, long a) {
    register long x8 __asm__("x8") = call, x0 __asm__("x0") = a;
    __asm__ volatile("svc 0" : "+r"(x0) : "r"(x8) : "memory");
    return x0;
}
enum { CREATE1 = 20 };
#endif
int main(void) { long fd = raw(CREATE1, 0); return fd < 0 ? (int) -fd : 0; }
"#;

#[test]
fn no_kernel_epoll_makes_the_kernels_own_call_fail_with_enosys() {
    let room = room("filter");
    let program = compile(&room, "raw", RAW_EPOLL_CREATE1, &[]);
    let kernel = Command::new(&program).status().unwrap().code();
    let unfiltered = run(launcher(["--"]).arg(&program));
    assert_eq!(unfiltered.status.code(), kernel, "without the option nothing changes");

    let filtered = run(launcher(["--no-kernel-epoll"]).arg(&program));
    assert_code(&filtered, libc::ENOSYS);
    // What the program starts is under the filter too.
    let mut command = launcher(["--no-kernel-epoll", "sh", "-c", "\"$0\"; exit $?"]);
    assert_code(&run(command.arg(&program)), libc::ENOSYS);
}

// The demo

#[test]
fn the_demo_checks_its_work_and_ends_with_a_table() {
    let output = run(&mut launcher(["--demo"]));
    assert_code(&output, 0);
    let said = stdout(&output);
    assert!(said.contains("the kernel refuses epoll (ENOSYS)"), "{said}");
    let table: Vec<&str> = said.trim_end().lines().rev().skip(2).take(7).collect();
    assert!(table[6].starts_with("workload"), "{said}");
    for (line, source) in table.iter().zip(["plain poll", "kernel epoll", "epolyfill"].iter().cycle()).take(6) {
        assert!(line.contains(source), "{source} is not in: {line}");
    }
}

#[test]
fn the_demo_says_in_one_line_what_failed() {
    let room = room("demo");
    // A library that is no epoll at all, under a filter that leaves none.
    let library = compile(&room, "libepolyfill.so", "int nothing;", &["-shared", "-fPIC"]);
    let output = run(launcher(["--demo"]).env("EPOLYFILL_LIBRARY", &library));
    assert_code(&output, 125);
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(complaint.starts_with("epolyfill: demo: tokens"), "{complaint}");
    assert!(complaint.contains("Function not implemented"), "{complaint}");
    assert_eq!(complaint.lines().count(), 1, "{complaint}");
}
