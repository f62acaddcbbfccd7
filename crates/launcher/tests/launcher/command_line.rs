//! The command line: where options end, what is refused, help and version.

use crate::support::*;

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
        "--poller does not accept bogus; use one of: auto, poll, uring, signal, kernel",
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
