//! `-c`: the counts of a process, in the manner of `strace -c`, and of each of its instances.

use super::words::{duration, grouped};
use epolyfill_audit::counts::{CALLS, Counts, OfInstance, REASONS};
use epolyfill_facts::Reason;
use std::fmt::Write;

/// The tables of a process; nothing if it made no call of epoll.
pub fn tables(pid: i32, command: &str, counts: &Counts) -> String {
    if counts.calls.iter().all(|call| call.calls == 0) {
        return String::new();
    }
    let mut text = format!("epolyfill[{pid}] {command}\n");
    calls(&mut text, counts);
    for instance in &counts.instances {
        let lines = instance_lines(instance);
        if !lines.is_empty() {
            let _ = writeln!(text, "instance {}", instance.epfd);
        }
        for (value, name) in lines {
            let _ = writeln!(text, "{value:>18}  {name}");
        }
    }
    text
}

const RULE: &str = "------ ----------- ----------- --------- --------- ----------------";

fn calls(text: &mut String, counts: &Counts) {
    let mut rows: Vec<_> = CALLS.iter().zip(&counts.calls).filter(|(_, call)| call.calls > 0).collect();
    rows.sort_by_key(|(name, call)| (std::cmp::Reverse(call.ns), *name));
    let total: u64 = rows.iter().map(|(_, call)| call.ns).sum();
    let sum = |of: fn(&epolyfill_audit::counts::OfCall) -> u64| rows.iter().map(|(_, call)| of(call)).sum::<u64>();
    let (all, errors) = (sum(|call| call.calls), sum(|call| call.errors));
    let _ = writeln!(text, "% time     seconds  usecs/call     calls    errors syscall\n{RULE}");
    for (name, call) in &rows {
        row(text, percent(call.ns, total), call.ns, call.calls, call.errors, name);
    }
    let _ = writeln!(text, "{RULE}");
    row(text, 100.0, total, all, errors, "total");
}

fn percent(part: u64, total: u64) -> f64 {
    if total == 0 { 0.0 } else { part as f64 * 100.0 / total as f64 }
}

fn row(text: &mut String, share: f64, ns: u64, calls: u64, errors: u64, name: &str) {
    let errors = if errors > 0 { errors.to_string() } else { String::new() };
    let seconds = ns as f64 / 1e9;
    let each = ns / 1000 / calls.max(1);
    let _ = writeln!(text, "{share:>6.2} {seconds:>11.6} {each:>11} {calls:>9} {errors:>9} {name}");
}

/// The counts of an instance that are not zero.
fn instance_lines(of: &OfInstance) -> Vec<(String, String)> {
    let mut lines = Vec::new();
    let mut put = |value: u64, name: &str| {
        if value > 0 {
            lines.push((grouped(value), name.to_owned()));
        }
    };
    put(of.registrations, "registrations");
    put(of.most_registrations, "registrations at most");
    for (value, name) in of.controls.into_iter().zip(["added", "modified", "deleted"]) {
        put(value, name);
    }
    put(of.waits, "waits");
    put(of.empty, "waits without events");
    put(of.full, "waits that filled their array");
    put(of.sleeps, "waits that slept");
    put(of.events, "events");
    put(of.most_events, "events of a wait at most");
    for (value, reason) in of.reasons.into_iter().zip(REASONS) {
        put(value, &format!("events, {}", because(reason)));
    }
    put(of.spurious, "events after which the first read found nothing");
    if of.waits > 0 && of.events > 0 {
        lines.push((format!("{:.2}", of.events as f64 / of.waits as f64), "events per wait".to_owned()));
    }
    if of.sleep_ns > 0 {
        lines.push((duration(of.sleep_ns), "asleep".to_owned()));
    }
    lines
}

/// The reason of events.
pub fn because(reason: Reason) -> &'static str {
    match reason {
        Reason::Unknown => "reason not known",
        Reason::Level => "level high",
        Reason::Control => "ready when added or modified",
        Reason::Low => "level was seen low before",
        Reason::Call => "a call had shown the level low",
        Reason::Count => "count of arrivals grew",
        Reason::Ring => "a ring completed",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use epolyfill_audit::counts::OfCall;

    #[test]
    fn the_table_has_what_was_called_and_what_is_not_zero() {
        let mut counts = Counts::default();
        counts.calls[3] = OfCall { calls: 4, errors: 1, ns: 3_000_000 };
        counts.calls[2] = OfCall { calls: 2, errors: 0, ns: 1_000_000 };
        counts.instances.push(OfInstance { epfd: 3, waits: 4, events: 6, sleeps: 1, ..OfInstance::default() });
        let text = tables(812, "server", &counts);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[0], "epolyfill[812] server");
        assert_eq!(lines[3], " 75.00    0.003000         750         4         1 epoll_wait");
        assert_eq!(lines[4], " 25.00    0.001000         500         2           epoll_ctl");
        assert_eq!(lines[6], "100.00    0.004000         666         6         1 total");
        assert_eq!(
            lines[7..],
            [
                "instance 3",
                "                 4  waits",
                "                 1  waits that slept",
                "                 6  events",
                "              1.50  events per wait",
            ]
        );
        assert_eq!(tables(812, "true", &Counts::default()), "");
    }
}
