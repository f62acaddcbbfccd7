//! The program's view: its exit status, its name, its signals, its descriptors, its environment.

use crate::support::*;
use std::ffi::OsStr;
use std::os::unix::fs::symlink;
use std::os::unix::process::ExitStatusExt;
use std::process::Stdio;

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
    let plain = command("sh").args(["-c", states]).output().unwrap();
    let ours = run(&mut launcher(["sh", "-c", states]));
    assert_eq!(stdout(&ours), stdout(&plain));

    let ignoring = |words: &str| {
        let inner = format!("trap '' PIPE USR1; {words} sh -c \"{states}\"");
        let output = command("sh").args(["-c", &inner]).output().unwrap();
        stdout(&output)
    };
    assert_eq!(ignoring(LAUNCHER), ignoring(""));
}

#[test]
fn a_closed_descriptor_stays_closed() {
    let words = format!("{LAUNCHER} sh -c 'test -e /proc/$$/fd/0' <&-");
    let output = command("sh").args(["-c", &words]).output().unwrap();
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
    assert_eq!(set(&["--counters"]), "1 no\n");
    assert_eq!(set(&["--counters", "--poller=poll"]), "1 poll\n");
    assert_eq!(set(&["--poller", "auto"]), "no auto\n");
}
