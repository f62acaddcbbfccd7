//! Events that were dropped.

use super::{Three, monotonic, subject, time_at, unit};
use crate::see::words::{counted, duration, epoll_bits, errno, grouped};
use epolyfill_audit::Finding;

pub fn slept_edge(finding: &Finding) -> Three {
    let [told, got, last, left, reports, end] = finding.numbers;
    let unit = unit(finding.kind);
    let (take, taken) = if unit == "byte" { ("read", "read") } else { ("accept", "accepted") };
    let got = counted(got.unsigned_abs(), unit);
    let verb = if got.starts_with("1 ") { "was" } else { "were" };
    let took = match last {
        0 => format!("nothing was {taken}"),
        1 if unit == "byte" => format!("{got} {verb} read, the last read got all that it asked for"),
        2 => format!("{got} {verb} read, the last read got less than it asked for"),
        last if last < 0 => {
            format!("{got} {verb} {taken}, the last {take} failed with {}", errno(last.saturating_neg()))
        }
        _ => format!("{got} {verb} {taken}"),
    };
    let left = match unit {
        "byte" => counted(left.unsigned_abs(), "unread byte"),
        _ => counted(left.unsigned_abs(), "waiting connection"),
    };
    let end = match end {
        0 => ", and found them only with the next report",
        1 => ", and they are still there",
        2 => ", until the descriptor was closed",
        _ => ", and they are still there at the exit",
    };
    let slept = duration(finding.worst_ns);
    let when = monotonic(told.unsigned_abs());
    let fact = format!(
        "{} was reported readable at {when}; {took}. Then the loop slept {slept} on {left}{end}.",
        subject(finding)
    );
    let reports = counted(reports.unsigned_abs(), "report");
    let consequence = format!(
        "An edge is reported once: what is left waits until more comes ({} in {reports}; it never read on by itself).",
        counted(finding.count, "such sleep")
    );
    let remedy = match unit {
        "byte" => "Read until EAGAIN, or remember that there is more.",
        _ => "Accept until EAGAIN.",
    };
    (fact, consequence, remedy)
}

pub fn slept_room(finding: &Finding) -> Three {
    let [told, asked, answer, ..] = finding.numbers;
    let asked = counted(asked.unsigned_abs(), "byte");
    let answer = match answer {
        answer if answer < 0 => format!("failed with {}", errno(answer.saturating_neg())),
        answer => format!("took {} of them", grouped(answer.unsigned_abs())),
    };
    let fact = format!(
        "a write of {asked} to {} {answer}. Room was reported at {}, nothing was written, and all its threads slept {}.",
        subject(finding),
        monotonic(told.unsigned_abs()),
        duration(finding.worst_ns),
    );
    let consequence = "The rest of the output waits although there is room for it.".to_owned();
    (fact, consequence, "Go on writing when EPOLLOUT is reported, also if it is reported together with EPOLLIN.")
}

pub fn oneshot_asleep(finding: &Finding) -> Three {
    let [told, at_once, _, unread, ..] = finding.numbers;
    let unread = match unread {
        ..=0 => String::new(),
        unread => format!(" with {}", counted(unread.unsigned_abs(), &format!("unread {}", unit(finding.kind)))),
    };
    let fact = format!(
        "{} was reported ({}) at {}, and was not armed again. It has been ready{unread} for {} while its threads sleep.",
        subject(finding),
        epoll_bits(finding.bits),
        monotonic(told.unsigned_abs()),
        duration(finding.worst_ns),
    );
    let consequence = match at_once {
        ..=0 => "A one-shot registration reports nothing more until EPOLL_CTL_MOD arms it.".to_owned(),
        n => format!(
            "A one-shot registration reports nothing more until EPOLL_CTL_MOD arms it; the program did so at once {}.",
            counted(n.unsigned_abs(), "time")
        ),
    };
    (fact, consequence, "Arm it on every path through the handler, also where there is nothing to do.")
}

pub fn tls_pending(finding: &Finding) -> Three {
    let bytes = match finding.numbers[0] {
        ..=0 => "decrypted bytes".to_owned(),
        bytes => counted(bytes.unsigned_abs(), "decrypted byte"),
    };
    let fact =
        format!("the loop slept {} on {bytes} of {} (SSL_pending).", duration(finding.worst_ns), subject(finding));
    let consequence =
        "They wait in the TLS library, and the socket is empty: no event comes until the peer sends more.".to_owned();
    (fact, consequence, "Call SSL_read until it wants more before the next wait.")
}

pub fn end_unheeded(finding: &Finding) -> Three {
    let [how, kept, _, registered, heeded, _] = finding.numbers;
    let how = match how {
        0 => "a read that returned 0",
        1 => "EPOLLRDHUP",
        _ => "EPOLLHUP",
    };
    let fact = format!(
        "the end of {} was shown by {how}, and nothing followed for {}: no close, shutdown, write or EPOLL_CTL_DEL.",
        subject(finding),
        duration(finding.worst_ns),
    );
    let consequence = format!(
        "{} of this place are kept so; there were {} since the first, and {} were heeded.",
        counted(kept.unsigned_abs(), "connection"),
        counted(registered.unsigned_abs(), "registration"),
        counted(heeded.unsigned_abs(), "end"),
    );
    (fact, consequence, "Close it when a read returns 0, or when EPOLLRDHUP or EPOLLHUP is reported.")
}

pub fn wake_astray(finding: &Finding) -> Three {
    let [fate, _, writes, ..] = finding.numbers;
    let since = time_at(finding, 1);
    let before = counted(writes.unsigned_abs(), "wake-up");
    let fact = match fate {
        0 => format!("a wake-up was written to {}, which was closed {since} before, after {before}.", subject(finding)),
        1 => format!(
            "8 bytes were written to descriptor {}, which was an eventfd until {since} before, after {before}.",
            finding.fd,
        ),
        _ => format!("a wake-up for {} was not read for {since}: no instance waits for it.", subject(finding)),
    };
    let consequence = match fate {
        0 => "The number can belong to another file the next time, which then gets 8 bytes that are not its own.",
        1 => "Another file has the number now, and gets 8 bytes that are not its own.",
        _ => "The thread that it was meant for sleeps on.",
    };
    let remedy = "Keep the reader registered and armed as long as there are writers, and close it after them.";
    (fact, consequence.to_owned(), remedy)
}
