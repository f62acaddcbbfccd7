//! Peeks, and counts of datagrams. A count moves the offset of peeks (SO_PEEK_OFF), so a count and
//! a peek exclude each other, and the offset is restored after a count.

use super::in_flight::{self, InFlight, Mark};
use super::{File, MOVED};
use crate::pool::Short;
use crate::sync;
use crate::sync::atomic::Ordering::SeqCst;

/// A peeking call in progress.
#[derive(Debug)]
pub struct Peeking {
    _mark: Mark,
}

impl File {
    /// The threads in a peeking call.
    pub(super) fn peeking(&'static self) -> InFlight {
        InFlight::on(2 * Short::of(self).to_bits().get() + 1)
    }

    /// Begins a call that peeks. It waits for a count in progress, which takes a microsecond, but
    /// not for one of its own thread that a signal handler interrupted.
    pub fn peek(&'static self) -> Peeking {
        let mut turns = 0;
        loop {
            let mark = self.peeking().begin();
            let counting = self.counting.load(SeqCst);
            if counting == 0 || counting == in_flight::own_number() {
                return Peeking { _mark: mark };
            }
            drop(mark);
            self.await_count(counting, &mut turns);
        }
    }

    /// Like `peek`, for a call that cannot wait; `None` during a count.
    pub fn try_peek(&'static self) -> Option<Peeking> {
        let mark = self.peeking().begin();
        (self.counting.load(SeqCst) == 0).then_some(Peeking { _mark: mark })
    }

    /// Runs `count` while no thread peeks; `None` if a thread does. Waits for another count, even
    /// if its thread has to wait for a processor. But it does not wait for ever, because a signal
    /// handler may hold up that thread, nor for a count that was interrupted in this thread.
    pub fn while_nobody_peeks<T>(&'static self, count: impl FnOnce() -> T) -> Option<T> {
        const PATIENCE: u32 = sync::SPINS + 1000;
        let me = in_flight::own_number();
        let mut turns = 0;
        while let Err(other) = self.counting.compare_exchange(0, me, SeqCst, SeqCst) {
            if other == me || turns > PATIENCE {
                return None;
            }
            self.await_count(other, &mut turns);
        }
        let counted = if self.peeking().by_others() { None } else { Some(count()) };
        self.counting.store(0, SeqCst);
        counted
    }

    /// Records that the offset of peeks is about to be moved.
    pub fn move_peeks(&self) {
        self.flags.fetch_or(MOVED, SeqCst);
    }

    /// Whether a count moved the offset of peeks and may not have restored it. In that case its
    /// value is not the program's.
    #[inline]
    pub fn has_moved_peeks(&self) -> bool {
        self.flags.load(SeqCst) & MOVED != 0
    }

    /// Runs `put_back`, which restores the offset of peeks, while this thread counts and no thread
    /// peeks. A call that takes data moves the offset by the amount taken, and the kernel reads and
    /// writes it in two steps. So the offset counts as restored only if there was no such call
    /// meanwhile.
    pub fn put_back_peeks<T>(&'static self, put_back: impl FnOnce() -> T) -> T {
        let (answer, ran_into) = self.while_others_take(put_back);
        if !ran_into {
            self.flags.fetch_and(!MOVED, SeqCst);
        }
        answer
    }

    /// Called after a count, and after a call that took data. If the two overlapped, the last one
    /// to finish restores the offset of peeks once more. Never waits: every count, and every call
    /// that takes data, comes here at its end, and if a peek prevents the restoration, the next of
    /// them does it.
    #[inline]
    pub fn settle_peeks(&'static self, put_back: impl Fn()) {
        while self.has_moved_peeks() && !self.taking().by_others() {
            let is_mine = self.counting.compare_exchange(0, in_flight::own_number(), SeqCst, SeqCst).is_ok();
            let may_settle = is_mine && !self.peeking().by_others();
            if may_settle {
                self.put_back_peeks(&put_back);
            }
            if is_mine {
                self.counting.store(0, SeqCst);
            }
            if !may_settle {
                return;
            }
        }
    }

    /// Waits one turn for a count of another thread.
    fn await_count(&self, thread: u32, turns: &mut u32) {
        const PAUSE_NS: u32 = 100_000;
        *turns = turns.saturating_add(1);
        if *turns <= sync::SPINS {
            sync::spin_loop();
        } else {
            sync::futex_wait(&self.counting, thread, Some(PAUSE_NS));
        }
    }
}
