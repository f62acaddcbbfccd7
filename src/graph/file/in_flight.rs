//! Calls in flight on a description, by thread. A count would not do: a thread that is cancelled in
//! a call, or leaves it by `siglongjmp`, does not come back to report that.
//!
//! There is one table for all descriptions, because there are far fewer threads than descriptions.

use std::cell::Cell;

use crate::sync::atomic::Ordering::SeqCst;
use crate::sync::atomic::{AtomicBool, AtomicU32, AtomicU64};
use crate::sys;
use crate::thread_exit;

thread_local! {
    /// The thread's number; 0 before the first query. It has no destructor, because signal handlers
    /// and thread exit read it.
    static OWN: Cell<u32> = const { Cell::new(0) };
}

/// Returns the calling thread's number.
pub fn own_number() -> u32 {
    OWN.with(|own| {
        if own.get() == 0 {
            own.set(sys::gettid().unsigned_abs());
            // The kernel knows a thread for a moment after pthread_join() has returned, so a mark
            // left behind by a cancelled call has to be removed before that.
            thread_exit::arm_without_memory();
        }
        own.get()
    })
}

/// Ends the calls of the calling thread that it left by cancellation.
pub fn end_thread() {
    let me = OWN.with(Cell::get);
    for place in CALLS.iter().flat_map(|bucket| &bucket.places) {
        let word = place.load(SeqCst);
        if me != 0 && word >> 32 == u64::from(me) {
            let _ = place.compare_exchange(word, 0, SeqCst, SeqCst);
        }
    }
}

/// The table. A call is in the bucket of its description or, if that is full, in a later one.
static CALLS: [Bucket; Bucket::COUNT] = [const { Bucket::empty() }; Bucket::COUNT];
/// The number of calls that did not fit into the table, and have no names.
static MORE: AtomicU32 = AtomicU32::new(0);

#[derive(Debug)]
struct Bucket {
    /// The thread in the upper half and the description in the lower; 0 if the place is free.
    places: [AtomicU64; Bucket::ROOM],
    /// Overflow bit: an entry hashed here was once placed in a later bucket.
    passed: AtomicBool,
}

impl Bucket {
    const ROOM: usize = 4;
    /// A power of two, at most 2^16.
    const COUNT: usize = 512;

    const fn empty() -> Bucket {
        Bucket { places: [const { AtomicU64::new(0) }; Bucket::ROOM], passed: AtomicBool::new(false) }
    }

    #[inline]
    fn find(&self, word: u64) -> Option<&AtomicU64> {
        self.places.iter().find(|place| place.load(SeqCst) == word)
    }

    #[inline]
    fn enter(&self, word: u64) -> Option<&AtomicU64> {
        self.places.iter().find(|place| place.compare_exchange(0, word, SeqCst, SeqCst).is_ok())
    }

    #[inline]
    fn has(&self, what: u32) -> bool {
        self.places.iter().any(|place| place.load(SeqCst) as u32 == what)
    }

    fn has_other(&self, what: u32, me: u32) -> bool {
        self.places.iter().any(|place| {
            let word = place.load(SeqCst);
            word as u32 == what && word >> 32 != u64::from(me)
        })
    }

    /// Removes the entries of threads that have ended: they were cancelled in their calls.
    #[cold]
    #[inline(never)]
    fn forget_dead(&self) {
        for place in &self.places {
            let word = place.load(SeqCst);
            let thread = (word >> 32) as i32;
            if ![0, own_number().cast_signed()].contains(&thread) && !sys::is_thread(thread) {
                let _ = place.compare_exchange(word, 0, SeqCst, SeqCst);
            }
        }
    }
}

/// The threads in a call of one sort on one description.
#[derive(Clone, Copy, Debug)]
pub struct InFlight(u32);

impl InFlight {
    /// `what` is a nonzero number for the sort and the description.
    pub const fn on(what: u32) -> InFlight {
        InFlight(what)
    }

    #[inline]
    fn first(self) -> usize {
        (self.0.wrapping_mul(0x9e37_79b1) >> 16) as usize % Bucket::COUNT
    }

    fn buckets(self) -> impl Iterator<Item = &'static Bucket> {
        let first = self.first();
        (first..first + Bucket::COUNT).map(|at| &CALLS[at % Bucket::COUNT])
    }

    /// The buckets that may hold an entry.
    fn reached(self) -> impl Iterator<Item = &'static Bucket> {
        let mut goes_on = true;
        self.buckets().take_while(move |bucket| std::mem::replace(&mut goes_on, bucket.passed.load(SeqCst)))
    }

    /// Begins a call of the calling thread. If the thread is in the table already, it left that
    /// call by force, or is in a signal handler that interrupted it.
    #[inline]
    pub fn begin(self) -> Mark {
        let word = u64::from(own_number()) << 32 | u64::from(self.0);
        let bucket = &CALLS[self.first()];
        let is_here = bucket.find(word).or_else(|| if bucket.passed.load(SeqCst) { None } else { bucket.enter(word) });
        Mark { place: is_here.or_else(|| self.begin_beyond(word)), word }
    }

    /// Begins a call whose first bucket is full, or was.
    #[cold]
    #[inline(never)]
    fn begin_beyond(self, word: u64) -> Option<&'static AtomicU64> {
        let here = self.reached().find_map(|bucket| bucket.find(word));
        let enter = |bucket: &'static Bucket| {
            bucket.enter(word).or_else(|| {
                bucket.forget_dead();
                let place = bucket.enter(word);
                if place.is_none() {
                    bucket.passed.store(true, SeqCst);
                }
                place
            })
        };
        let place = here.or_else(|| self.buckets().find_map(enter));
        if place.is_none() {
            MORE.fetch_add(1, SeqCst);
        }
        place
    }

    /// Whether another thread is in a call. The calling thread does not count, unless it is in a
    /// signal handler that interrupted a call.
    #[inline]
    pub fn by_others(self) -> bool {
        let bucket = &CALLS[self.first()];
        let may_be = bucket.has(self.0) || bucket.passed.load(SeqCst) || MORE.load(SeqCst) > 0;
        may_be && self.are_others()
    }

    #[cold]
    #[inline(never)]
    fn are_others(self) -> bool {
        let me = own_number();
        let others = |bucket: &Bucket| bucket.has_other(self.0, me);
        let lasting = |bucket: &Bucket| {
            others(bucket) && {
                bucket.forget_dead();
                others(bucket)
            }
        };
        MORE.load(SeqCst) > 0 || self.reached().any(lasting)
    }

    /// Removes the entries, because the record will be used for another description.
    pub fn reset(self) {
        for place in self.reached().flat_map(|bucket| &bucket.places) {
            let word = place.load(SeqCst);
            if word as u32 == self.0 {
                let _ = place.compare_exchange(word, 0, SeqCst, SeqCst);
            }
        }
    }

    /// In a forked child, empties the table: no other thread exists there, and the calling thread
    /// has another number.
    pub fn reset_all_after_fork() {
        OWN.with(|own| own.set(0));
        for bucket in &CALLS {
            bucket.places.iter().for_each(|place| place.store(0, SeqCst));
            bucket.passed.store(false, SeqCst);
        }
        MORE.store(0, SeqCst);
    }
}

/// A call that is in flight until this is dropped.
#[derive(Debug)]
pub struct Mark {
    place: Option<&'static AtomicU64>,
    word: u64,
}

impl Drop for Mark {
    fn drop(&mut self) {
        let _ = match self.place {
            Some(place) => place.compare_exchange(self.word, 0, SeqCst, SeqCst).is_ok(),
            None => MORE.fetch_update(SeqCst, SeqCst, |more| more.checked_sub(1)).is_ok(),
        };
    }
}

#[cfg(test)]
mod tests {
    use std::ptr;

    use super::*;

    #[test]
    fn a_thread_that_ended_in_a_call_is_in_none() {
        let in_flight = InFlight::on(1);
        std::thread::scope(|scope| {
            scope.spawn(|| std::mem::forget(in_flight.begin()));
        });
        // Without the handlers of a started process only the kernel shows that the thread has
        // ended, and it knows the thread for a moment longer.
        let is_seen_to_be_over = |_| {
            std::thread::yield_now();
            !in_flight.by_others()
        };
        assert!((0..1_000_000).any(is_seen_to_be_over));
    }

    #[test]
    fn the_end_of_a_thread_is_the_end_of_its_calls() {
        let in_flight = InFlight::on(4);
        let left = |ends: bool| {
            std::thread::scope(|scope| {
                scope
                    .spawn(|| {
                        std::mem::forget(in_flight.begin());
                        if ends {
                            end_thread();
                        }
                        let me = own_number();
                        CALLS
                            .iter()
                            .flat_map(|bucket| &bucket.places)
                            .any(|place| place.load(SeqCst) >> 32 == u64::from(me))
                    })
                    .join()
                    .ok()
            })
        };
        assert_eq!(left(false), Some(true));
        assert_eq!(left(true), Some(false));
    }

    #[test]
    fn a_thread_in_a_call_is_seen_by_others_until_it_is_done() {
        let in_flight = InFlight::on(2);
        let mark = in_flight.begin();
        assert!(!in_flight.by_others());
        let seen = || std::thread::scope(|scope| scope.spawn(|| in_flight.by_others()).join().ok());
        assert_eq!(seen(), Some(true));
        drop(mark);
        assert_eq!(seen(), Some(false));
    }

    #[test]
    fn a_call_that_was_left_is_none_once_the_thread_begins_another() {
        let in_flight = InFlight::on(3);
        std::mem::forget(in_flight.begin());
        drop(in_flight.begin());
        let seen = std::thread::scope(|scope| scope.spawn(|| in_flight.by_others()).join().ok());
        assert_eq!(seen, Some(false));
    }

    #[test]
    fn threads_of_one_description_are_told_from_those_of_another_in_its_bucket() {
        let one = InFlight::on(u32::MAX);
        let is_beside =
            |other: &InFlight| other.buckets().next().map(ptr::from_ref) == one.buckets().next().map(ptr::from_ref);
        let other = (1..u32::MAX).map(InFlight::on).find(is_beside).expect("one of the same bucket");
        let (begun, done) = (std::sync::Barrier::new(7), std::sync::Barrier::new(7));
        std::thread::scope(|scope| {
            for _ in 0..6 {
                scope.spawn(|| {
                    let _mark = one.begin();
                    begun.wait();
                    done.wait();
                });
            }
            begun.wait();
            assert!(one.by_others() && !other.by_others());
            let mark = other.begin();
            assert!(!other.by_others(), "more than its bucket holds, and still found to be this thread");
            drop(mark);
            done.wait();
        });
        assert!(!one.by_others());
    }
}
