//! Whether a ring pays for an instance: a ski-rental problem. Each wait is charged the extra cost
//! of a poll over a ring, and the ring is made when the sum reaches the price of a ring.

use nix::errno::Errno;

use crate::facts;
use crate::graph::ring_state::RingCost;
use crate::graph::waitq::Sleeper;
use crate::io_uring;
use crate::options::{self, Poller};
use crate::sync::atomic::AtomicBool;
use crate::sync::atomic::Ordering::Relaxed;

/// The kernel refused the library a ring, so it is not asked again.
static REFUSED: AtomicBool = AtomicBool::new(false);

/// Asks the kernel whether it refuses rings.
pub fn ask_kernel() {
    if !io_uring::is_permitted() {
        REFUSED.store(true, Relaxed);
    }
}

/// Smaller instances are polled faster than a ring is submitted to, unless they have edge-triggered
/// registrations.
const FEWEST: usize = 12;
/// From this number of edge-triggered registrations on, counting arrivals costs more than a ring.
const FEWEST_EDGES: usize = 2;
/// From this number of registrations on, a process without threads gets its ring as it adds them: a
/// request costs it half as much as the ADD itself, and 20 polls without it cost as much.
const MANY: usize = 256;
/// A ring takes a descriptor and ten pages, or forty if it is made early. Beyond this number of rings in the process,
/// instances are polled.
const MOST_RINGS: usize = 128;
/// The price of a ring, in polled descriptors: for the ring itself, for a registration, and for an
/// edge that has to be distinguished by counting.
const PRICE: u64 = 4096;
const PRICE_OF_ONE: u64 = 16;
const PRICE_OF_EDGE: u64 = 32;
/// After this many changes of the waiting thread, without a ring in between, several threads share
/// the instance.
const OFTEN: u8 = 32;
/// The factor by which a ring is dearer if other threads may come to wait; and the next ring, after
/// one was given up.
const RISE: u64 = 16;

impl RingCost {
    /// Whether the instance gets a ring from the beginning, whether it pays or not.
    pub(super) fn is_promised(&self, me: &'static Sleeper) -> bool {
        options::poller() == Poller::Uring && self.raised == 0 && self.allows(me)
    }

    /// Whether there are so many registrations that the instance gets its ring as they are added.
    pub(super) fn is_for_many(&self, registrations: usize) -> bool {
        let is_wanted = match options::poller() {
            Poller::Uring => true,
            Poller::Auto => registrations >= MANY,
            _ => false,
        };
        is_wanted && self.was_never_refused()
    }

    /// Whether the kernel has refused no ring, and the instance has given up none.
    fn was_never_refused(&self) -> bool {
        !self.spoilt && self.raised == 0 && !REFUSED.load(Relaxed)
    }

    /// Whether this thread may own a ring before its first wait, or between two. No other thread may
    /// have waited.
    pub(super) fn fits_early(&self, me: &'static Sleeper) -> bool {
        let is_only = self.turnover <= 1 && self.regular.is_none_or(|regular| std::ptr::eq(regular, me));
        is_only && self.allows(me)
    }

    /// The account of an instance that a forked child inherits: as if another thread had waited, so
    /// that its first ADD makes no ring for all that it inherits.
    pub(super) fn inherited() -> RingCost {
        RingCost { turnover: 2, ..RingCost::new() }
    }

    /// Whether the instance may still get a ring, and rings are wanted wherever possible.
    pub fn may_come(&self) -> bool {
        self.was_never_refused() && options::poller() == Poller::Uring
    }

    fn allows(&self, me: &'static Sleeper) -> bool {
        let is_possible = !self.spoilt && !REFUSED.load(Relaxed) && io_uring::in_use() < MOST_RINGS;
        is_possible && matches!(options::poller(), Poller::Auto | Poller::Uring) && me.wake_fd() >= 0 && me.is_own()
    }

    /// Whether to make a ring for this wait of this thread, given the numbers of registrations and
    /// of edge-triggered ones. The thread must have waited alone for as long as it takes to pay for
    /// the ring.
    pub(super) fn pays(&mut self, registrations: usize, edges: usize, me: &'static Sleeper) -> bool {
        if !self.allows(me) || self.is_promised(me) {
            return self.is_promised(me);
        }
        if !self.regular.is_some_and(|regular| std::ptr::eq(regular, me)) {
            (self.regular, self.paid) = (Some(me), 0);
            self.shared();
        }
        if options::poller() == Poller::Auto && registrations < FEWEST && edges < FEWEST_EDGES {
            return false;
        }
        let (all, edges) = (registrations as u64, edges as u64);
        let risk = if facts::has_threads() { RISE } else { 1 };
        self.paid = self.paid.saturating_add(all + edges.min(4) * PRICE_OF_EDGE);
        self.paid > (PRICE + all * PRICE_OF_ONE).saturating_mul(risk * self.raised.max(1))
    }

    /// Records that several threads wait on the instance.
    pub(super) fn shared(&mut self) {
        self.turnover = self.turnover.saturating_add(1);
    }

    /// Whether the instance will hardly ever have a ring: the kernel refuses it, or several threads
    /// wait.
    pub(super) fn is_out_of_reach(&self) -> bool {
        self.spoilt || self.raised > 0 || self.turnover >= OFTEN || REFUSED.load(Relaxed)
    }

    /// Records that a ring could not be made. If the kernel has no rings, it is not asked again.
    pub(super) fn refuse(&mut self, errno: Errno) {
        self.spoilt = true;
        if !matches!(errno, Errno::EMFILE | Errno::ENFILE | Errno::ENOMEM) {
            REFUSED.store(true, Relaxed);
        }
    }

    /// Records that the ring was given up. A ring that failed is not made again; another one is
    /// made when polling has cost a multiple of what it cost before.
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
        let mut ring_cost = RingCost::new();
        ring_cost.give_up(false);
        let first = ring_cost.raised;
        ring_cost.give_up(false);
        assert!(ring_cost.raised > first && first > 1);
        assert!(!ring_cost.spoilt);
    }
}
