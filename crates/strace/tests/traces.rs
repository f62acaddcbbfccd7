//! Traces that strace(1) recorded of faulty programs, of their correct twins, and of innocent ones
//! that a careless rule accuses; and what becomes of such a text on its way into a bug report.

use epolyfill_audit::{Grade, Rule};
use epolyfill_strace::{Judged, judge};
use std::path::PathBuf;
use std::time::{Duration, Instant};

fn trace(name: &str) -> Vec<u8> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/traces").join(format!("{name}.txt"));
    std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The rules that found more than a note.
fn accused(judged: &Judged) -> Vec<(Rule, Grade)> {
    let findings = judged.processes.iter().flat_map(|process| &process.findings);
    findings.filter(|finding| finding.grade > Grade::Note).map(|finding| (finding.rule, finding.grade)).collect()
}

fn waits(judged: &Judged) -> u64 {
    judged.processes.iter().map(|process| process.summary.waits).sum()
}

const CORRECT: [&str; 14] = [
    "blocking-edge-good",
    "dup-ghost-good",
    "herd-good",
    "number-reused-good",
    "oneshot-lost-good",
    "out-spin-good",
    "slept-edge-good",
    "slow-handler-good",
    "starve-good",
    "timeout-truncated-good",
    "paused-edge",
    "proxy-edge",
    "wake-edge",
    "go-echo",
];

const FAULTY: [&str; 10] = [
    "blocking-edge-bad",
    "dup-ghost-bad",
    "herd-bad",
    "number-reused-bad",
    "oneshot-lost-bad",
    "out-spin-bad",
    "slept-edge-bad",
    "slow-handler-bad",
    "starve-bad",
    "timeout-truncated-bad",
];

#[test]
fn correct_programs_get_nothing_above_a_note() {
    for name in CORRECT {
        let judged = judge(&trace(name));
        assert_eq!(accused(&judged), [], "{name}");
        assert_eq!(judged.foreign, 0, "{name}");
        assert!(judged.lines > 10 && judged.has_times && waits(&judged) > 0, "{name}");
    }
}

/// What a trace shows of the faulty programs. `static` is one that the library cannot reach, and
/// `terminal` one with neither -T nor -yy.
#[test]
fn faulty_programs_get_the_rule_that_they_break() {
    for (name, rule, grade) in [
        ("slept-edge-bad", Rule::SleptEdge, Grade::Fault),
        ("dup-ghost-bad", Rule::GhostEvent, Grade::Fault),
        // Its lines are those of 24 ms.
        ("out-spin-bad", Rule::Spin, Grade::Suspect),
        ("timeout-truncated-bad", Rule::TimeoutTruncated, Grade::Fault),
        ("number-reused-bad", Rule::WrongNumber, Grade::Suspect),
        // Threads that the trace does not show could be at work on the event.
        ("oneshot-lost-bad", Rule::OneshotAsleep, Grade::Suspect),
        ("static", Rule::SleptEdge, Grade::Fault),
        ("terminal", Rule::SleptEdge, Grade::Fault),
    ] {
        let judged = judge(&trace(name));
        assert!(accused(&judged).contains(&(rule, grade)), "{name}: {:?}", accused(&judged));
    }
}

/// Bytes that nobody in the trace can count are not said to be unread: the peer is not in it.
#[test]
fn without_the_peer_nothing_is_said_of_unread_bytes() {
    for name in ["slept-edge-bad", "static"] {
        let text = String::from_utf8(trace(name)).unwrap();
        let first = text.split(' ').next().unwrap().to_owned() + " ";
        let alone: String =
            text.lines().filter_map(|line| line.strip_prefix(&first)).map(|line| format!("{line}\n")).collect();
        let judged = judge(alone.as_bytes());
        assert_eq!((accused(&judged), judged.processes.len()), (vec![], 1), "{name}");
        assert!(waits(&judged) > 5, "{name}");
    }
}

#[test]
fn threads_and_forked_children_are_told_apart_without_their_births() {
    for (name, processes) in
        [("herd-good", 1), ("herd-bad", 1), ("go-echo", 1), ("slept-edge-good", 2), ("starve-good", 3), ("terminal", 2)]
    {
        assert_eq!(judge(&trace(name)).processes.len(), processes, "{name}");
    }
    // Idle threads of a runtime do nothing that shows of which process they are.
    assert_eq!(judge(&trace("herd-good")).unknown_threads, 0);
    assert_eq!(judge(&trace("go-echo")).unknown_threads, 2);
}

/// A trace with each line changed.
fn changed(text: &[u8], change: impl Fn(&str) -> String) -> Vec<u8> {
    String::from_utf8_lossy(text).lines().map(|line| change(line) + "\n").collect::<String>().into_bytes()
}

/// What a program does is the same with less of the options: no column of threads (of a program with
/// one), no times, no durations, no descriptions.
#[test]
fn less_of_the_options_loses_findings_and_makes_none() {
    for name in CORRECT {
        let text = trace(name);
        let whole = waits(&judge(&text));
        let after_pid = |line: &str| line.split_once(' ').map_or(0, |(pid, _)| pid.len() + 1);
        let variants = [
            // -T
            changed(&text, |line| line.rsplit_once(" <0.").map_or(line, |(rest, _)| rest).to_owned()),
            // -ttt
            changed(&text, |line| {
                let (pid, rest) = line.split_at(after_pid(line));
                format!("{pid}{}", &rest[after_pid(rest)..])
            }),
            // On a terminal.
            changed(&text, |line| format!("[pid {}] {}", &line[..after_pid(line) - 1], &line[after_pid(line)..])),
            // Quoted.
            changed(&text, |line| format!("> {line}\r")),
        ];
        for (at, variant) in variants.iter().enumerate() {
            let judged = judge(variant);
            assert_eq!((accused(&judged), waits(&judged)), (vec![], whole), "{name}, variant {at}");
        }
    }
}

/// A small generator: the changes are the same in every run.
struct Random(u64);

impl Random {
    fn below(&mut self, most: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % most.max(1) as u64) as usize
    }
}

fn mangle(random: &mut Random, text: &mut Vec<u8>) {
    for _ in 0..=random.below(12) {
        let (from, n) = (random.below(text.len()), 1 + random.below(60));
        let to = (from + n).min(text.len());
        match random.below(7) {
            0 => drop(text.drain(from..to)),
            1 => text.truncate(from),
            2 => {
                let piece = text[from..to].to_vec();
                let at = random.below(text.len());
                drop(text.splice(at..at, piece));
            }
            3 if !text.is_empty() => text[from] = random.below(256) as u8,
            4 => {
                let piece =
                    [&b"<unfinished ...>\n"[..], b"9999999999", b"<", b"(", b"[{", b"\"", b" = "][random.below(7)];
                drop(text.splice(from..from, piece.iter().copied()));
            }
            5 => drop(text.splice(from..from, *b"\n")),
            // A part of the lines in another order.
            _ => {
                let mut lines: Vec<&[u8]> = text.split(|byte| *byte == b'\n').collect();
                let (one, other) = (random.below(lines.len()), random.below(lines.len()));
                lines.swap(one, other);
                *text = lines.join(&b'\n');
            }
        }
    }
}

#[test]
fn no_text_stops_the_audit() {
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    for name in FAULTY.iter().chain(&CORRECT).chain(&["terminal", "static"]) {
        let whole = trace(name);
        let end = whole.len().min(8_000);
        for _ in 0..150 {
            let mut text = whole[..end].to_vec();
            mangle(&mut random, &mut text);
            let since = Instant::now();
            judge(&text);
            assert!(since.elapsed() < Duration::from_secs(5), "{name}");
        }
    }
    for text in
        [&b""[..], b"\n\n", b"epoll_wait(", b"<... ", b"[pid", b"+++ ", b"1", b"close(3) = 0", b"\xff\xfe(3) = "]
    {
        judge(text);
    }
}

/// A text that is not strace's has no line of it.
#[test]
fn other_texts_are_recognized() {
    let judged = judge(b"int main(void)\n{\n    return 0;\n}\n2026-11-30 12:00:00 INFO started\n");
    assert_eq!((judged.lines, judged.foreign, judged.processes.len()), (0, 5, 0));
}
