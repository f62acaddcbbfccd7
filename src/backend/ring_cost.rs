//! Whether a ring is worth making for an instance: rent or buy. Every wait is charged what a poll costs more than a ring, and the ring is
//! made when that adds up to the price of a ring.

use nix::errno::Errno;

use crate::facts;
use crate::graph::ring_state::Prospect;
use crate::graph::waitq::Sleeper;
use crate::options::{self, Poller};
use crate::ring;
use crate::sync::atomic::AtomicBool;
use crate::sync::atomic::Ordering::Relaxed;

/// The kernel has no rings for us: not asked again.
static REFUSED: AtomicBool = AtomicBool::new(false);

/// Smaller instances are polled faster than a ring is asked, unless they have edge-triggered registrations.
const FEWEST: usize = 12;
/// Counting what arrives costs more than a ring from so many edge-triggered ones on.
const FEWEST_EDGES: usize = 2;
/// A ring takes a descriptor and some ten pages: beyond so many in the process, instances are polled.
const MOST_RINGS: usize = 128;
/// What a ring costs, in descriptors polled: the ring itself, a registration, and an edge that has to be told apart by counting.
const PRICE: u64 = 4096;
const PRICE_OF_ONE: u64 = 16;
const PRICE_OF_EDGE: u64 = 32;
/// How much dearer a ring is where other threads may come to wait, and the next one than the one that was given up.
const RISE: u64 = 16;

impl Prospect {
    /// Whether the instance is to have a ring from the beginning, whether it pays or not.
    pub(super) fn is_promised(&self, me: &'static Sleeper) -> bool {
        options::poller() == Poller::Uring && self.raised == 0 && self.allows(me)
    }

    /// Whether there may be a ring yet, and it is wanted wherever it will do.
    pub fn may_come(&self) -> bool {
        !self.spoilt && self.raised == 0 && !REFUSED.load(Relaxed) && options::poller() == Poller::Uring
    }

    fn allows(&self, me: &'static Sleeper) -> bool {
        let is_possible = !self.spoilt && !REFUSED.load(Relaxed) && ring::in_use() < MOST_RINGS;
        is_possible && options::poller() != Poller::Poll && me.wake_fd() >= 0 && me.is_own()
    }

    /// Whether a ring is to be made for this wait of this thread, on an instance with so many registrations, of which some are
    /// edge-triggered. The thread has to have waited alone for as long as it takes to pay for the ring.
    pub(super) fn pays(&mut self, registrations: usize, edges: usize, me: &'static Sleeper) -> bool {
        if !self.allows(me) || self.is_promised(me) {
            return self.is_promised(me);
        }
        if !self.regular.is_some_and(|regular| std::ptr::eq(regular, me)) {
            (self.regular, self.paid) = (Some(me), 0);
        }
        if options::poller() == Poller::Auto && registrations < FEWEST && edges < FEWEST_EDGES {
            return false;
        }
        let (all, edges) = (registrations as u64, edges as u64);
        let risk = if facts::has_threads() { RISE } else { 1 };
        self.paid = self.paid.saturating_add(all + edges.min(4) * PRICE_OF_EDGE);
        self.paid > (PRICE + all * PRICE_OF_ONE).saturating_mul(risk * self.raised.max(1))
    }

    /// A ring could not be made: where the kernel has none, nobody asks again.
    pub(super) fn refuse(&mut self, errno: Errno) {
        self.spoilt = true;
        if !matches!(errno, Errno::EMFILE | Errno::ENFILE | Errno::ENOMEM) {
            REFUSED.store(true, Relaxed);
        }
    }

    /// The ring was given up. One that failed is not made again; another one is when polling has cost a multiple of what it had.
    pub(super) fn give_up(&mut self, failed: bool) {
        self.spoilt |= failed;
        self.raised = (self.raised.max(1) * RISE).min(1 << 32);
        (self.regular, self.paid) = (None, 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ring_that_was_given_up_is_dearer_each_time() {
        let mut prospect = Prospect::new();
        prospect.give_up(false);
        let first = prospect.raised;
        prospect.give_up(false);
        assert!(prospect.raised > first && first > 1);
        assert!(!prospect.spoilt);
    }
}
