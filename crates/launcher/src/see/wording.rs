//! Findings in words: what happened, its consequence, its remedy.
//!
//! What [`Finding::numbers`], `other`, `at` and `worst_ns` mean depends on the rule; a rule that is
//! not listed has none. Times of day are CLOCK_MONOTONIC; all times are in nanoseconds.
//!
//! | rule | numbers | others |
//! |---|---|---|
//! | slept-edge | when the read was reported to be due; bytes (of a listener, connections) taken since then; the last read: 0 none, 1 it got all it asked for, 2 less, or a negative errno; bytes or connections slept on; reports at this site; the end: 0 read with the next report, 1 still unread, 2 closed, 3 at exit | `worst_ns`: the longest sleep |
//! | slept-room | when room was reported; bytes that the last write asked for; its answer | `worst_ns`: the sleep |
//! | oneshot-asleep | when the event was reported; how often the program armed at once; how often later; bytes unread, or -1 | `worst_ns`: for how long it has been ready |
//! | tls-pending | decrypted bytes | `worst_ns`: the longest sleep |
//! | ghost-event | from the close to the event; 1 if the number is open again | `other`: a number of the description |
//! | ghost-registration | 0 a duplicate, 1 a forked child; 1 if the library ends the registration where Linux keeps it | `other`: that number or child |
//! | wrong-number | the operation; bytes unread afterwards, or -1; from the close to the call | `at`: the call |
//! | stale-event | the place of the event in its batch, from 1; the events of the batch; the errno | |
//! | spin | waits in a row; the call that failed each time, or -1; its errno; 1 if armed again each time; the time | |
//! | failing-wait | the errno | |
//! | timeout-truncated | waits with 0; the time-out before them; the part of a millisecond that was cut off | |
//! | blocked | the time of the call; the call; the time surely not in the run queue, or -1 | |
//! | slow-handler | the time away; how long `other` was seen ready; own processor time; asleep in calls that are not seen; in the run queue; in calls that are seen | `other`: the descriptor that was ready |
//! | starved-by | the same, but the last: the percentage of calls that were on `fd` | the same |
//! | blocking-edge | the call | |
//! | refused-control | the operation; the errno | `at`: the call |
//! | herd | arrivals; wake-ups in vain; threads of this process that were woken; 1 if other processes took the arrivals | |
//! | two-at-once | reads that overlapped; reads in turns; bytes of the last one | `other`: the other thread; `worst_ns`: for how long the last two overlapped |
//! | end-unheeded | how the end was shown: 0 by a read, 1 by EPOLLRDHUP, 2 by EPOLLHUP; connections of this site that are kept; those of them that are hung up; registrations since the first of them ended; ends that were heeded | `worst_ns`: since when it is kept |
//! | foreign-instance | the operation, 0 for a wait; control calls; waits with events; 1 if the library gave the process a copy, which Linux does not; all -1 if an instance passes exec | |
//! | wake-astray | 0 the number is closed, 1 it names another file, 2 nobody listens; since the close, or since the write; the writes before | |
//! | kinder-than-linux | reads of what was left, each after another report | |
//! | idle-control | 0 calls that change nothing, 1 more than two for an event; MODs; those that changed nothing; all calls; events | |
//! | exclusive-share | the percentage of the waiter that got most; waiters; its events; those of all | |
//! | full-batch | the size of the array; waits with events; those that filled it; registrations | `worst_ns`: how long the queue was not emptied |

mod identity;
mod loss;
mod time;

use super::words::duration;
use epolyfill_audit::{Finding, Rule};
use epolyfill_facts::{Call, Kind, NO_FD};

/// A finding in words, a sentence each, or several.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Words {
    pub fact: String,
    pub consequence: String,
    pub remedy: String,
}

/// The words of a finding.
pub fn words(finding: &Finding) -> Words {
    let (fact, consequence, remedy) = match finding.rule {
        Rule::SleptEdge => loss::slept_edge(finding),
        Rule::SleptRoom => loss::slept_room(finding),
        Rule::OneshotAsleep => loss::oneshot_asleep(finding),
        Rule::TlsPending => loss::tls_pending(finding),
        Rule::EndUnheeded => loss::end_unheeded(finding),
        Rule::WakeAstray => loss::wake_astray(finding),
        Rule::GhostEvent => identity::ghost_event(finding),
        Rule::GhostRegistration => identity::ghost_registration(finding),
        Rule::WrongNumber => identity::wrong_number(finding),
        Rule::StaleEvent => identity::stale_event(finding),
        Rule::ForeignInstance => identity::foreign_instance(finding),
        Rule::TwoAtOnce => identity::two_at_once(finding),
        Rule::RefusedControl => identity::refused_control(finding),
        Rule::Kinder => identity::kinder(finding),
        Rule::Spin => time::spin(finding),
        Rule::FailingWait => time::failing_wait(finding),
        Rule::TimeoutTruncated => time::timeout_truncated(finding),
        Rule::Blocked => time::blocked(finding),
        Rule::SlowHandler => time::slow_handler(finding),
        Rule::StarvedBy => time::starved_by(finding),
        Rule::Herd => time::herd(finding),
        Rule::IdleControl => time::idle_control(finding),
        Rule::ExclusiveShare => time::exclusive_share(finding),
        Rule::FullBatch => time::full_batch(finding),
        Rule::BlockingEdge => time::blocking_edge(finding),
    };
    Words { fact, consequence, remedy: remedy.to_owned() }
}

/// A rule in one sentence, as in epolyfill(1).
pub fn about(rule: Rule) -> &'static str {
    match rule {
        Rule::SleptEdge => "The program slept on unread bytes whose edge it had been given.",
        Rule::SleptRoom => "The program slept although the room that it waited for was reported.",
        Rule::OneshotAsleep => "A spent EPOLLONESHOT registration was not armed again.",
        Rule::TlsPending => "The program slept on bytes that its TLS library had decrypted.",
        Rule::GhostEvent => "An event was reported for a number that is closed.",
        Rule::GhostRegistration => "A number was closed while its registration goes on.",
        Rule::WrongNumber => "A control call reached another file than the program meant.",
        Rule::StaleEvent => "The program used a descriptor for an event that its own close had made stale.",
        Rule::Spin => "Waits returned at once for an event that the program left as it was.",
        Rule::FailingWait => "Waits failed again and again.",
        Rule::TimeoutTruncated => "Time-outs were cut off to whole milliseconds.",
        Rule::Blocked => "A call on a watched descriptor blocked the loop.",
        Rule::SlowHandler => "A thread was away from its loop while another descriptor was ready.",
        Rule::StarvedBy => "One busy descriptor kept the others waiting.",
        Rule::Herd => "Each arrival woke several waiters, of which one found something.",
        Rule::TwoAtOnce => "Two threads read one stream at the same time.",
        Rule::EndUnheeded => "The end of a connection was reported, and nothing followed.",
        Rule::ForeignInstance => "An instance of another process was used.",
        Rule::WakeAstray => "A wake-up was written to where nothing listens.",
        Rule::IdleControl => "Control calls changed nothing.",
        Rule::ExclusiveShare => "Of several waiters one got nearly all exclusive events.",
        Rule::FullBatch => "Nearly every wait filled its array.",
        Rule::BlockingEdge => "A blocking descriptor is edge-triggered.",
        Rule::RefusedControl => "A control call failed with EBADF, ENOENT or EEXIST.",
        Rule::Kinder => "The program relies on something that epolyfill does and Linux does not.",
    }
}

/// The fact, the consequence, the remedy.
type Three = (String, String, &'static str);

/// The descriptor of a finding: "descriptor 9 (tcp 127.0.0.1:80 <- 10.0.0.7:5182, edge-triggered)".
fn subject(finding: &Finding) -> String {
    if finding.fd == NO_FD {
        return "a descriptor whose number is not known".to_owned();
    }
    let has = |bit: i32| finding.events & bit as u32 != 0;
    let mut details: Vec<String> = vec![finding.who.text().to_owned()];
    details.extend(has(libc::EPOLLET).then(|| "edge-triggered".to_owned()));
    details.extend(has(libc::EPOLLONESHOT).then(|| "one-shot".to_owned()));
    details.extend(has(libc::EPOLLEXCLUSIVE).then(|| "exclusive".to_owned()));
    details.retain(|detail| !detail.is_empty());
    named("descriptor", finding.fd, &details.join(", "))
}

/// The second descriptor of a finding.
fn other(finding: &Finding) -> String {
    named("descriptor", finding.other, finding.other_who.text())
}

/// "descriptor 9 (tcp …)".
fn named(noun: &str, number: i32, details: &str) -> String {
    if details.is_empty() { format!("{noun} {number}") } else { format!("{noun} {number} ({details})") }
}

/// A time of CLOCK_MONOTONIC in seconds.
pub fn monotonic(ns: u64) -> String {
    format!("{}.{:06}", ns / 1_000_000_000, ns / 1000 % 1_000_000)
}

/// A number of a finding that is a time.
fn time_at(finding: &Finding, index: usize) -> String {
    duration(finding.numbers[index].max(0).unsigned_abs())
}

/// The name of a call by its number.
fn call_name(number: i64) -> &'static str {
    usize::try_from(number).ok().and_then(|at| Call::ALL.get(at)).map_or("a call", |call| call.name())
}

/// What is unread in a descriptor of this kind.
fn unit(kind: Kind) -> &'static str {
    match kind {
        Kind::TcpListener | Kind::UnixListener => "connection",
        _ => "byte",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use epolyfill_audit::{Described, Grade};

    #[test]
    fn every_rule_has_words_that_end_as_sentences() {
        for &rule in Rule::ALL {
            for (number, fd) in [(0, 9), (-1, NO_FD), (i64::MAX, 0), (i64::MIN, 1)] {
                let finding = Finding { fd, numbers: [number; 6], ..Finding::new(rule, Grade::Note) };
                let Words { fact, consequence, remedy } = words(&finding);
                for part in [&fact, &consequence, &remedy] {
                    assert!(part.ends_with('.') && !part.contains('\n') && !part.contains("  "), "{rule:?}: {part}");
                }
            }
        }
    }

    #[test]
    fn a_sleep_on_unread_bytes_is_told_in_full() {
        let finding = Finding {
            kind: Kind::Tcp,
            fd: 9,
            events: (libc::EPOLLIN | libc::EPOLLET) as u32,
            count: 3,
            worst_ns: 301_800_000,
            numbers: [12_402_113_000, 64, 1, 36, 6, 0],
            who: Described::new("tcp 127.0.0.1:6379 <- 10.0.0.7:51824"),
            ..Finding::new(Rule::SleptEdge, Grade::Fault)
        };
        assert_eq!(
            words(&finding).fact,
            "descriptor 9 (tcp 127.0.0.1:6379 <- 10.0.0.7:51824, edge-triggered) was reported readable at 12.402113; \
             64 bytes were read, the last read got all that it asked for. Then the loop slept 302 ms on 36 unread \
             bytes, and found them only with the next report."
        );
    }

    #[test]
    fn a_spin_names_what_cannot_be_masked() {
        let bits = libc::EPOLLHUP as u32;
        let numbers = [908_611, -1, 0, 0, 500_000_000, 0];
        let finding = Finding { fd: 7, bits, numbers, ..Finding::new(Rule::Spin, Grade::Fault) };
        let words = words(&finding);
        assert!(words.fact.starts_with("908,611 waits in 500 ms reported EPOLLHUP of descriptor 7"), "{}", words.fact);
        assert!(words.remedy.contains("cannot be masked"));
    }
}
