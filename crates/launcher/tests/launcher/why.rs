//! `--why` and `--counts`: processes that were not prepared for it.

use crate::support::*;
use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// A program that ends with the test.
struct Running(Child);

impl Running {
    /// Starts a program, and waits for its first line.
    fn start(command: &mut Command) -> Running {
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
        assert_eq!(line, "ready\n");
        Running(child)
    }

    fn id(&self) -> String {
        self.0.id().to_string()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The loops of tests/why.
fn hanging(room: &Path) -> PathBuf {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/why/loop.c");
    let text = fs::read_to_string(source).unwrap().replace("\"hangs\\n\"", "\"ready\\n\"");
    compile(room, "loop", &text, &["-D_GNU_SOURCE"])
}

/// The explanation, as soon as it contains the words.
#[track_caller]
fn explained(pid: &str, words: &str) -> String {
    let mut text = String::new();
    for _ in 0..200 {
        let output = run(&mut launcher(["--why", pid]));
        assert_code(&output, 0);
        text = stdout(&output);
        if text.contains(words) {
            return text;
        }
    }
    panic!("{words:?} is not in: {text}");
}

/// The value of a counter, 0 if it is not in the table.
fn counter(pid: &str, name: &str) -> u64 {
    let output = run(&mut launcher(["--counts", pid]));
    assert_code(&output, 0);
    let text = stdout(&output);
    let line = text.lines().find_map(|line| line.strip_prefix(name).filter(|rest| rest.starts_with("  ")));
    line.map_or(0, |rest| rest.trim().parse().unwrap())
}

#[test]
fn a_slept_edge_is_explained_in_one_command() {
    let room = room("why_edge");
    let program = hanging(&room);
    for poller in ["poll", "uring"] {
        let running = Running::start(launcher(["--poller", poller]).arg(&program).arg("edge"));
        let text = explained(&running.id(), "36 bytes unread");
        assert!(text.contains("edge-triggered: reported readable, 36 bytes unread"), "{text}");
        assert!(text.contains("without limit"), "{text}");
    }
}

#[test]
fn a_loop_that_spins_is_explained_by_what_is_always_ready() {
    let room = room("why_spin");
    let source = r#"
        #include <sys/epoll.h>
        #include <sys/socket.h>
        #include <unistd.h>
        int main(void) {
            int ends[2], loop = epoll_create1(0);
            struct epoll_event event = { .events = EPOLLIN | EPOLLOUT };
            socketpair(AF_UNIX, SOCK_STREAM, 0, ends);
            epoll_ctl(loop, EPOLL_CTL_ADD, ends[0], &event);
            write(1, "ready\n", 6);
            for (;;) epoll_wait(loop, &event, 1, -1);
        }"#;
    let program = compile(&room, "spin", source, &["-w"]);
    let running = Running::start(launcher(["--poller=poll"]).arg(&program));
    let text = explained(&running.id(), "hardly sleeps");
    assert!(text.contains("ready before and after: descriptor 4 (unix stream) OUT\n"), "{text}");
}

#[test]
fn a_loop_that_reads_all_is_not_accused() {
    let room = room("why_works");
    let source = r#"
        #include <sys/epoll.h>
        #include <sys/prctl.h>
        #include <sys/socket.h>
        #include <signal.h>
        #include <unistd.h>
        int main(void) {
            int ends[2], loop = epoll_create1(0);
            struct epoll_event event = { .events = EPOLLIN | EPOLLET };
            char bytes[64] = "";
            socketpair(AF_UNIX, SOCK_STREAM, 0, ends);
            epoll_ctl(loop, EPOLL_CTL_ADD, ends[0], &event);
            if (fork() == 0) {
                prctl(PR_SET_PDEATHSIG, SIGKILL);
                for (;;) {
                    write(ends[1], bytes, sizeof bytes);
                    usleep(100);
                }
            }
            write(1, "ready\n", 6);
            for (;;) {
                epoll_wait(loop, &event, 1, -1);
                while (recv(ends[0], bytes, 7, MSG_DONTWAIT) > 0)
                    ;
            }
        }"#;
    let program = compile(&room, "works", source, &["-w"]);
    for poller in ["poll", "uring"] {
        let running = Running::start(launcher(["--poller", poller]).arg(&program));
        for _ in 0..10 {
            let text = explained(&running.id(), "instance ");
            assert!(!text.contains("why: descriptor"), "{text}");
        }
    }
}

#[test]
fn a_library_that_was_stripped_and_deleted_is_found_in_memory() {
    let room = room("why_deleted");
    let program = hanging(&room);
    let stripped = room.join("other-name.so");
    let status = command("strip").arg("--strip-all").arg("-o").arg(&stripped).arg(library()).status().unwrap();
    assert!(status.success());
    let mut start = command(&program);
    let running = Running::start(start.env("LD_PRELOAD", &stripped).arg("idle"));
    fs::remove_file(&stripped).unwrap();
    let text = explained(&running.id(), "other-name.so (deleted)");
    assert!(text.contains("instance "), "{text}");
}

#[test]
fn a_look_changes_nothing() {
    let room = room("why_untouched");
    let program = hanging(&room);
    for (fault, words) in [("edge", "36 bytes unread"), ("full", "waits for room")] {
        let running = Running::start(launcher(["--poller=poll"]).arg(&program).arg(fault));
        let pid = running.id();
        explained(&pid, words);
        let counts = || ["waits", "events", "controls"].map(|name| counter(&pid, name));
        let before = counts();
        for _ in 0..10 {
            explained(&pid, words);
        }
        assert_eq!(counts(), before, "{fault}");
        assert!(before[2] > 0);
    }
}

#[test]
fn a_busy_process_can_be_read_at_any_time() {
    let room = room("why_busy");
    let source = r#"
        #include <sys/epoll.h>
        #include <unistd.h>
        int main(void) {
            int ends[2], loop = epoll_create1(0);
            struct epoll_event event = { .events = EPOLLIN }, got;
            pipe(ends);
            write(1, "ready\n", 6);
            for (;;) {
                int copy = dup(ends[0]);
                epoll_ctl(loop, EPOLL_CTL_ADD, ends[0], &event);
                epoll_ctl(loop, EPOLL_CTL_ADD, copy, &event);
                write(ends[1], "x", 1);
                epoll_wait(loop, &got, 1, -1);
                epoll_ctl(loop, EPOLL_CTL_DEL, ends[0], 0);
                read(ends[0], &got, 1);
                epoll_ctl(loop, EPOLL_CTL_DEL, copy, 0);
                close(copy);
            }
        }"#;
    let program = compile(&room, "busy", source, &["-w"]);
    let mut running = Running::start(launcher(["--poller=poll"]).arg(&program));
    let pid = running.id();
    let first = counter(&pid, "waits");
    for _ in 0..20 {
        explained(&pid, "instance ");
    }
    assert!(counter(&pid, "waits") > first);
    assert!(running.0.try_wait().unwrap().is_none(), "it still runs");
}

#[test]
fn counts_are_repeated_until_the_process_ends() {
    let room = room("counts_every");
    let mut running = Running::start(launcher(["--"]).arg(hanging(&room)).arg("edge"));
    let pid = running.id();
    let repeated = launcher(["--counts", &pid, "--every=1"]).stdout(Stdio::piped()).spawn().unwrap();
    let mut repeated = Running(repeated);
    let mut lines = BufReader::new(repeated.0.stdout.take().unwrap()).lines().map(Result::unwrap);
    let rates = lines.find(|line| line.contains("per second")).unwrap();
    assert!(rates.trim_start().starts_with("total"), "{rates}");
    running.0.kill().unwrap();
    running.0.wait().unwrap();
    assert_eq!(lines.last(), Some(format!("there is no process {pid}")));
    assert_eq!(repeated.0.wait().unwrap().code(), Some(0));
}

#[test]
fn a_process_that_cannot_be_explained_is_refused_in_one_sentence() {
    let refused = |pid: &str, words: &str| {
        for option in ["--why", "--counts"] {
            assert_refused(&run(&mut launcher([option, pid])), 125, words);
        }
    };
    for nonsense in ["x", "0", "-1", "99999999999"] {
        refused(nonsense, &format!("does not accept {nonsense}; use the id of a process"));
    }
    let mut sleeper = command("sleep").arg("60").spawn().unwrap();
    let pid = sleeper.id().to_string();
    // The kernel renames the process a moment after exec has left its parent's memory.
    refused(&pid, ") does not have the epolyfill library");
    sleeper.kill().unwrap();
    // SAFETY: the structure is as long as the kernel's; the child is left to be collected.
    let ended = unsafe {
        let mut info = std::mem::zeroed();
        libc::waitid(libc::P_PID, sleeper.id(), &raw mut info, libc::WEXITED | libc::WNOWAIT)
    };
    assert_eq!(ended, 0);
    refused(&pid, &format!("process {pid} has ended"));
    sleeper.wait().unwrap();
    refused(&pid, &format!("there is no process {pid}"));
}

#[test]
fn the_rights_that_are_missing_are_named() {
    const NOBODY: u32 = 65534;
    // SAFETY: no arguments.
    if unsafe { libc::getuid() } != 0 {
        return;
    }
    let room = room("why_rights");
    let running = Running::start(launcher(["--"]).arg(hanging(&room)).arg("idle"));
    // The other user may not have a way to the target directory.
    let launcher = std::env::temp_dir().join(format!("epolyfill-why-{}", std::process::id()));
    assert!(command("cp").arg(LAUNCHER).arg(&launcher).status().unwrap().success());
    make_mode(&launcher, 0o755);
    let output = run(command(&launcher).args(["--why", &running.id()]).uid(NOBODY).gid(NOBODY));
    fs::remove_file(&launcher).unwrap();
    assert_refused(&output, 125, "may not be read: that takes the rights of a debugger (its user, or CAP_SYS_PTRACE)");
}

#[test]
fn a_command_line_asks_for_one_thing() {
    for (words, complaint) in [
        (&["--why", "1", "true"][..], "--why takes no program; remove true"),
        (&["--every", "1", "true"], "--every has no effect without --counts; remove it"),
        (&["--why", "1", "--every", "1"], "--every has no effect with --why; remove it"),
        (&["--counts", "1", "--every", "0.5"], "--every does not accept 0.5; use a whole number of seconds"),
        (&["--counts", "1", "--why", "1"], "--counts and --why are mutually exclusive; use one of them"),
        (&["--why"], "option --why needs an argument"),
    ] {
        assert_refused(&run(&mut launcher(words)), 125, complaint);
    }
}
