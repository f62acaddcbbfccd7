//! A pause out of poll, for a thread that is made to leave poll again and again. The cause is
//! closes, each of which waits until the thread has left (D4), or wakes it without news. A poll
//! over many descriptors takes long, and a burst of as many closes would repeat it for each: the
//! cost is quadratic. During a pause a few times as long as the poll, closes need not wake the
//! thread.

/// The cost of one descriptor in a poll that sleeps, in nanoseconds: the thread also joins and
/// leaves its wait queue. A poll that does not sleep costs less: `account::POLL_NS`.
const SLEEP_NS: u64 = 100;
/// The least cost of making a thread leave, to the threads that wait for it.
const SWITCH_NS: u64 = 50_000;
/// The longest pause. An event can be late by as much.
const LONGEST_NS: u64 = 5_000_000;
/// The longest pause, as a multiple of the poll's cost.
const MOST: u64 = 4;
/// The longest time between two wake-ups of one burst: a woken thread may have to wait for a
/// processor.
const NEAR_NS: u64 = 50_000_000;

/// Decides when a thread has to rest.
#[derive(Debug)]
pub struct Rest {
    /// The number of times that it had been made to leave.
    evictions: u32,
    /// The time when it was last made to leave.
    at: u64,
    /// The length of its pause then.
    pause: u64,
}

impl Rest {
    /// The state of a thread that was not in poll yet, and was made to leave `evictions` times
    /// before.
    pub const fn new(evictions: u32) -> Rest {
        Rest { evictions, at: 0, pause: 0 }
    }

    /// Records that the thread was in poll on `descriptors` descriptors, and was made to leave
    /// `evictions` times so far. Returns the length of its pause in nanoseconds, if it is to pause.
    /// `now` returns the monotonic time, and is called only if it matters.
    pub fn after(
        &mut self,
        evictions: u32,
        descriptors: usize,
        in_vain: bool,
        now: impl FnOnce() -> u64,
    ) -> Option<u32> {
        let was_evicted = evictions != core::mem::replace(&mut self.evictions, evictions);
        let cost = (descriptors as u64 * SLEEP_NS).max(if was_evicted { SWITCH_NS } else { 0 });
        // A pause that is shorter than a context switch is useless.
        (was_evicted || (in_vain && cost >= SWITCH_NS)).then(|| self.chased(now(), cost)).flatten()
    }

    fn chased(&mut self, now: u64, cost: u64) -> Option<u32> {
        let is_near = now.saturating_sub(self.at) < NEAR_NS;
        let pause = if is_near { (2 * self.pause).clamp(cost, MOST * cost).min(LONGEST_NS) } else { 0 };
        (self.at, self.pause) = (now, pause);
        (pause > 0).then_some(pause as u32)
    }
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
