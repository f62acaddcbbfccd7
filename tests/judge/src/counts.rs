//! Counters by name: workers add up and send lines, the coordinator adds the lines up.

use std::collections::BTreeMap;
use std::fmt::Write;

use crate::compare::What;
use crate::kinds::Kind;
use crate::known::{Class, ROWS};

/// Counters by name, such as `reports/tcp` or `lost/udp`.
#[derive(Clone, Debug, Default)]
pub struct Counts {
    named: BTreeMap<String, u64>,
    /// The kernel's reports by kind, which are too frequent for a look-up by name.
    reports: [u64; Kind::ALL.len()],
}

impl Counts {
    pub fn add(&mut self, name: &str, more: u64) {
        match self.named.get_mut(name) {
            Some(count) => *count += more,
            None => {
                self.named.insert(name.to_owned(), more);
            }
        }
    }

    /// Counts a report of the kernel for this kind.
    pub fn report(&mut self, kind: Kind) {
        self.reports[kind as usize] += 1;
    }

    /// Counts a difference between the sides.
    pub fn difference(&mut self, what: What, kind: Kind, row: Option<usize>) {
        match row {
            Some(row) => {
                // Not a difference of the library: one side has an effect on the other.
                let group = match what {
                    _ if ROWS[row].between => "between",
                    What::Lost if ROWS[row].class(what) == Class::NoNews => "no-news",
                    What::Lost if ROWS[row].unavoidable => "always-lost",
                    What::Lost => "known-lost",
                    _ => "listed",
                };
                self.add(&format!("{group}/{}", kind.word()), 1);
                self.add(&format!("row/{}", ROWS[row].name), 1);
                if what == What::Lost {
                    self.add(&format!("row-lost/{}", ROWS[row].name), 1);
                }
            }
            None => self.add(&format!("{}/{}", what.word(), kind.word()), 1),
        }
    }

    /// Moves one count from one name to another.
    pub fn move_one(&mut self, from: &str, to: &str) {
        if self.take_one(from) {
            self.add(to, 1);
        }
    }

    /// Reclassifies a difference that was counted as lost, in a way that a row lists, as an effect
    /// of one side on the other.
    pub fn clear_of(&mut self, row: &str, kind: &str) {
        self.move_one(&format!("always-lost/{kind}"), &format!("apart/{kind}"));
        self.take_one(&format!("row/{row}"));
        self.take_one(&format!("row-lost/{row}"));
    }

    fn take_one(&mut self, name: &str) -> bool {
        let count = self.named.get_mut(name).filter(|count| **count > 0);
        count.map(|count| *count -= 1).is_some()
    }

    pub fn get(&self, name: &str) -> u64 {
        self.named.get(name).copied().unwrap_or(0)
    }

    /// The counters whose names begin with `prefix`.
    pub fn with_prefix(&self, prefix: &str) -> impl Iterator<Item = (&str, u64)> {
        let from = self.named.range(prefix.to_owned()..).take_while(move |(name, _)| name.starts_with(prefix));
        from.map(move |(name, &count)| (&name[prefix.len()..], count))
    }

    /// The sum of the counters whose names begin with `prefix`.
    pub fn sum(&self, prefix: &str) -> u64 {
        self.named
            .range(prefix.to_owned()..)
            .take_while(|(name, _)| name.starts_with(prefix))
            .map(|(_, count)| count)
            .sum()
    }

    /// Empties the counters into lines for another process.
    pub fn drain_lines(&mut self) -> String {
        let mut lines = String::new();
        for (kind, count) in Kind::ALL.into_iter().zip(std::mem::take(&mut self.reports)) {
            if count > 0 {
                self.add(&format!("reports/{}", kind.word()), count);
            }
        }
        for (name, count) in std::mem::take(&mut self.named) {
            let _ = writeln!(lines, "count {count} {name}");
        }
        lines
    }

    /// Adds one of these lines.
    pub fn take_line(&mut self, line: &str) -> bool {
        let mut parts = line.splitn(3, ' ');
        match (parts.next(), parts.next().map(str::parse::<u64>), parts.next()) {
            (Some("count"), Some(Ok(count)), Some(name)) => {
                self.add(name, count);
                true
            }
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_cleared_of_a_row_is_counted_apart() {
        let row = ROWS.iter().position(|row| row.unavoidable && !row.between && row.is_news).expect("there is one");
        let mut counts = Counts::default();
        (0..2).for_each(|_| counts.difference(What::Lost, Kind::Udp, Some(row)));
        counts.clear_of(ROWS[row].name, "udp");
        assert_eq!(["always-lost/udp", "apart/udp"].map(|name| counts.get(name)), [1, 1]);
        assert_eq!(["row/", "row-lost/"].map(|prefix| counts.sum(prefix)), [1, 1]);
    }

    #[test]
    fn counters_survive_the_trip_to_the_coordinator() {
        let mut sent = Counts::default();
        for _ in 0..3 {
            sent.report(Kind::Tcp);
        }
        sent.add("reports/udp", 4);
        sent.add("listed/udp: the rest, again", 1);
        let mut received = Counts::default();
        for line in sent.drain_lines().lines().chain(sent.drain_lines().lines()) {
            assert!(received.take_line(line));
        }
        assert_eq!(received.sum("reports/"), 7);
        assert_eq!(received.get("listed/udp: the rest, again"), 1);
        assert!(!received.take_line("counted 1 x"));
    }
}
