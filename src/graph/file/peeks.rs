//! Peeks, and counts of datagrams, which move the place where a peek begins (SO_PEEK_OFF): a count
//! and a peek exclude each other, and the place is put back after a count.

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

    /// A call that peeks begins. It waits for a count in progress, which takes a microsecond; not
    /// for one of its own thread, which a signal handler interrupted.
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

    /// The same, for a call that cannot wait; `None` during a count.
    pub fn try_peek(&'static self) -> Option<Peeking> {
        let mark = self.peeking().begin();
        (self.counting.load(SeqCst) == 0).then_some(Peeking { _mark: mark })
    }

    /// Runs `count` while nobody peeks; `None` if somebody does. Another count it waits for, also
    /// if its thread has to wait for a processor; but not for ever, because a signal handler may
    /// hold it up, and not for one that was interrupted in this thread.
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

    /// The place where a peek begins is about to be moved.
    pub fn move_peeks(&self) {
        self.flags.fetch_or(MOVED, SeqCst);
    }

    /// Whether the place where a peek begins was moved by a count, and may not be back: then it is
    /// not the program that has it where it is.
    #[inline]
    pub fn has_moved_peeks(&self) -> bool {
        self.flags.load(SeqCst) & MOVED != 0
    }

    /// Runs `put_back`, which puts the place where a peek begins back, while this thread counts and
    /// nobody peeks. A call that takes moves the place by what it took, and the kernel reads and
    /// writes it in two steps; so it is back only if there was no such call meanwhile.
    pub fn put_back_peeks<T>(&'static self, put_back: impl FnOnce() -> T) -> T {
        let (answer, ran_into) = self.while_others_take(put_back);
        if !ran_into {
            self.flags.fetch_and(!MOVED, SeqCst);
        }
        answer
    }

    /// After a count, or a call that took: if one ran into the other, the place where a peek begins
    /// is put back once more, by whoever is done last. Never waits: who counts, or takes, comes
    /// here after that; and what a peek is in the way of is left to the next of them.
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

    /// One turn of waiting for a count of another thread.
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
