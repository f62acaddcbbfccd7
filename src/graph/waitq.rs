//! Sleeping threads: how a thread sleeps in `ppoll`, how another one wakes it up, and how a closing
//! thread makes sure that a sleeper has released a descriptor (D4). Kernel counterpart:
//! `wait_queue_entry`.
//!
//! A sleep on a futex would not end in EINTR and would not apply a signal mask (W8). So every sleep
//! is a `ppoll` on a wake-up descriptor of the thread, with or without an instance's poll set behind
//! it.

use std::mem::offset_of;
use std::ptr;

use epolyfill_environment::anchor::Place;
use libc::c_int;
use nix::errno::Errno;

use crate::graph::eventpoll::Eventpoll;
use crate::graph::internal_fd::InternalFd;
use crate::graph::own_table;
use crate::graph::pin::{FileHolder, FilePin, Occupancy, Release};
use crate::graph::ring_state::Spares;
use crate::graph::stats;
use crate::pool::{AtomicRef, AtomicShort, Page, Pool};
use crate::pooled;
use crate::sync;
use crate::sync::atomic::Ordering::{Relaxed, SeqCst};
use crate::sync::atomic::{AtomicBool, AtomicI32, AtomicU32};
use crate::sys;
use crate::thread_exit;
use crate::thread_words;

/// The first sleepers are static, because a wait must not fail for lack of memory.
static FIRST: Page = Page::empty();
pub static SLEEPERS: Pool<Sleeper> = Pool::new();

/// A thread that waits, or a watcher.
#[derive(Debug)]
pub struct Sleeper {
    free: AtomicShort<Sleeper>,
    /// The wake-up descriptor, which ends its sleep.
    wake: InternalFd,
    /// The descriptors of rings that the thread keeps for later.
    pub spare_rings: Spares,
    /// The descriptor of the anchor: a ring that the thread's other rings have a request on.
    pub anchor: InternalFd,
    /// Avoids a second system call for two wake-ups in succession.
    pending_wake: WakeOnce,
    /// The epoch is odd while the thread is in poll, or about to be.
    occupancy: Occupancy,
    /// The number of times that another thread made it leave poll.
    evictions: AtomicU32,
    tid: AtomicI32,
    /// The instance on whose wait queue it is, if any.
    pub waits_on: AtomicRef<Eventpoll>,
    /// The next older waiter on the same instance. Protected by the instance's lock.
    below: AtomicRef<Sleeper>,
    /// The number of the thread's waits that another wait of the thread has overtaken (see
    /// `instance/lifecycle.rs`).
    overtaken: AtomicU32,
    /// Whether the thread sleeps on an instance's poll set, or is about to, and signals are not
    /// blocked up to the sleep itself.
    unguarded: AtomicBool,
}

/// Whether a wait was overtaken in this process: signal handlers wait too, or leave waits by
/// `siglongjmp`.
#[unsafe(link_section = ".data.wait")]
static EVER_OVERTAKEN: AtomicBool = AtomicBool::new(false);

/// Records that a wait is about to be overtaken.
pub fn note_overtaking() {
    EVER_OVERTAKEN.store(true, Relaxed);
}

/// Whether a wait was ever overtaken in this process.
pub fn ever_overtaken() -> bool {
    EVER_OVERTAKEN.load(Relaxed)
}

pooled!(SLEEPERS, Sleeper, free, Sleeper::new(), first_page = FIRST);

/// A wake-up by a system call, which is skipped while an earlier one is pending. It counts as
/// pending after that call is done, not before: a signal handler may hold up the waking thread on
/// the way, and other threads must not rely on it.
#[derive(Debug)]
pub struct WakeOnce(AtomicU32);

impl WakeOnce {
    /// No wake-up is pending.
    pub const fn new() -> WakeOnce {
        WakeOnce(AtomicU32::new(0))
    }

    /// Wakes by `call`, unless a wake-up is pending. `call` returns whether it succeeded.
    pub fn wake(&self, call: impl FnOnce() -> bool) {
        // Odd while a wake-up is pending. If the number has changed afterwards, the wake-up was
        // cleared in between, perhaps before the call.
        let idle = self.0.load(SeqCst);
        if idle & 1 == 0 && call() {
            let _ = self.0.compare_exchange(idle, idle + 1, SeqCst, Relaxed);
        }
    }

    /// Clears the pending wake-up. The next one makes a call again.
    pub fn clear(&self) {
        let _ = self.0.fetch_update(SeqCst, SeqCst, |now| Some((now | 1).wrapping_add(1)));
    }
}

impl Sleeper {
    /// The fields that the launcher reads from outside.
    pub const PLACES: [(Place, usize); 3] = [
        (Place::SleeperThread, offset_of!(Sleeper, tid)),
        (Place::SleeperInstance, offset_of!(Sleeper, waits_on)),
        (Place::SleeperTurn, offset_of!(Sleeper, overtaken)),
    ];

    /// A sleeper without a thread.
    pub const fn new() -> Sleeper {
        Sleeper {
            free: AtomicShort::none(),
            wake: InternalFd::new(),
            spare_rings: Spares::new(),
            anchor: InternalFd::new(),
            pending_wake: WakeOnce::new(),
            occupancy: Occupancy::new(),
            evictions: AtomicU32::new(0),
            tid: AtomicI32::new(0),
            waits_on: AtomicRef::none(),
            below: AtomicRef::none(),
            overtaken: AtomicU32::new(0),
            unguarded: AtomicBool::new(false),
        }
    }

    /// Returns the sleeper for a wait that begins in this thread. ENOMEM if there can be none.
    #[inline(always)]
    pub fn begin() -> Result<&'static Sleeper, Errno> {
        let own = Sleeper::own()?;
        // Without a free number the thread has no descriptor, and looks around now and then instead
        // (see `wait.rs`).
        let _ = own.ensure_wake();
        Ok(own)
    }

    /// Returns the calling thread's sleeper, which is made at the first use.
    #[inline]
    fn own() -> Result<&'static Sleeper, Errno> {
        Sleeper::current().map_or_else(Sleeper::new_own, Ok)
    }

    #[cold]
    fn new_own() -> Result<&'static Sleeper, Errno> {
        let fresh = SLEEPERS.take()?;
        fresh.tid.store(sys::gettid(), Relaxed);
        fresh.unguarded.store(false, Relaxed);
        Sleeper::set_current(Some(fresh));
        thread_exit::arm();
        Ok(fresh)
    }

    /// Returns the calling thread's sleeper; `None` if the thread is in a wait or there can be no
    /// sleeper.
    pub fn idle_own() -> Option<&'static Sleeper> {
        let own = Sleeper::own().ok()?;
        let _ = own.ensure_wake();
        Some(own).filter(|own| own.waits_on.get().is_none())
    }

    /// The number of the thread's waits that were overtaken so far. A wait records it when it joins
    /// its instance.
    pub fn turn(&self) -> u32 {
        self.overtaken.load(Relaxed)
    }

    /// Whether the wait that joined in this turn was overtaken since. Such a wait has left its
    /// instance and no longer pins it.
    pub fn has_left(&self, turn: u32) -> bool {
        self.turn() != turn
    }

    /// Records whether signals are unblocked between here and the end of the sleep on the poll set.
    /// The instance's lock is held.
    pub fn set_unguarded(&self, unguarded: bool) {
        self.unguarded.store(unguarded, Relaxed);
    }

    /// Whether a signal handler can interrupt the thread between its last look and its sleep on the
    /// poll set.
    pub fn is_unguarded(&self) -> bool {
        self.unguarded.load(Relaxed)
    }

    /// Returns the calling thread's sleeper, if it has one.
    #[inline(always)]
    pub fn current() -> Option<&'static Sleeper> {
        // SAFETY: null, or what `set_current` has put there.
        unsafe { thread_words::with(|words| words.sleeper.get()).cast::<Sleeper>().as_ref() }
    }

    /// Sets the calling thread's sleeper, which `process.rs` retires at thread exit.
    fn set_current(sleeper: Option<&'static Sleeper>) {
        let sleeper = sleeper.map_or(ptr::null(), ptr::from_ref);
        thread_words::with(|words| words.sleeper.set(sleeper.cast()));
    }

    /// Retires the sleeper of a thread that ends and is in no wait.
    pub fn retire(&'static self) {
        Sleeper::set_current(None);
        SLEEPERS.give_back(self);
    }

    /// Whether this is the calling thread's sleeper.
    pub fn is_own(&self) -> bool {
        Sleeper::current().is_some_and(|own| std::ptr::eq(own, self))
    }

    /// Ends the thread's wait. If its frames ever run again, they find that out by
    /// [`Sleeper::has_left`].
    pub fn end_turn(&self) {
        self.overtaken.store(self.turn().wrapping_add(1), Relaxed);
        self.unguarded.store(false, Relaxed);
        let epoch = self.occupancy.epoch();
        if epoch & 1 == 1 {
            self.leave_poll(epoch);
        }
    }

    /// Returns the wake-up descriptor, which is made at the first use.
    #[inline(always)]
    pub fn ensure_wake(&'static self) -> Result<c_int, Errno> {
        if self.wake.is_there() { Ok(self.wake.number()) } else { self.make_wake() }
    }

    #[cold]
    fn make_wake(&'static self) -> Result<c_int, Errno> {
        let wake = self.wake.adopt(sys::wakeup()?)?;
        // Wake-ups that came while there was no descriptor are lost, and the next must not be
        // skipped because of them.
        self.pending_wake.clear();
        Ok(wake)
    }

    /// The wake-up descriptor. A thread that is going to sleep on it must be in poll by now;
    /// otherwise the descriptor may have moved.
    pub fn wake_fd(&self) -> c_int {
        self.wake.number()
    }

    /// Whether the thread cannot be woken before something else ends its sleep, because its wake-up
    /// descriptor was closed by a call that the library did not see.
    pub fn cannot_wake(&self) -> bool {
        self.wake.is_lost()
    }

    /// Gives up the wake-up descriptor, which was closed by a call that the library did not see.
    /// The next wait makes a new one. By now the program may have opened the number again, so it is
    /// not closed.
    pub fn lose_wake(&self) {
        self.wake.give_up();
    }

    /// Wakes the thread, unless an earlier wake-up is pending.
    pub fn wake_up(&self) {
        self.pending_wake.wake(|| {
            !own_table::is_unshared() && self.wake.with(|wake| sync::write(wake, &1u64.to_ne_bytes()).is_ok())
        });
    }

    /// Clears a wake-up. The order matters: one between the two lines is lost, but its cause
    /// precedes it, and the caller looks at everything afterwards. Threads that wake this one at the
    /// same time as it clears may have written more than once; what is left of that in a self-pipe
    /// ends the next sleep early.
    pub fn clear_wakeup(&self) {
        let mut counts = [0; 64];
        let _ = self.wake.with(|wake| sync::read(wake, &mut counts));
        self.pending_wake.clear();
    }

    /// Records the thread to which the sleeper belongs.
    pub fn set_tid(&self, tid: i32) {
        self.tid.store(tid, Relaxed);
    }

    /// Begins an epoch in which the thread may be in poll, and returns it.
    pub fn enter_poll(&self) -> u32 {
        self.occupancy.advance()
    }

    /// Ends the epoch: the thread has left the poll that it entered in it, and pins no open file.
    /// Does nothing if another wait of the thread has overtaken that one.
    pub fn leave_poll(&self, entered: u32) {
        self.occupancy.end(entered);
    }

    /// Whether another thread waits for this one to leave, or has not yet noticed that it has left.
    pub fn is_waited_for(&self) -> bool {
        self.occupancy.is_waited_for()
    }

    /// The number of times that another thread made it leave poll.
    pub fn evictions(&self) -> u32 {
        self.evictions.load(Relaxed)
    }

    /// Returns the thread's pin on each file that it polls, if it is in poll or about to be.
    pub fn pin(&'static self) -> Option<FilePin> {
        Some(FilePin::by(self)).filter(|pin| pin.epoch() & 1 == 1)
    }

    /// Makes the thread leave poll, if it is there, and waits until it has. The caller holds no
    /// lock.
    pub fn evict(&'static self) {
        if let Some(pin) = self.pin() {
            pin.wait_unpinned();
        }
    }

    /// Makes every thread that waits leave poll.
    pub fn evict_all() {
        SLEEPERS.for_each(Sleeper::evict);
    }

    /// In a forked child, resets all sleepers. The only thread is this one, under another number.
    pub fn reset_all_after_fork() {
        let forked = Sleeper::current().map(|own| own.tid.load(Relaxed));
        SLEEPERS.for_each(|sleeper| sleeper.reset_after_fork(Some(sleeper.tid.load(Relaxed)) == forked));
    }

    /// In a forked child, resets the sleeper, whose descriptor is the parent's. No thread is in poll
    /// or waits, with one exception: a fork in a signal handler that interrupted a wait, to which
    /// the child returns.
    pub fn reset_after_fork(&'static self, came_along: bool) {
        self.wake.close_after_fork();
        self.spare_rings.places().iter().for_each(InternalFd::close_after_fork);
        self.anchor.close_after_fork();
        self.pending_wake.clear();
        self.occupancy.forget_waiters();
        if came_along {
            self.tid.store(sys::gettid(), Relaxed);
        }
        if came_along && self.waits_on.get().is_some() {
            let _ = self.ensure_wake();
        } else {
            self.occupancy.reset();
            self.waits_on.set(None);
        }
    }
}

impl FileHolder for Sleeper {
    fn occupancy(&self) -> &Occupancy {
        &self.occupancy
    }

    fn ask_to_release(&'static self, _: u32) -> Release {
        if self.tid.load(Relaxed) == sys::gettid() || self.cannot_wake() {
            return Release::Done;
        }
        stats::EVICTIONS.count();
        self.evictions.fetch_add(1, Relaxed);
        self.wake_up();
        Release::Expected
    }

    /// The thread is in a signal handler, and outside of poll already.
    fn overdue(&'static self, _: u32) {}
}

/// The threads in a wait on one instance, as a stack that is linked through its members, so a wait
/// allocates nothing.
#[derive(Debug)]
pub struct Waiters(Option<&'static Sleeper>);

impl Waiters {
    /// No waiters.
    pub const fn new() -> Waiters {
        Waiters(None)
    }

    /// The thread that came last.
    pub fn last(&self) -> Option<&'static Sleeper> {
        self.0
    }

    /// Whether no thread waits.
    pub fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// The number of waiting threads.
    pub fn count(&self) -> usize {
        self.iter().count()
    }

    /// The number of threads that came after this one.
    pub fn newer_than(&self, sleeper: &Sleeper) -> usize {
        self.iter().take_while(|other| !std::ptr::eq(*other, sleeper)).count()
    }

    /// Whether this thread is the only waiter.
    pub fn has_only(&self, sleeper: &Sleeper) -> bool {
        self.0.is_some_and(|last| std::ptr::eq(last, sleeper) && last.below.get().is_none())
    }

    /// Adds a thread, as the newest.
    pub fn push(&mut self, sleeper: &'static Sleeper) {
        sleeper.below.set(self.0);
        self.0 = Some(sleeper);
    }

    /// Removes a thread.
    pub fn remove(&mut self, sleeper: &'static Sleeper) {
        match self.iter().find(|other| other.below.get().is_some_and(|below| std::ptr::eq(below, sleeper))) {
            Some(above) => above.below.set(sleeper.below.get()),
            None if self.0.is_some_and(|last| std::ptr::eq(last, sleeper)) => self.0 = sleeper.below.get(),
            None => {}
        }
    }

    /// In a forked child, after the sleepers were reset, removes the threads that do not exist in
    /// the child. Returns how many those were.
    pub fn drop_absent(&mut self) -> usize {
        let mut count = 0;
        while let Some(absent) = self.iter().find(|sleeper| sleeper.waits_on.get().is_none()) {
            self.remove(absent);
            count += 1;
        }
        count
    }

    /// Makes every waiter look around.
    pub fn wake_all(&self) {
        self.iter().for_each(Sleeper::wake_up);
    }

    fn iter(&self) -> impl Iterator<Item = &'static Sleeper> + use<> {
        std::iter::successors(self.0, |sleeper| sleeper.below.get())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs `test` with the sleepers of this thread and of two others, which stay alive for it.
    fn with_three(test: impl FnOnce([&'static Sleeper; 3])) {
        use std::sync::mpsc::channel;
        std::thread::scope(|scope| {
            let (mine, sleepers) = channel();
            let other = || {
                let mine = mine.clone();
                // Dropped with the test, whether it passes or not.
                let (alive, end) = channel::<()>();
                scope.spawn(move || {
                    mine.send(Sleeper::begin().expect("memory")).expect("a receiver");
                    let _ = end.recv();
                });
                (sleepers.recv().expect("a sleeper"), alive)
            };
            let ((b, _b_is_alive), (c, _c_is_alive)) = (other(), other());
            test([Sleeper::begin().expect("memory"), b, c]);
        });
    }

    #[test]
    fn the_newest_waiter_is_the_last() {
        // W9: the newest one polls.
        with_three(|[a, b, c]| {
            let mut waiters = Waiters::new();
            [a, b, c].into_iter().for_each(|sleeper| waiters.push(sleeper));
            assert!(waiters.last().is_some_and(|last| std::ptr::eq(last, c)));
            assert_eq!([a, b, c].map(|sleeper| waiters.newer_than(sleeper)), [2, 1, 0]);
        });
    }

    #[test]
    fn a_waiter_leaves_from_any_place() {
        with_three(|[a, b, c]| {
            for (gone, left) in [(a, [b, c]), (b, [a, c]), (c, [a, b])] {
                let mut waiters = Waiters::new();
                [a, b, c].into_iter().for_each(|sleeper| waiters.push(sleeper));
                waiters.remove(gone);
                assert_eq!(waiters.count(), 2);
                assert_eq!(left.map(|sleeper| waiters.newer_than(sleeper)), [1, 0]);
            }
        });
    }

    #[test]
    fn a_waiter_that_is_gone_is_not_removed_again() {
        with_three(|[a, b, _]| {
            let mut waiters = Waiters::new();
            waiters.push(a);
            waiters.remove(b);
            assert!(waiters.has_only(a));
            waiters.remove(a);
            waiters.remove(a);
            assert!(waiters.is_empty());
        });
    }

    #[test]
    fn a_second_wake_up_before_the_first_is_cleared_writes_nothing() {
        let sleeper = Sleeper::begin().expect("memory");
        let wake = sleeper.ensure_wake().expect("a descriptor");
        let count = || {
            let mut count = [0; 8];
            sys::read(wake, &mut count).map(|_| u64::from_ne_bytes(count))
        };
        sleeper.wake_up();
        sleeper.wake_up();
        assert_eq!(count(), Ok(1));
        sleeper.clear_wakeup();
        sleeper.wake_up();
        assert_eq!(count(), Ok(1));
    }
}
