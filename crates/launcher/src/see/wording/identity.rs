//! Numbers and instances that are not what the program takes them for.

use super::{Three, subject, time_at};
use crate::see::words::{counted, epoll_bits, errno, op};
use epolyfill_audit::Finding;
use epolyfill_facts::NO_FD;

pub fn ghost_event(finding: &Finding) -> Three {
    let now = if finding.numbers[1] == 1 { "; the number is another file now" } else { "" };
    let fact = format!(
        "{} was reported for descriptor {}, which was closed {} before{now}.",
        epoll_bits(finding.bits),
        finding.fd,
        time_at(finding, 0),
    );
    let holder = match finding.other {
        NO_FD => "a duplicate or a child".to_owned(),
        number => format!("descriptor {number}"),
    };
    let consequence = format!(
        "The registration belongs to the open file description, which {holder} keeps open: events go on, and \
         EPOLL_CTL_DEL of the closed number fails."
    );
    (fact, consequence, "Delete the registration before the close, or close all duplicates.")
}

pub fn ghost_registration(finding: &Finding) -> Three {
    let [is_child, is_ended_here, ..] = finding.numbers;
    let holder = match is_child {
        1 => format!("child {}, which was forked since and runs the same program, still has it", finding.other),
        _ => format!("descriptor {} is a duplicate of it", finding.other),
    };
    let fact = format!("{} was closed while {holder}.", subject(finding));
    let consequence = match is_ended_here {
        1 => "On Linux's own epoll it stays registered; epolyfill ends it here.",
        _ => "It stays registered: events for it can come, and EPOLL_CTL_DEL of the closed number fails.",
    };
    (fact, consequence.to_owned(), "Delete the registration before the close.")
}

pub fn wrong_number(finding: &Finding) -> Three {
    let [operation, unread, ..] = finding.numbers;
    let unread = match unread {
        ..=0 => String::new(),
        unread => format!(" {} are unread in it.", counted(unread.unsigned_abs(), "byte")),
    };
    let fact = format!(
        "EPOLL_CTL_{} of descriptor {} reached {}, which has the number since another file was closed {} before.{unread}",
        op(i32::try_from(operation).unwrap_or(0)),
        finding.fd,
        if finding.who.text().is_empty() { "a new file" } else { finding.who.text() },
        time_at(finding, 2),
    );
    let consequence =
        "The call was meant for the closed file; the new one is registered wrongly, or not at all.".to_owned();
    (fact, consequence, "Delete the registration before the close, and forget the number with it.")
}

pub fn stale_event(finding: &Finding) -> Three {
    let [place, of, number, ..] = finding.numbers;
    let fact = format!(
        "{} was closed while its event, {place} of {of} in the batch, was still to be handled; the program then used \
         the number for that event and got {}.",
        subject(finding),
        errno(number),
    );
    let consequence =
        "What the event's data points to may be freed by then, and the number may be another file.".to_owned();
    (fact, consequence, "Mark what is closed, and free it after the batch.")
}

pub fn foreign_instance(finding: &Finding) -> Three {
    let [operation, controls, reports, is_copy, ..] = finding.numbers;
    let epfd = if finding.epfd == NO_FD { finding.fd } else { finding.epfd };
    if operation < 0 {
        let fact = format!("instance {epfd} passes exec, because it was made without EPOLL_CLOEXEC.");
        let consequence = "The new program has a number open that it does not know, and its registrations go on.";
        return (fact, consequence.to_owned(), "Pass EPOLL_CLOEXEC to epoll_create1.");
    }
    let fact = format!(
        "instance {epfd}, which a parent process made, is used after the fork: {} and {} with events.",
        counted(controls.unsigned_abs(), "control call"),
        counted(reports.unsigned_abs(), "wait"),
    );
    let consequence = match is_copy {
        1 => {
            "On Linux's own epoll this changes the parent's instance, and takes its events; epolyfill gives the child a copy."
        }
        _ => "Both processes use one instance: each changes the other's registrations, and takes its events.",
    };
    (fact, consequence.to_owned(), "Make a new instance after fork.")
}

pub fn two_at_once(finding: &Finding) -> Three {
    let [overlaps, turns, ..] = finding.numbers;
    let fact = format!(
        "threads {} and {} read {} at the same time: {} overlapped, {} came in turns.",
        finding.tid,
        finding.other,
        subject(finding),
        counted(overlaps.unsigned_abs(), "read"),
        turns.unsigned_abs(),
    );
    let consequence = "Each gets a part of the stream, in an order that nobody knows.".to_owned();
    (fact, consequence, "Register it with EPOLLONESHOT, or let one thread read it.")
}

pub fn refused_control(finding: &Finding) -> Three {
    let [operation, number, ..] = finding.numbers;
    let fact = format!(
        "EPOLL_CTL_{} of descriptor {} failed with {}.",
        op(i32::try_from(operation).unwrap_or(0)),
        finding.fd,
        errno(number),
    );
    let consequence = match i32::try_from(number) {
        Ok(libc::EEXIST) => "It is registered already; its mask and data stay as they were.",
        Ok(libc::ENOENT) => {
            "It is not registered with this instance: its close, or the reuse of its number, ended that."
        }
        _ => "The number is closed; with a reused number the call would have reached another file.",
    };
    let remedy = match i32::try_from(number) {
        Ok(libc::EEXIST) => "Use EPOLL_CTL_MOD, or remember what is registered.",
        _ => "Delete a registration before its number is closed.",
    };
    (fact, consequence.to_owned(), remedy)
}

pub fn kinder(finding: &Finding) -> Three {
    let [cases, ..] = finding.numbers;
    let fact = format!(
        "{} was read only in part after an edge, and the rest after another report, {}.",
        subject(finding),
        counted(cases.unsigned_abs(), "time"),
    );
    let consequence =
        "epolyfill repeats such a report; on Linux's own epoll the rest waits until more arrives.".to_owned();
    (fact, consequence, "Read until EAGAIN after each edge.")
}
