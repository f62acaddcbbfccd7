//! A pause out of poll, for a thread that is chased out of it again and again: by closes, each of
//! which has to wait until it has left (D4), or by kicks that bring nothing. To poll many
//! descriptors takes long, and a burst of as many closes would have them polled for each: work that
//! grows with the square of their number. After a pause that is some times as long as the poll,
//! what came meanwhile has cost nobody a kick.

use crate::sync;
use crate::sys;
use crate::waitq::Sleeper;

/// One descriptor's share of a poll that sleeps, on its way in and out, in nanoseconds.
const SHARE_NS: u64 = 100;
/// What it costs at least to have a thread leave for which others wait.
const SWITCH_NS: u64 = 50_000;
/// The longest pause, which is what an event can be late by.
const LONGEST_NS: u64 = 5_000_000;
/// The longest in times of the poll.
const MOST: u64 = 4;
/// What comes within so long belongs to a burst: it may take a while until a thread that is woken
/// has a processor.
const NEAR_NS: u64 = 50_000_000;

/// When a thread has to rest.
#[derive(Debug)]
pub struct Rest {
    /// How often it had been made to leave.
    evictions: u32,
    /// When it was chased out last.
    at: u64,
    /// How long it rested then.
    pause: u64,
}

impl Rest {
    /// The thread was not in poll yet.
    pub fn new(me: &Sleeper) -> Rest {
        Rest { evictions: me.evictions(), at: 0, pause: 0 }
    }

    /// The thread was in poll on so many descriptors. How long it has to stay away, in nanoseconds:
    /// not at all if it was long there.
    pub fn after(&mut self, me: &Sleeper, descriptors: usize, in_vain: bool) -> Option<u32> {
        let evictions = me.evictions();
        let was_evicted = evictions != std::mem::replace(&mut self.evictions, evictions);
        let cost = (descriptors as u64 * SHARE_NS).max(if was_evicted { SWITCH_NS } else { 0 });
        // A pause shorter than a switch is none.
        (was_evicted || (in_vain && cost >= SWITCH_NS)).then(|| self.chased(sys::now(), cost)).flatten()
    }

    fn chased(&mut self, now: u64, cost: u64) -> Option<u32> {
        let is_near = now.saturating_sub(self.at) < NEAR_NS;
        let pause = if is_near { (2 * self.pause).clamp(cost, MOST * cost).min(LONGEST_NS) } else { 0 };
        (self.at, self.pause) = (now, pause);
        (pause > 0).then_some(pause as u32)
    }
}

/// Stays away for so long, from when those who wait for the thread to leave have a processor again.
/// Not under a lock.
pub fn rest(me: &Sleeper, pause: u32) {
    const STEP_NS: u32 = 200_000;
    const STEPS: u32 = 100;
    for _ in 0..STEPS {
        if !me.is_waited_for() {
            break;
        }
        sync::nap(STEP_NS);
    }
    sync::nap(pause);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn burst_is_what_comes_again_soon() {
        let mut rest = Rest { evictions: 0, at: 0, pause: 0 };
        let pauses = [1, 2, 3, 5, 9, 70, 71].map(|ms| rest.chased(100_000_000 + ms * 1_000_000, 1_000_000));
        assert_eq!(
            pauses,
            [None, Some(1_000_000), Some(2_000_000), Some(4_000_000), Some(4_000_000), None, Some(1_000_000)]
        );
    }
}
