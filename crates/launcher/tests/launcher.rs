//! The launcher, run as its user runs it. Nothing of the library crate is used here: it would put
//! libc's own names into this binary.

#[path = "launcher/sanitized.rs"]
mod sanitized;
#[path = "launcher/served.rs"]
mod served;
#[path = "launcher/support.rs"]
mod support;
#[path = "launcher/why.rs"]
mod why;

use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::symlink;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::Stdio;
use support::*;

// The program's environment

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
    assert_refused(
        &words(&["--poller=bogus", "true"]),
        125,
        "--poller does not accept bogus; use one of: auto, poll, uring, kernel",
    );
    assert_refused(&words(&[]), 125, "usage: epolyfill");
    assert_refused(&words(&["--check", "--"]), 125, "no program");
    assert_refused(&words(&["--demo", "true"]), 125, "--demo takes no program");
    assert_refused(&words(&["--doctor", "true"]), 125, "--doctor takes no program");
    assert_refused(&words(&["--demo", "-c"]), 125, "--summary has no effect with --demo");
    assert_refused(&words(&["--demo", "--counters"]), 125, "--counters has no effect with --demo");
    assert_refused(&words(&["--doctor", "--audit"]), 125, "--audit has no effect with --doctor");
    assert_refused(&words(&["--check", "--demo"]), 125, "--check and --demo are mutually exclusive");
    assert_refused(&words(&["--demo", "--check", "true"]), 125, "--demo and --check are mutually exclusive");
    assert_refused(&words(&["--completion=csh"]), 125, "use one of: bash, fish, zsh");
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
            "--counters",
            "-c, --summary",
            "-t, --trace",
            "--edges",
            "--timeline=FILE",
            "--report=FILE",
            "--poller=NAME",
            "--audit",
            "--audit-exit=N",
            "--chaos=SEED[,KIND[=RATE]...]|@LOG",
            "--chaos-hunt=N",
            "-o, --output=FILE",
            "--check",
            "--doctor",
            "--demo",
            "--why=PID",
            "--counts=PID",
            "--every=SECONDS",
            "--completion=SHELL",
            "EPOLYFILL_STRICT",
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
    assert_refused(&output, 125, "the library /nonexistent does not exist; set EPOLYFILL_LIBRARY");
    let output = run(command.env("EPOLYFILL_LIBRARY", "/etc/passwd"));
    assert_refused(&output, 125, "/etc/passwd is not a shared library");
    let output = run(command.env("EPOLYFILL_LIBRARY", "/etc"));
    assert_refused(&output, 125, "/etc is a directory");
}

#[test]
fn a_library_that_is_cut_short_or_not_the_right_one_is_refused_by_name() {
    let room = room("foreign");
    let refused = |library: &Path, words: &str| {
        let output = run(launcher(["true"]).env("EPOLYFILL_LIBRARY", library));
        assert_refused(&output, 125, &format!("{} {words}", library.display()));
    };
    let whole = fs::read(library()).unwrap();
    let cut = room.join("libepolyfill.so");
    // The mapped part comes before the sections for debuggers.
    fs::write(&cut, &whole[..100_000]).unwrap();
    refused(&cut, "is truncated");
    fs::write(&cut, &whole[..40]).unwrap();
    refused(&cut, "is damaged");

    let other = compile(&room, "other.so", "int nothing;", &["-shared", "-fPIC"]);
    refused(&other, "is not an epolyfill library");
    let side = compile(&room, "side.so", "int epolyfill_version;", &["-shared", "-fPIC"]);
    refused(&side, "is the side build");

    // Also beside the launcher, which then suggests another remedy.
    let launcher = room.join("epolyfill");
    fs::hard_link(LAUNCHER, &launcher).unwrap();
    let output = run(command(&launcher).arg("true"));
    assert_refused(&output, 125, "is damaged, or is not a shared library; reinstall epolyfill");
}

#[test]
fn without_proc_the_launcher_finds_itself() {
    // A mount namespace takes root.
    let words = format!("mount -t tmpfs none /proc && exec {LAUNCHER} -- sh -c 'exit 6'");
    let output = command("unshare").args(["-m", "sh", "-c", &words]).output().unwrap();
    if stderr(&output).contains("ermi") {
        return;
    }
    assert_code(&output, 6);
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
    let output = run(command(&launcher).arg("true").current_dir(&elsewhere));
    assert_refused(&output, 125, "libepolyfill.so is neither in");

    for directory in ["lib/epolyfill", "lib", "bin/deps", "bin"] {
        let directory = room.join(directory);
        fs::create_dir_all(&directory).unwrap();
        let place = directory.join("libepolyfill.so");
        symlink(&library, &place).unwrap();
        let output = run(command(&launcher).args(["printenv", "LD_PRELOAD"]));
        assert_eq!(stdout(&output).trim_end(), place.to_str().unwrap());
    }
}

#[test]
fn a_path_that_ld_preload_cannot_hold_is_given_a_link() {
    let existing = library();
    for odd in ["a:b", "a b", "a$ORIGIN b"] {
        let file = room(odd).join("libepolyfill.so");
        symlink(&existing, &file).unwrap();
        let mut command = launcher(["sh", "-c", "printenv LD_PRELOAD"]);
        let output = run(command.env("EPOLYFILL_LIBRARY", &file));
        assert_code(&output, 0);
        assert_eq!(stderr(&output), "");
        let link = stdout(&output);
        assert!(!link.contains([' ', '$']) && !link.contains(':'), "{link}");
        let link = Path::new(link.trim_end());
        assert_eq!(fs::read_link(link).unwrap(), file);
        // The next launch uses it again, and it is in LD_PRELOAD once.
        let mut command = launcher([LAUNCHER, "printenv", "LD_PRELOAD"]);
        let output = run(command.env("EPOLYFILL_LIBRARY", &file));
        assert_eq!(stdout(&output).trim_end(), link.to_str().unwrap());
        // A link with another target is replaced.
        fs::remove_file(link).unwrap();
        symlink("/nonexistent", link).unwrap();
        assert_eq!(stderr(&run(launcher(["true"]).env("EPOLYFILL_LIBRARY", &file))), "");
        fs::remove_dir_all(link.parent().unwrap()).unwrap();
    }
}

// Settings

const MAKES_AN_INSTANCE: &str = "#include <sys/epoll.h>\nint main(void) { return epoll_create1(0) < 0; }";

#[test]
fn wrong_settings_are_reported_once_with_their_values() {
    let room = room("settings");
    let program = compile(&room, "program", MAKES_AN_INSTANCE, &[]);
    let thrice = "\"$0\" && \"$0\" & \"$0\"; wait";
    let wrong = [("EPOLYFILL_POLLER", "bogus"), ("EPOLYFILL_STRICT", "perhaps"), ("EPOLYFILL_POLER", "poll")];
    let expected = [
        "EPOLYFILL_POLLER is 'bogus', which is not a poller",
        "EPOLYFILL_STRICT is 'perhaps', which is neither yes nor no",
        "EPOLYFILL_POLER is not a setting",
    ];
    let output = run(launcher(["sh", "-c", thrice]).arg(&program).envs(wrong));
    assert_code(&output, 0);
    assert_eq!(stderr(&output).lines().count(), 3, "{}", stderr(&output));
    for words in expected {
        assert!(stderr(&output).contains(words), "{words:?} is not in: {}", stderr(&output));
    }
    // A setting that an option overrides is not reported.
    let output = run(launcher(["--poller=poll", "true"]).env("EPOLYFILL_POLLER", "bogus"));
    assert_eq!(stderr(&output), "");

    // Without the launcher the report comes when an instance is made, and from one process of a
    // family.
    let forks = "#include <sys/epoll.h>\n#include <sys/wait.h>\n#include <unistd.h>\n\
        int main(int n, char **v) { if (n > 1) return 0; for (n = 0; n < 4; n++) if (!fork()) return epoll_create1(0) < 0;\n\
        while (wait(0) > 0); return 0; }";
    let program = compile(&room, "forks", forks, &[]);
    let mut command = command(&program);
    command.env("LD_PRELOAD", library()).envs(wrong);
    let output = run(&mut command);
    assert_eq!(stderr(&output).lines().count(), 3, "{}", stderr(&output));
    assert_eq!(stderr(&run(command.arg("none"))), "");
}

#[test]
fn switches_know_more_than_one_word() {
    let program = compile(&room("switches"), "program", MAKES_AN_INSTANCE, &[]);
    let counters = |value: &str| {
        let output = run(launcher(["--"]).arg(&program).env("EPOLYFILL_COUNTERS", value));
        !stderr(&output).is_empty()
    };
    assert!(["1", "yes", "True", "on"].into_iter().all(counters));
    assert!(!["0", "no", "FALSE", "off", ""].into_iter().any(counters));
}

// The launcher's output

#[test]
fn the_doctor_has_a_line_for_each_thing() {
    let output = run(&mut launcher(["--doctor"]));
    assert_code(&output, 0);
    let said = stdout(&output);
    let subjects = ["kernel's epoll", "io_uring", "socket diagnosis", "/proc", "seccomp", "RLIMIT_NOFILE"];
    let subjects = subjects.into_iter().chain(["RLIMIT_MEMLOCK", "ptrace scope", "library", "pollers"]);
    for (line, subject) in said.lines().zip(subjects.clone()) {
        assert!(line.starts_with(&format!("{subject}  ")), "{subject} is not in: {line}");
    }
    assert_eq!(said.lines().count(), subjects.count());
    assert!(said.contains(library().to_str().unwrap()), "{said}");

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
    assert_eq!(complete(&["epolyfill", "--poller", "="]), "auto poll uring kernel");
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

// Chaos

#[test]
fn chaos_that_makes_no_sense_is_refused() {
    let room = room("chaos");
    let words = |words: &[&str]| run(&mut launcher(words));
    let refused = |plan: &str, sentence: &str| assert_refused(&words(&["--chaos", plan, "true"]), 125, sentence);
    refused("x", "--chaos does not accept x: 'x' is not a seed, which is a number up to 18446744073709551615");
    refused("", "--chaos does not accept '': '' is not a seed");
    refused(
        "1,bogus",
        "--chaos does not accept 1,bogus: 'bogus' is not a kind of chaos; use all, or one of few, many,",
    );
    refused("1,few=2", "'2' is not a rate of few, which is above 0 and at most 1");
    refused("1,eintr=0.5", "the rate 0.5 of eintr is too high; at most 0.05");
    refused("@/nonexistent", "cannot read /nonexistent: no such file");
    let log = room.join("log");
    let taken = format!("@{}", log.display());
    fs::write(&log, "few 0 1 2 3 1\n").unwrap();
    refused(&taken, "log is cut short: the last line of a log of --chaos is 'end'");
    fs::write(&log, "few 0 1 2 3 1\nfew 0 1\nend\n").unwrap();
    refused(&taken, "line 2 of ");
    fs::write(&log, "end\n").unwrap();
    assert_refused(
        &words(&["--chaos-hunt", "5", "--chaos", &taken, "true"]),
        125,
        "--chaos-hunt draws its own decisions; give --chaos a seed",
    );
    for runs in ["0", "-1", "x", "", "1000001"] {
        assert_refused(&words(&[&format!("--chaos-hunt={runs}"), "true"]), 125, "use a number from 1 to 1000000");
    }
    assert_refused(&words(&["--chaos-hunt=5"]), 125, "no program given");
    assert_refused(
        &words(&["--chaos-hunt=5", "--audit", "true"]),
        125,
        "--chaos-hunt does not observe its runs otherwise",
    );
    assert_refused(&words(&["--chaos-log=x", "true"]), 125, "--chaos-log has no effect without --chaos");
    assert_refused(&words(&["--doctor", "--chaos=1"]), 125, "--chaos has no effect with --doctor");
    assert_refused(&words(&["--chaos-hunt=5", "--check", "true"]), 125, "mutually exclusive");
    let copy = room.join("libepolyfill.so");
    fs::copy(library(), &copy).unwrap();
    let output = run(launcher(["--chaos=1", "true"]).env("EPOLYFILL_LIBRARY", &copy));
    assert_refused(&output, 125, "--chaos needs libepolyfill-see.so, which is not in ");
}

// The audit

#[test]
fn the_audit_needs_the_library_with_the_observer() {
    let room = room("audit");
    let copy = room.join("libepolyfill.so");
    fs::copy(library(), &copy).unwrap();
    let output = run(launcher(["--audit", "true"]).env("EPOLYFILL_LIBRARY", &copy));
    assert_refused(&output, 125, "--audit needs libepolyfill-see.so, which is not in ");
}

#[test]
fn wishes_of_the_audit_that_cannot_be_met_are_refused() {
    let room = room("audit-wishes");
    let words = |words: &[&str]| run(&mut launcher(words));
    assert_refused(&words(&["--audit-format=xml", "true"]), 125, "use one of: text, json, sarif");
    for status in ["256", "-1", "x", ""] {
        assert_refused(&words(&[&format!("--audit-exit={status}"), "true"]), 125, "use a number from 0 to 255");
    }
    assert_refused(&words(&["-o", "x", "true"]), 125, "--output has no effect without --audit, -c or -t");
    for option in ["-T", "-yy", "--edges"] {
        assert_refused(&words(&[option, "true"]), 125, "-T, -y and --edges have no effect without -t; add it");
    }
    assert_refused(&words(&["--demo", "-tt"]), 125, "--trace has no effect with --demo");
    for option in ["--timeline", "--report"] {
        assert_refused(&words(&[option, "/nonexistent/x", "true"]), 125, "");
    }
    assert_refused(&words(&["-o", "", "--audit", "true"]), 125, "--output does not accept ''; name a file");
    assert_refused(&words(&["--poller=kernel", "--no-kernel-epoll", "true"]), 125, "mutually exclusive");
    assert_refused(&words(&["--demo", "--poller=kernel"]), 125, "--poller=kernel has no effect with --demo");
    assert_refused(&words(&["--audit-strace", "x", "true"]), 125, "--audit-strace takes no program; remove true");
    assert_refused(&words(&["--audit-strace", "/nonexistent"]), 125, "cannot read /nonexistent: no such file");
    assert_refused(&words(&["--audit-strace", "/etc/passwd"]), 125, "/etc/passwd has no line of strace(1)");
    let list = room.join("list");
    fs::write(&list, "spin:main\nspinn:main\n").unwrap();
    let trace = TRACES.to_owned() + "out-spin-bad.txt";
    let output = words(&["--audit-strace", &trace, "--audit-suppress", list.to_str().unwrap()]);
    assert_refused(&output, 125, "list:2: there is no rule spinn; epolyfill(1) lists the rules");
    let output = words(&["--audit-strace", &trace, "-o", "/nonexistent/x"]);
    assert_refused(&output, 125, "cannot write to /nonexistent/x: no such file");
}

const TRACES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../strace/tests/traces/");

#[test]
fn a_trace_is_judged_and_its_faults_set_the_exit_status() {
    let judge = |file: &str, more: &[&str]| {
        let trace = TRACES.to_owned() + file;
        run(launcher(["--audit-strace", &trace]).args(more))
    };
    let bad = judge("dup-ghost-bad.txt", &["--audit-exit=9"]);
    assert_code(&bad, 9);
    assert!(stdout(&bad).contains(" fault ghost-event: "), "{bad:?}");
    assert!(stdout(&bad).trim_end().lines().last().unwrap().starts_with("audit: 1 fault, "), "{bad:?}");
    assert_code(&judge("dup-ghost-bad.txt", &[]), 0);
    let good = judge("dup-ghost-good.txt", &["--audit-exit=9"]);
    assert_code(&good, 0);
    assert!(stdout(&good).starts_with("audit: 0 faults, "), "{good:?}");

    let room = room("audit-strace");
    let (list, report) = (room.join("list"), room.join("report"));
    fs::write(&list, "# known\nghost-event:*\nrefused-control:*\nherd:main\n").unwrap();
    let (list, report) = (list.to_str().unwrap(), report.to_str().unwrap());
    let more = ["--audit-exit=9", "--audit-format=json", "--audit-suppress", list, "-o", report];
    let muted = judge("dup-ghost-bad.txt", &more);
    assert_code(&muted, 0);
    assert_eq!(stdout(&muted), "");
    let lines = fs::read_to_string(report).unwrap();
    let objects: Vec<serde_json::Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let rules: Vec<&str> = objects.iter().map(|object| object["rule"].as_str().unwrap()).collect();
    assert_eq!(rules, ["unused-suppression", "summary"]);
    assert_eq!(objects[1]["suppressed"], 2);
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
    let kernel = command(&program).status().unwrap().code();
    let unfiltered = run(launcher(["--"]).arg(&program));
    assert_eq!(unfiltered.status.code(), kernel, "without the option nothing changes");

    let filtered = run(launcher(["--no-kernel-epoll"]).arg(&program));
    assert_code(&filtered, libc::ENOSYS);
    // Programs that the program starts are under the filter too.
    let mut command = launcher(["--no-kernel-epoll", "sh", "-c", "\"$0\"; exit $?"]);
    assert_code(&run(command.arg(&program)), libc::ENOSYS);
}

// The demo

#[test]
fn the_demo_checks_its_work_and_ends_with_a_table() {
    let output = run(&mut launcher(["--demo"]));
    assert_code(&output, 0);
    let said = stdout(&output);
    assert!(said.contains("the kernel refused epoll (ENOSYS)"), "{said}");
    let table: Vec<&str> = said.lines().skip(3).take(4).collect();
    let sources = ["epolyfill, poll", "epolyfill, uring", "kernel's epoll", "plain poll"];
    for (line, source) in table.iter().zip(sources) {
        assert!(line.starts_with(source), "{source} is not in: {line}");
        // Each has a rate, except uring where the kernel refuses rings.
        assert!(line.ends_with('█') || source.ends_with("uring") && line.ends_with("n/a"), "{line}");
    }
}

#[test]
fn the_demo_shows_the_poller_that_is_asked_for() {
    let said = stdout(&run(&mut launcher(["--demo", "--poller=auto"])));
    let table: Vec<&str> = said.lines().skip(3).take(3).collect();
    for (line, source) in table.iter().zip(["epolyfill, auto", "kernel's epoll", "plain poll"]) {
        assert!(line.starts_with(source) && line.ends_with('█'), "{source} is not in: {line}");
    }
}

#[test]
fn the_demo_says_in_one_line_what_failed() {
    let room = room("demo");
    // A library that has the right names and no epoll, under a filter that leaves none.
    let source = "#include <errno.h>\nint epolyfill_version; int epoll_create1(int f) { errno = ENOSYS; return -1; }";
    let library = compile(&room, "libepolyfill.so", source, &["-shared", "-fPIC"]);
    let output = run(launcher(["--demo"]).env("EPOLYFILL_LIBRARY", &library));
    assert_code(&output, 125);
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(complaint.starts_with("epolyfill: demo: on epolyfill, poll: "), "{complaint}");
    assert!(complaint.contains("Function not implemented"), "{complaint}");
    assert_eq!(complaint.lines().count(), 1, "{complaint}");
}
