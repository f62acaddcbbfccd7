//! Text and paths as HTML.

use std::fmt::Write;

/// The units of a plot's width.
pub const WIDTH: u64 = 2000;

/// Text that may stand in an element or an attribute.
pub fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c => out.push(c),
        }
    }
    out
}

/// A clause as a sentence: with a capital, and one full stop.
pub fn sentence(clause: &str) -> String {
    let mut rest = clause.trim_end_matches('.').chars();
    match rest.next() {
        Some(first) => format!("{}{}.", first.to_uppercase(), rest.as_str()),
        None => String::new(),
    }
}

/// Wall time, in UTC.
pub fn wall(ns: i64) -> String {
    let (seconds, ms) = (ns.div_euclid(1_000_000_000), ns.rem_euclid(1_000_000_000) / 1_000_000);
    let (days, of_day) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    // Days since 1970 as a date, in years that begin in March.
    let days = days + 719_468;
    let (era, of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = year + era * 400 + i64::from(month <= 2);
    let (hour, minute, second) = (of_day / 3600, of_day / 60 % 60, of_day % 60);
    format!("{year}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02}.{ms:03} UTC")
}

/// Intervals of units as one path of boxes; those that touch are one box.
pub fn boxes(intervals: &mut Vec<(u64, u64)>, top: u64, height: u64) -> String {
    intervals.sort_unstable();
    let mut merged: Vec<(u64, u64)> = Vec::new();
    for (from, to) in intervals.drain(..) {
        match merged.last_mut() {
            Some(last) if from <= last.1 + 1 => last.1 = last.1.max(to),
            _ => merged.push((from, to)),
        }
    }
    let mut path = String::new();
    for (from, to) in merged {
        let _ = write!(path, "M{from} {top}h{}v{height}H{from}z", (to - from).max(1));
    }
    path
}

/// A key of a legend.
pub fn key(class: &str, name: &str) -> String {
    format!("<span class=\"key\"><svg><rect width=\"100%\" height=\"100%\" class=\"{class}\"/></svg></span>{name}")
}

/// An axis of times: ticks at round numbers.
pub fn axis(begin_ns: u64, end_ns: u64, zero_ns: u64) -> String {
    let span = end_ns.saturating_sub(begin_ns).max(1);
    let mut out = String::from("<div class=\"plot axis\">");
    for at in 0..=6u64 {
        let ns = begin_ns + span * at / 6;
        let sign = if ns < zero_ns { "−" } else { "" };
        let text = super::duration(ns.abs_diff(zero_ns));
        let left = at as f64 * 100.0 / 6.0;
        let _ = write!(out, "<span style=\"left:{left:.1}%\">{sign}{text}</span>");
    }
    out.push_str("</div>");
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wall_time_is_a_date() {
        assert_eq!(wall(1_796_022_896_123_000_000), "2026-11-30 07:14:56.123 UTC");
        assert_eq!(wall(951_782_400_000_000_000), "2000-02-29 00:00:00.000 UTC");
    }

    #[test]
    fn text_is_escaped_and_touching_intervals_are_one_box() {
        assert_eq!(escape("<a href='&'>"), "&lt;a href=&#39;&amp;&#39;&gt;");
        assert_eq!(boxes(&mut vec![(5, 9), (1, 5), (20, 20)], 0, 4), "M1 0h8v4H1zM20 0h1v4H20z");
    }
}
