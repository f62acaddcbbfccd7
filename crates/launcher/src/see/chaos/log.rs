//! The log that the library maps, and the one that is kept.

use crate::failure::{Failure, name, why};
use epolyfill_chaos::Decision;
use epolyfill_chaos::log::{END, LINE, ROOM, line, written};
use std::ffi::OsStr;
use std::fs::File;
use std::io::Write;
use std::path::Path;

/// What was perturbed in a run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Perturbed {
    /// In the order in which they took effect.
    pub decisions: Vec<Decision>,
    /// The processes that were observed.
    pub processes: u64,
    /// The log was full, and nothing was perturbed after that.
    pub is_full: bool,
}

/// Reads the mapped file.
pub fn read(path: &Path) -> Perturbed {
    let bytes = std::fs::read(path).unwrap_or_default();
    let Some((lines, counters)) = bytes.split_at_checked(ROOM) else { return Perturbed::default() };
    let counter = |at: usize| {
        let bytes = counters.get(at * 8..).and_then(|rest| rest.first_chunk::<8>());
        bytes.map_or(0, |bytes| u64::from_ne_bytes(*bytes))
    };
    let taken = usize::try_from(counter(0)).unwrap_or(usize::MAX).saturating_mul(LINE);
    let decisions = written(&lines[..taken.min(ROOM)]).collect();
    Perturbed { decisions, processes: counter(1), is_full: taken > ROOM }
}

/// The text of a log.
pub fn text(decisions: &[Decision], remark: &str) -> String {
    // A program's name can have any character.
    let mut text = format!("# {}\n", remark.replace(char::is_control, " "));
    for line in decisions.iter().filter_map(line) {
        text.push_str(String::from_utf8_lossy(&line).trim_end());
        text.push('\n');
    }
    text + END + "\n"
}

/// Opens the file for a log.
pub fn create(path: &OsStr) -> Result<File, Failure> {
    File::create(path).map_err(|error| unwritable(path, &error))
}

fn unwritable(path: &OsStr, error: &std::io::Error) -> Failure {
    Failure::own(format!("cannot write to {}: {}", name(path), why(error)))
}

/// Writes a log into its file.
pub fn keep(path: &OsStr, mut file: &File, text: &str) -> Result<(), Failure> {
    file.write_all(text.as_bytes()).map_err(|error| unwritable(path, &error))
}
