//! The command line of `--audit`, and traces of strace(1).

use crate::support::*;
use std::fs;

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
