//! The audit of a program from the text of strace(1), for programs that the library cannot reach and
//! for excerpts in bug reports:
//!
//! ```text
//! strace -f -ttt -T -yy -e trace=%desc,%network -o FILE program
//! ```
//!
//! A text is read twice. First `kin` finds out which threads share their descriptors, then `judge`
//! follows them line by line (`line`, `args`, `call`), turns calls into facts (`process`), and gives
//! these to the audit. `table` is what a trace knows of the descriptors; where it does not know, the
//! rules are silent.
//!
//! Any text is accepted: what is missing (-f, the times, -T, -yy, a part of a line or of the file)
//! costs findings, and does not make wrong ones.

#![forbid(unsafe_code)]

mod args;
mod call;
mod clock;
mod judge;
mod kin;
mod label;
mod line;
mod lines;
mod names;
mod process;
mod table;

pub use judge::{Judged, OfProcess, judge};
