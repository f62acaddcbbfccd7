//! The log of decisions: text, one line for each. The lines that the library writes have a fixed
//! length, so that processes and threads append to one mapped file without a lock; what is not
//! written yet is zeroes.

use core::fmt::Write;

use alloc::vec::Vec;

use crate::{Decision, Place, by_name, row};

/// The bytes of a line, with its end.
pub const LINE: usize = 80;

/// The bytes for lines in the mapped file. The number of lines that are taken follows, and the number
/// of processes, in 8 bytes each.
pub const ROOM: usize = (4 << 20) / LINE * LINE;

/// The last line of a log that is complete.
pub const END: &str = "end";

/// A line under construction.
struct Room<'a> {
    to: &'a mut [u8],
    at: usize,
}

impl Write for Room<'_> {
    fn write_str(&mut self, text: &str) -> core::fmt::Result {
        let to = self.to.get_mut(self.at..self.at + text.len()).ok_or(core::fmt::Error)?;
        to.copy_from_slice(text.as_bytes());
        self.at += text.len();
        Ok(())
    }
}

/// A decision as a line: kind, process, thread, wait, registration, amount. `None` if the numbers
/// are too long for one.
pub fn line(decision: &Decision) -> Option<[u8; LINE]> {
    let mut line = [b' '; LINE];
    line[LINE - 1] = b'\n';
    let mut room = Room { to: &mut line[..LINE - 1], at: 0 };
    let Decision { kind, place: Place { process, thread, wait, registration }, amount } = *decision;
    write!(room, "{:<11} {process} {thread} {wait} {registration} {amount}", row(kind).name).ok()?;
    Some(line)
}

/// An error in a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogError {
    /// The line of that number, from 1, is no decision.
    Line(usize),
    /// The last line is not [`END`].
    CutShort,
    /// No memory.
    NoMemory,
}

/// The decisions of a log, sorted. Empty lines, and those that begin with `#`, are none.
pub fn parse(text: &[u8]) -> Result<Vec<Decision>, LogError> {
    let mut decisions = Vec::new();
    let mut ended = false;
    for (at, line) in text.split(|byte| *byte == b'\n').enumerate() {
        let bad = LogError::Line(at + 1);
        let line = core::str::from_utf8(line).map_err(|_| bad)?.trim_matches(|c: char| c == '\0' || c.is_whitespace());
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        if ended {
            return Err(bad);
        }
        ended = line == END;
        if !ended {
            decisions.try_reserve(1).map_err(|_| LogError::NoMemory)?;
            decisions.push(decision(line).ok_or(bad)?);
        }
    }
    if !ended {
        return Err(LogError::CutShort);
    }
    decisions.sort_unstable();
    Ok(decisions)
}

/// The decision of a line.
fn decision(line: &str) -> Option<Decision> {
    let mut words = line.split_ascii_whitespace();
    let kind = by_name(words.next()?)?;
    let mut number = || words.next()?.parse::<u64>().ok();
    let (process, thread) = (number()?.try_into().ok()?, number()?.try_into().ok()?);
    let place = Place { process, thread, wait: number()?, registration: number()? };
    let amount = number()?;
    words.next().is_none().then_some(Decision { kind, place, amount })
}

/// The decisions that the library has written into its log, in their order. A line that was not
/// written to its end is left out.
pub fn written(text: &[u8]) -> impl Iterator<Item = Decision> {
    let lines = text.chunks_exact(LINE).filter(|line| line[0] != 0);
    lines.filter_map(|line| decision(core::str::from_utf8(line).ok()?.trim_end()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Kind;

    fn sample() -> [Decision; 2] {
        let place = Place { process: 1, thread: 2, wait: u64::from(u32::MAX), registration: 4 };
        [
            Decision { kind: Kind::CloseParts, place, amount: 5_000_000 },
            Decision { kind: Kind::Few, place: Place::default(), amount: 1 },
        ]
    }

    #[test]
    fn a_log_that_was_written_is_read_again() {
        let mut text = Vec::new();
        for decision in sample() {
            text.extend_from_slice(&line(&decision).unwrap());
        }
        text.extend_from_slice(&[0; 3 * LINE]);
        assert!(written(&text).eq(sample()));
        assert_eq!(parse(&text), Err(LogError::CutShort));
        text.extend_from_slice(b"\n# a remark\nend\n");
        let [close, few] = sample();
        assert_eq!(parse(&text).unwrap(), [few, close]);
    }

    #[test]
    fn a_line_that_is_torn_or_wrong_is_refused() {
        assert_eq!(parse(b"few 0 1 2\nend\n"), Err(LogError::Line(1)));
        assert_eq!(parse(b"\nbogus 0 1 2 3 4\nend\n"), Err(LogError::Line(2)));
        assert_eq!(parse(b"few 0 1 2 3 4 5\nend"), Err(LogError::Line(1)));
        assert_eq!(parse(b"few -1 1 2 3 4\nend"), Err(LogError::Line(1)));
        assert_eq!(parse(b"end\nfew 0 1 2 3 4\n"), Err(LogError::Line(2)));
        assert_eq!(parse(b"few 0 1 2 3 4\n"), Err(LogError::CutShort));
        assert_eq!(parse(b""), Err(LogError::CutShort));
        assert_eq!(parse(b"end"), Ok(Vec::new()));
    }

    #[test]
    fn a_line_whose_numbers_are_too_long_is_none() {
        let place = Place { process: u32::MAX, thread: u32::MAX, wait: u64::MAX, registration: u64::MAX };
        let long = Decision { kind: Kind::Few, place, amount: u64::MAX };
        assert_eq!(line(&long), None);
    }
}
