//! The launcher's own output: the doctor, and completions.

use crate::support::*;
use std::fs;
use std::path::Path;

#[test]
fn the_doctor_has_a_line_for_each_thing() {
    let output = run(&mut launcher(["--doctor"]));
    assert_code(&output, 0);
    let said = stdout(&output);
    let subjects = ["kernel's epoll", "io_uring", "socket diagnosis", "/proc", "seccomp", "RLIMIT_NOFILE"];
    let subjects =
        subjects.into_iter().chain(["RLIMIT_MEMLOCK", "ptrace scope", "library", "static programs", "pollers"]);
    for (line, subject) in said.lines().zip(subjects.clone()) {
        assert!(line.starts_with(&format!("{subject}  ")), "{subject} is not in: {line}");
    }
    assert_eq!(said.lines().count(), subjects.count());
    assert!(said.contains(library().to_str().unwrap()), "{said}");
    assert!(!cfg!(target_arch = "x86_64") || said.contains("/epolyfill-loader loads them\n"), "{said}");

    let filtered = stdout(&run(&mut launcher(["--no-kernel-epoll", "--", LAUNCHER, "--doctor"])));
    assert!(filtered.contains("kernel's epoll    is not available (ENOSYS)"), "{filtered}");
    let lost = run(launcher(["--doctor"]).env("EPOLYFILL_LIBRARY", "/nonexistent"));
    assert_code(&lost, 125);
    assert!(stdout(&lost).contains("library           the library /nonexistent does not exist"), "{lost:?}");
}

#[test]
fn the_completions_are_those_that_are_installed() {
    for (shell, file) in [("bash", "epolyfill"), ("fish", "epolyfill.fish"), ("zsh", "_epolyfill")] {
        let output = run(&mut launcher([&format!("--completion={shell}")]));
        assert_code(&output, 0);
        let installed = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../packaging/completions").join(file);
        let hint = format!("epolyfill --completion={shell} >{}", installed.display());
        assert_eq!(stdout(&output), fs::read_to_string(&installed).unwrap_or_default(), "{hint}");
    }
}

#[test]
fn bash_completes_options_their_words_and_what_follows_the_program() {
    let script = stdout(&run(&mut launcher(["--completion=bash"])));
    let complete = |line: &[&str]| {
        let words: Vec<String> = line.iter().map(|word| format!("'{word}'")).collect();
        let ask = format!(
            "{script}\n_command_offset() {{ COMPREPLY=(offset $1); }}\ncompopt() {{ :; }}\n\
             COMP_WORDS=({}); COMP_CWORD={}; _epolyfill; echo \"${{COMPREPLY[*]}}\"",
            words.join(" "),
            line.len() - 1
        );
        stdout(&command("bash").args(["--norc", "-c", &ask]).output().unwrap()).trim_end().to_owned()
    };
    assert_eq!(complete(&["epolyfill", "--no-k"]), "--no-kernel-epoll");
    assert_eq!(complete(&["epolyfill", "--poller", "=", "ur"]), "uring");
    assert_eq!(complete(&["epolyfill", "--poller", "="]), "auto poll uring signal kernel");
    assert_eq!(complete(&["epolyfill", "--audit-format", "=", "s"]), "sarif");
    assert_eq!(complete(&["epolyfill", "--chaos", "=", "7", "--chaos-log", "/proc/filesyste"]), "/proc/filesystems");
    assert_eq!(complete(&["epolyfill", "-o", "/proc/filesyste"]), "/proc/filesystems");
    assert_eq!(
        complete(&["epolyfill", "--audit-exit", "=", "7", "--audit-strace", "/proc/filesyste"]),
        "/proc/filesystems"
    );
    assert_eq!(complete(&["epolyfill", "-o", "x", "nginx", "--he"]), "offset 3");
    assert_eq!(complete(&["epolyfill", "--wh"]), "--why=");
    let own = std::process::id().to_string();
    assert!(complete(&["epolyfill", "--why", "="]).split(' ').any(|pid| pid == own));
    assert_eq!(complete(&["epolyfill", "--counts", &own]), own);
    assert_eq!(complete(&["epolyfill", "--every", "="]), "");
    assert!(complete(&["epolyfill", "-c", "--poller", "=", "poll", "printen"]).starts_with("printenv"));
    assert_eq!(complete(&["epolyfill", "-c", "nginx", "--he"]), "offset 2");
    assert_eq!(complete(&["epolyfill", "--", "nginx", "--poller", ""]), "offset 2");
}
