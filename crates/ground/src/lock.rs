//! A small futex lock that knows when its holder was interrupted by a signal handler.
//!
//! std's mutex ends in libc's `syscall`, which this library exports, and cannot be reset in a
//! forked child; parking_lot has thread-locals with destructors. Sections under these locks are
//! short and never sleep (see "Locks" in `docs/architecture.md`).

use std::cell::{Cell, UnsafeCell};
use std::ops::{Deref, DerefMut};
use std::sync::OnceLock;
use std::sync::atomic::AtomicU32 as AtomicCounter;

use crate::sync;
use crate::sync::atomic::AtomicU32;
use crate::sync::atomic::Ordering::{Acquire, Relaxed, SeqCst};
use crate::thread_words;

const FREE: u32 = 0;
const HELD: u32 = 1;
const CONTENDED: u32 = 2;

/// Calls a function with the number of the library's locks that the thread holds; [`OWES`] is in
/// the same word. A hook that finds it above zero runs in a signal handler that interrupted the
/// library, and must take no lock.
#[inline(always)]
fn with_depth<T>(work: impl FnOnce(&Cell<u32>) -> T) -> T {
    thread_words::with(|words| work(&words.depth))
}

/// Deferred work is due when the thread releases its last lock. A bit of the same word, which is
/// read at that point anyway.
const OWES: u32 = 1 << 31;

/// Makes deferred work due, see [`set_deferred_work`].
pub fn owe_settlement() {
    with_depth(|depth| depth.set(depth.get() | OWES));
}

/// Whether the calling thread is inside this library already, which is possible only in a signal
/// handler.
pub fn interrupted() -> bool {
    with_depth(Cell::get) & !OWES > 0
}

/// Counts as a held lock: closes in signal handlers are settled when it is dropped, or later.
#[derive(Debug)]
pub struct Inside(());

impl Inside {
    /// Enters the library.
    pub fn enter() -> Inside {
        with_depth(|depth| depth.set(depth.get() + 1));
        Inside(())
    }
}

impl Drop for Inside {
    #[inline]
    fn drop(&mut self) {
        let is_to_settle = with_depth(|depth| {
            let left = depth.get() - 1;
            depth.set(if left == OWES { 0 } else { left });
            left == OWES
        });
        if is_to_settle {
            do_deferred_work();
        }
    }
}

/// The deferred work of a thread that releases its last lock; none before start-up.
static DEFERRED: OnceLock<fn()> = OnceLock::new();

/// Sets the deferred work of a thread that releases its last lock. Called once, at start-up.
pub fn set_deferred_work(work: fn()) {
    let _ = DEFERRED.set(work);
}

#[cold]
#[inline(never)]
fn do_deferred_work() {
    if let Some(work) = DEFERRED.get() {
        work();
    }
}

/// The place of a lock in the order: a thread that holds one takes none of a lower rank. Debug
/// builds assert it whenever a thread may wait for a lock. The modules that have the locks define
/// the ranks; this crate defines only the highest, its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Rank {
    order: u8,
    nests: bool,
}

impl Rank {
    /// The free lists of the pools.
    pub const POOL: Rank = Rank::new(Rank::RANKS as u8 - 2);
    /// The library's own allocator.
    pub const HEAP: Rank = Rank::new(Rank::RANKS as u8 - 1);

    const RANKS: usize = 8;

    /// A rank below [`Rank::POOL`]; 0 is the lowest.
    pub const fn new(order: u8) -> Rank {
        assert!((order as usize) < Rank::RANKS);
        Rank { order, nests: false }
    }

    /// Lets a thread hold several locks of this rank, which have an order of their own.
    pub const fn nesting(self) -> Rank {
        Rank { nests: true, ..self }
    }
}

#[cfg(debug_assertions)]
thread_local! {
    /// How many locks of each rank the thread holds.
    static RANKS_HELD: Cell<[u8; Rank::RANKS]> = const { Cell::new([0; Rank::RANKS]) };
}

#[cfg(debug_assertions)]
impl Rank {
    /// Asserts the order before the thread waits for a lock of this rank.
    fn assert_is_next(self) {
        let from = usize::from(self.order) + usize::from(self.nests);
        let above = &RANKS_HELD.get()[from..];
        assert!(above.iter().all(|&held| held == 0), "lock of rank {} taken under {above:?}", self.order);
    }

    fn count(self, change: i8) {
        let mut held = RANKS_HELD.get();
        let place = &mut held[usize::from(self.order)];
        *place = place.wrapping_add_signed(change);
        RANKS_HELD.set(held);
    }
}

#[cfg(not(debug_assertions))]
impl Rank {
    #[inline(always)]
    fn assert_is_next(self) {}

    #[inline(always)]
    fn count(self, _change: i8) {}
}

/// A value and the lock that protects it. Acquiring and releasing are SeqCst operations: a thread
/// that leaves something for the holder, and finds the lock taken, can rely on the holder to see it
/// after the release (`File::tell`).
#[derive(Debug)]
pub struct Lock<T> {
    word: AtomicU32,
    #[cfg(debug_assertions)]
    rank: Rank,
    value: UnsafeCell<T>,
}

// SAFETY: the value is reached only through a guard, of which there is one at a time.
unsafe impl<T: Send> Sync for Lock<T> {}

/// The right to use the value, until it is dropped.
#[derive(Debug)]
pub struct Guard<'a, T> {
    lock: &'a Lock<T>,
}

impl<T> Lock<T> {
    /// The offset of the word, which is 0 while the lock is free, for readers from outside.
    pub const WORD_AT: usize = std::mem::offset_of!(Self, word);
    /// The offset of the value.
    pub const VALUE_AT: usize = std::mem::offset_of!(Self, value);

    /// A free lock.
    #[cfg_attr(not(debug_assertions), expect(unused_variables))]
    pub const fn new(rank: Rank, value: T) -> Self {
        Lock {
            word: AtomicU32::new(FREE),
            #[cfg(debug_assertions)]
            rank,
            value: UnsafeCell::new(value),
        }
    }

    #[cfg(debug_assertions)]
    fn rank(&self) -> Rank {
        self.rank
    }

    #[cfg(not(debug_assertions))]
    #[inline(always)]
    fn rank(&self) -> Rank {
        Rank::new(0)
    }

    /// Makes the guard: the calling thread has acquired the lock.
    #[inline]
    fn taken(&self) -> Guard<'_, T> {
        self.rank().count(1);
        Guard { lock: self }
    }

    /// Waits for the lock. Sections are short, so it spins a little before it sleeps.
    #[inline]
    pub fn lock(&self) -> Guard<'_, T> {
        self.rank().assert_is_next();
        self.lock_out_of_order()
    }

    /// Waits for the lock without the check of its rank, for a different order, as in a fork.
    #[inline]
    fn lock_out_of_order(&self) -> Guard<'_, T> {
        with_depth(|depth| depth.set(depth.get() + 1));
        if self.word.compare_exchange(FREE, HELD, SeqCst, SeqCst).is_err() {
            wait_for(&self.word);
        }
        self.taken()
    }

    /// Waits for the lock, unless the thread is inside this library already: other frames of the
    /// thread may hold the lock, and continue only after these. Signal handlers that run after this
    /// call see the thread inside.
    #[inline(always)]
    pub fn lock_unless_inside(&self) -> Option<Guard<'_, T>> {
        let inside = Inside::enter();
        if with_depth(Cell::get) & !OWES > 1 {
            return None;
        }
        std::mem::forget(inside);
        if self.word.compare_exchange(FREE, HELD, SeqCst, SeqCst).is_err() {
            wait_for(&self.word);
        }
        Some(self.taken())
    }

    /// Takes the lock if it is free.
    pub fn try_lock(&self) -> Option<Guard<'_, T>> {
        with_depth(|depth| depth.set(depth.get() + 1));
        if self.word.compare_exchange(FREE, HELD, SeqCst, SeqCst).is_ok() {
            return Some(self.taken());
        }
        with_depth(|depth| depth.set(depth.get() - 1));
        None
    }

    /// Waits for the lock as long as `wanted` returns true, which is called every millisecond.
    pub fn lock_while(&self, mut wanted: impl FnMut() -> bool) -> Option<Guard<'_, T>> {
        const PAUSE_NS: u32 = 1_000_000;
        for _ in 0..sync::SPINS {
            if let Some(guard) = self.try_lock() {
                return Some(guard);
            }
            sync::spin_loop();
        }
        with_depth(|depth| depth.set(depth.get() + 1));
        while wanted() {
            if self.word.swap(CONTENDED, SeqCst) == FREE {
                return Some(self.taken());
            }
            sync::futex_wait(&self.word, CONTENDED, Some(PAUSE_NS));
        }
        with_depth(|depth| depth.set(depth.get() - 1));
        None
    }
}

/// The number of looks at a taken lock before a thread sleeps. Another processor releases a lock
/// within the time that a sleep and a wake-up take. But where the holder does not run, because there
/// are more threads than processors, looks are in vain: then the patience begins anew with the
/// least, and each success doubles it.
static PATIENCE: AtomicCounter = AtomicCounter::new(sync::MOST_SPINS);
/// How often the patience ended. Every sixteenth time the next thread has all of it, because a
/// success may take more than is left.
static IN_VAIN: AtomicCounter = AtomicCounter::new(0);

/// Acquires the lock if it is released in time.
fn spin(word: &AtomicU32) -> bool {
    let is_trial = IN_VAIN.load(Relaxed) % 16 == 15;
    let patience = if is_trial { sync::MOST_SPINS } else { PATIENCE.load(Relaxed) };
    for _ in 0..patience {
        if word.load(Relaxed) == FREE && word.compare_exchange(FREE, HELD, SeqCst, SeqCst).is_ok() {
            PATIENCE.store((2 * patience).min(sync::MOST_SPINS), Relaxed);
            return true;
        }
        sync::spin_loop();
    }
    IN_VAIN.fetch_add(1, Relaxed);
    if !is_trial {
        PATIENCE.store(sync::SPINS, Relaxed);
    }
    false
}

/// Acquires a lock that another thread has.
#[cold]
#[inline(never)]
fn wait_for(word: &AtomicU32) {
    if spin(word) {
        return;
    }
    while word.swap(CONTENDED, SeqCst) != FREE {
        sync::futex_wait(word, CONTENDED, None);
    }
}

/// Wakes a thread that waits for a lock. Not inlined, like the other rare halves of a lock: the
/// common half is in each function that holds one.
#[cold]
#[inline(never)]
fn wake_waiter(word: &AtomicU32) {
    sync::futex_wake(word, 1);
}

/// A lock, or all locks of one kind, for a fork.
pub trait ForkLock: Sync {
    /// Locks without a guard, before the fork.
    fn lock_for_fork(&self);

    /// Releases the lock after the fork, in the parent and in the child.
    ///
    /// # Safety
    /// The calling thread, or the one that forked it, must have called `lock_for_fork` and not
    /// unlocked since.
    unsafe fn unlock_after_fork(&self);

    /// Whether the lock is free.
    fn is_free(&self) -> bool;
}

impl<T: Send> ForkLock for Lock<T> {
    fn lock_for_fork(&self) {
        std::mem::forget(self.lock_out_of_order());
    }

    unsafe fn unlock_after_fork(&self) {
        drop(Guard { lock: self });
    }

    fn is_free(&self) -> bool {
        self.word.load(Acquire) == FREE
    }
}

impl<T> Deref for Guard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        // SAFETY: the guard proves that this thread holds the lock.
        unsafe { &*self.lock.value.get() }
    }
}

impl<T> DerefMut for Guard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: the guard proves that this thread holds the lock, and it is borrowed exclusively.
        unsafe { &mut *self.lock.value.get() }
    }
}

impl<T> Drop for Guard<'_, T> {
    #[inline(always)]
    fn drop(&mut self) {
        self.lock.rank().count(-1);
        if self.lock.word.swap(FREE, SeqCst) == CONTENDED {
            wake_waiter(&self.lock.word);
        }
        drop(Inside(()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_threads_count_without_losing_one() {
        let lock = Lock::new(Rank::new(0), 0u64);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| (0..100_000).for_each(|_| *lock.lock() += 1));
            }
        });
        assert_eq!(*lock.lock(), 400_000);
    }

    #[test]
    fn a_held_lock_cannot_be_tried_and_marks_the_thread_as_inside() {
        let lock = Lock::new(Rank::new(0), ());
        assert!(!interrupted());
        let guard = lock.lock();
        assert!(interrupted());
        assert!(lock.try_lock().is_none());
        drop(guard);
        assert!(!interrupted());
        assert!(lock.try_lock().is_some());
    }

    #[test]
    fn thread_inside_is_refused_by_the_lock_that_asks() {
        let (lock, other) = (Lock::new(Rank::new(1), ()), Lock::new(Rank::new(0), ()));
        let guard = other.lock();
        assert!(lock.lock_unless_inside().is_none());
        assert!(lock.is_free());
        drop(guard);
        assert!(!interrupted());
        let guard = lock.lock_unless_inside();
        assert!(guard.is_some() && interrupted());
        drop(guard);
        assert!(!interrupted() && lock.is_free());
    }

    #[cfg(debug_assertions)]
    #[test]
    #[should_panic(expected = "lock of rank 1 taken under")]
    fn lock_below_the_highest_that_is_held_is_a_fault() {
        let (low, high) = (Lock::new(Rank::new(1), ()), Lock::new(Rank::new(2), ()));
        let _high = high.lock();
        let _low = low.lock();
    }

    #[test]
    fn locks_of_a_rank_that_nests_may_be_held_together() {
        let rank = Rank::new(1).nesting();
        let (outer, inner) = (Lock::new(rank, ()), Lock::new(rank, ()));
        let outer = outer.lock();
        assert!(inner.try_lock().is_some());
        let inner = inner.lock();
        drop(outer);
        drop(inner);
    }
}
