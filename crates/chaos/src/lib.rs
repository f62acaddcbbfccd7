//! Chaos: a run of a program in which waits end differently than usual, so that its races show.
//!
//! Every history that the strict kinds produce is one that Linux could have produced, under some
//! timing of the scheduler, of the network and of other processes. The manual kinds are allowed by
//! the manual pages, but no kernel does them; they have to be named.
//!
//! A [`Plan`] decides. Each decision is a hash of the seed, the kind and its [`Place`], and no draw
//! from a stream: one wait more in a thread changes nothing in another. The decisions that had an
//! effect are in a log, of one [`line`](log::line) each, and a plan made from a log takes these and
//! no others.

#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;
#[cfg(test)]
extern crate std;

mod decision;
mod kinds;
pub mod log;
mod plan;
mod shuffle;

pub use decision::{Decision, Place};
pub use epolyfill_facts::ChaosKind as Kind;
pub use kinds::{ALL, Row, Tier, by_name, row};
pub use plan::{Complaint, Plan, hash};
pub use shuffle::shuffle;
