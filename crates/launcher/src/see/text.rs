//! Findings as text: a block each.

use super::audit::Case;
use super::wording::{Words, monotonic, words};
use super::words::{counted, duration};
use epolyfill_audit::Rule;
use epolyfill_facts::SiteId;
use std::fmt::Write;

/// The block of a finding; of one that was shown before a line with its new count.
pub fn block(case: &Case) -> String {
    let finding = &case.finding;
    let Words { fact, consequence, remedy } = words(finding);
    let (pid, grade, rule) = (case.pid, finding.grade.name(), finding.rule.name());
    let mut text = format!("epolyfill[{pid}] {grade} {rule}: ");
    // Writing to a String cannot fail.
    if case.is_repeat {
        let place = case.place().map_or(String::new(), |site| format!(", at {site}"));
        let _ = writeln!(text, "{}{place}; the last at {}.", cases(case), monotonic(finding.last_ns));
        return text;
    }
    let _ = write!(text, "{fact}\n  {consequence} {remedy}\n");
    let deed = if finding.site == SiteId(0) { "at" } else { "done at" };
    for (head, site) in [("added at", &case.site), (deed, &case.deed)] {
        if let Some(site) = site {
            let _ = writeln!(text, "  {head:<9} {site}");
        }
    }
    let _ =
        writeln!(text, "  cases     {}; first {}; thread {}", cases(case), moment(case, finding.first_ns), finding.tid);
    let _ = writeln!(text, "  suppress  {}", case.suppression());
    text
}

/// The number of cases, and the longest.
fn cases(case: &Case) -> String {
    let unit = match case.finding.rule {
        Rule::Spin | Rule::FailingWait => "wait",
        Rule::TimeoutTruncated => "time-out",
        _ => "case",
    };
    let longest = match case.finding.worst_ns {
        0 => String::new(),
        ns => format!(", the longest {}", duration(ns)),
    };
    format!("{}{longest}", counted(case.finding.count.max(1), unit))
}

/// A time of CLOCK_MONOTONIC, and the same as local time.
fn moment(case: &Case, ns: u64) -> String {
    format!("{} ({})", monotonic(ns), local(ns.cast_signed().saturating_add(case.wall_offset_ns)))
}

/// A time of CLOCK_REALTIME as local time, with milliseconds.
fn local(ns: i64) -> String {
    let Some([year, month, day, hour, minute, second]) = parts(ns) else { return "unknown".to_owned() };
    let ms = ns.rem_euclid(1_000_000_000) / 1_000_000;
    format!("{year}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02}.{ms:03}")
}

/// A time of CLOCK_REALTIME as local time: year, month, day, hour, minute, second.
pub fn parts(ns: i64) -> Option<[i32; 6]> {
    let seconds = ns.div_euclid(1_000_000_000);
    let mut parts = std::mem::MaybeUninit::<libc::tm>::zeroed();
    // SAFETY: both addresses are valid.
    let is_known = !unsafe { libc::localtime_r(&seconds, parts.as_mut_ptr()) }.is_null();
    // SAFETY: it was zeroed, which is a valid value.
    let parts = unsafe { parts.assume_init() };
    let (year, month) = (parts.tm_year + 1900, parts.tm_mon + 1);
    is_known.then_some([year, month, parts.tm_mday, parts.tm_hour, parts.tm_min, parts.tm_sec])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::see::site::{Frame, Site};
    use epolyfill_audit::{Finding, Grade};

    fn case() -> Case {
        let frame = Frame { function: Some("accept_client".into()), source: Some(("s.c".into(), 214)), module: None };
        let site = Some(Site { frame, caller: None });
        let numbers = [12_402_113_000, 64, 1, 36, 6, 0];
        let finding = Finding {
            fd: 9,
            tid: 815,
            site: SiteId(1),
            count: 3,
            worst_ns: 301_800_000,
            first_ns: 12_402_113_000,
            last_ns: 13_000_000_000,
            numbers,
            ..Finding::new(Rule::SleptEdge, Grade::Fault)
        };
        Case { site, ..Case::bare(812, finding) }
    }

    #[test]
    fn a_block_has_the_fact_the_site_the_times_and_the_suppression() {
        let text = block(&case());
        let lines: Vec<&str> = text.lines().collect();
        assert!(lines[0].starts_with("epolyfill[812] fault slept-edge: descriptor 9 was reported readable"), "{text}");
        assert_eq!(lines[2], "  added at  s.c:214 accept_client");
        assert!(lines[3].starts_with("  cases     3 cases, the longest 302 ms; first 12.402113 (19"), "{text}");
        assert_eq!(lines[4], "  suppress  slept-edge:accept_client");
        assert_eq!(lines.len(), 5);
    }

    #[test]
    fn a_repeat_is_one_line() {
        let text = block(&Case { is_repeat: true, ..case() });
        assert_eq!(
            text,
            "epolyfill[812] fault slept-edge: 3 cases, the longest 302 ms, at s.c:214 accept_client; the last at 13.000000.\n"
        );
    }
}
