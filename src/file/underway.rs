//! Calls that are under way on a description, by thread. Not a count: a thread that is cancelled in a call, or leaves it by `siglongjmp`, does not
//! come back to say so.

use std::cell::Cell;

use crate::sync::atomic::Ordering::SeqCst;
use crate::sync::atomic::{AtomicI32, AtomicU32};
use crate::sys;

thread_local! {
    /// The thread's number; 0 before it was asked for. Without a destructor: it is read in signal handlers and at thread exit.
    static OWN: Cell<i32> = const { Cell::new(0) };
}

/// The calling thread's number.
pub fn own_number() -> i32 {
    OWN.with(|own| {
        if own.get() == 0 {
            own.set(sys::gettid());
        }
        own.get()
    })
}

/// Who is in a call.
#[derive(Debug)]
pub struct Underway {
    threads: [AtomicI32; Underway::ROOM],
    /// So many more, without names.
    more: AtomicU32,
}

impl Underway {
    const ROOM: usize = 4;

    /// Nobody.
    pub const fn none() -> Underway {
        Underway { threads: [const { AtomicI32::new(0) }; Underway::ROOM], more: AtomicU32::new(0) }
    }

    /// The calling thread begins. If it is here already, it left that call by force, or is in a signal handler within it.
    pub fn begin(&self) -> Mark<'_> {
        let me = own_number();
        let enter =
            |from: i32| self.threads.iter().find(|place| place.compare_exchange(from, me, SeqCst, SeqCst).is_ok());
        let place = enter(me).or_else(|| enter(0)).or_else(|| {
            self.forget_dead(me);
            enter(0)
        });
        if place.is_none() {
            self.more.fetch_add(1, SeqCst);
        }
        Mark { underway: self, place, me }
    }

    /// Whether another thread is in a call. The calling thread is not, unless it is in a signal handler within one.
    pub fn by_others(&self) -> bool {
        let me = own_number();
        let others = || self.threads.iter().any(|place| ![0, me].contains(&place.load(SeqCst)));
        self.more.load(SeqCst) > 0
            || others() && {
                self.forget_dead(me);
                others()
            }
    }

    /// Threads that have ended were cancelled in their calls.
    #[cold]
    fn forget_dead(&self, me: i32) {
        for place in &self.threads {
            let thread = place.load(SeqCst);
            if ![0, me].contains(&thread) && !sys::is_thread(thread) {
                let _ = place.compare_exchange(thread, 0, SeqCst, SeqCst);
            }
        }
    }

    /// The description is another's from here on, or the process a forked child's, to which no other thread came along.
    pub fn reset(&self) {
        self.threads.iter().for_each(|place| place.store(0, SeqCst));
        self.more.store(0, SeqCst);
    }

    /// In a forked child the calling thread has another number.
    pub fn forget_own_number() {
        OWN.with(|own| own.set(0));
    }
}

/// A call that is under way until this is dropped.
#[derive(Debug)]
pub struct Mark<'a> {
    underway: &'a Underway,
    place: Option<&'a AtomicI32>,
    me: i32,
}

impl Drop for Mark<'_> {
    fn drop(&mut self) {
        let _ = match self.place {
            Some(place) => place.compare_exchange(self.me, 0, SeqCst, SeqCst).is_ok(),
            None => self.underway.more.fetch_update(SeqCst, SeqCst, |more| more.checked_sub(1)).is_ok(),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_that_ended_in_a_call_is_in_none() {
        let underway = Underway::none();
        std::thread::scope(|scope| {
            scope.spawn(|| std::mem::forget(underway.begin()));
        });
        // The kernel has the thread for a moment longer.
        let is_seen_to_be_over = |_| {
            std::thread::yield_now();
            !underway.by_others()
        };
        assert!((0..1_000_000).any(is_seen_to_be_over));
    }

    #[test]
    fn a_thread_in_a_call_is_seen_by_others_until_it_is_done() {
        let underway = Underway::none();
        let mark = underway.begin();
        assert!(!underway.by_others());
        let seen = || std::thread::scope(|scope| scope.spawn(|| underway.by_others()).join().ok());
        assert_eq!(seen(), Some(true));
        drop(mark);
        assert_eq!(seen(), Some(false));
    }

    #[test]
    fn a_call_that_was_left_is_none_once_the_thread_begins_another() {
        let underway = Underway::none();
        std::mem::forget(underway.begin());
        drop(underway.begin());
        let seen = std::thread::scope(|scope| scope.spawn(|| underway.by_others()).join().ok());
        assert_eq!(seen, Some(false));
    }
}
