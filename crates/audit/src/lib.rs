//! The audit: what is wrong with a program's use of epoll, from the stream of facts alone.
//!
//! [`Auditor::take`] keeps a [`Mirror`] of the interest graph, and gives each fact, with the state
//! before and after it, to the rules (`rules/`). A rule that has proved something reports a
//! [`Finding`]. Where a rule needs more than the facts, such as the bytes that are unread, it asks
//! the [`World`].
//!
//! A finding of the grade [`Grade::Fault`] is proved by the facts of this run. A pattern that a
//! correct program can show is a suspect, waste is a note.
//!
//! The library runs this inside the program, so nothing here may panic, and an allocation that
//! fails loses the fact ([`Summary::lost`]), not the program.

#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;
#[cfg(test)]
extern crate std;

mod auditor;
pub mod counts;
mod finding;
mod mirror;
mod rules;
mod tables;
mod world;

pub use auditor::{Auditor, Summary};
pub use finding::{BYTES as FINDING_BYTES, Described, Finding, Grade, Rule};
pub use mirror::{Batched, File, FileId, Instance, Mirror, Registration, RegistrationId, Thread};
pub use world::{Look, ThreadTimes, World};
