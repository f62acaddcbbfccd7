//! Sleeping threads: how one sleeps in `ppoll`, how another wakes it, and how a closer makes sure that it has let go of a
//! descriptor (D4). Kernel counterpart: `wait_queue_entry`.
//!
//! A futex would neither end in EINTR nor honour a signal mask (W8), so every sleep is a `ppoll` on an eventfd of the thread's
//! own, with or without an instance's poll set behind it.

use std::cell::Cell;

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

/// The first sleepers need no memory, because a wait is not to fail for want of it.
static FIRST: Page = Page::empty();
pub static SLEEPERS: Pool<Sleeper> = Pool::new();

/// A thread that waits, or a watcher.
#[derive(Debug)]
pub struct Sleeper {
    free: AtomicShort<Sleeper>,
    /// The eventfd that ends its sleep.
    wake: InternalFd,
    /// The descriptors of rings that the thread keeps for later.
    pub spare_rings: Spares,
    /// The descriptor of a ring that its rings have a request on.
    pub anchor: InternalFd,
    /// Spares the second of two kicks.
    kicks: Bell,
    /// The epoch is odd while the thread is in poll, or about to be.
    occupancy: Occupancy,
    /// How often somebody made it leave poll.
    evictions: AtomicU32,
    tid: AtomicI32,
    /// The instance whose wait queue it is in, if any.
    pub waits_on: AtomicRef<Eventpoll>,
    /// The thread that waits on the same instance and came before. Protected by the instance's lock.
    below: AtomicRef<Sleeper>,
    /// How many of the thread's waits another wait of the thread has overtaken (see `instance/lifecycle.rs`).
    overtaken: AtomicU32,
    /// The thread sleeps on an instance's poll set, or is about to, and signals are not blocked up to the sleep itself.
    unguarded: AtomicBool,
}

/// A wait was overtaken in this process: signal handlers wait too, or leave waits by `siglongjmp`.
static EVER_OVERTAKEN: AtomicBool = AtomicBool::new(false);

/// A wait is about to be overtaken.
pub fn note_overtaking() {
    EVER_OVERTAKEN.store(true, Relaxed);
}

/// Whether a wait was ever overtaken in this process.
pub fn ever_overtaken() -> bool {
    EVER_OVERTAKEN.load(Relaxed)
}

pooled!(SLEEPERS, Sleeper, free, Sleeper::new(), first_page = FIRST);

/// Something that is rung with a system call, which is spared while it rings already. It counts as ringing once that call is done
/// and not before: whoever rings it may be held up by a signal handler on the way, and others must not rely on him.
#[derive(Debug)]
pub struct Bell(AtomicU32);

impl Bell {
    /// Not ringing.
    pub const fn new() -> Bell {
        Bell(AtomicU32::new(0))
    }

    /// Rings it by `call`, unless it rings; `call` tells whether it succeeded.
    pub fn ring(&self, call: impl FnOnce() -> bool) {
        // Odd while it rings. It was silenced in between if the number is another afterwards, perhaps before the call.
        let silent = self.0.load(SeqCst);
        if silent & 1 == 0 && call() {
            let _ = self.0.compare_exchange(silent, silent + 1, SeqCst, Relaxed);
        }
    }

    /// It was heard: the next ring is a new one.
    pub fn silence(&self) {
        let _ = self.0.fetch_update(SeqCst, SeqCst, |now| Some((now | 1).wrapping_add(1)));
    }
}

thread_local! {
    /// The calling thread's sleeper. Without a destructor: `process.rs` retires it at thread exit.
    static OWN: Cell<Option<&'static Sleeper>> = const { Cell::new(None) };
}

impl Sleeper {
    /// A sleeper without a thread.
    pub const fn new() -> Sleeper {
        Sleeper {
            free: AtomicShort::none(),
            wake: InternalFd::new(),
            spare_rings: Spares::new(),
            anchor: InternalFd::new(),
            kicks: Bell::new(),
            occupancy: Occupancy::new(),
            evictions: AtomicU32::new(0),
            tid: AtomicI32::new(0),
            waits_on: AtomicRef::none(),
            below: AtomicRef::none(),
            overtaken: AtomicU32::new(0),
            unguarded: AtomicBool::new(false),
        }
    }

    /// The sleeper for a wait that begins in this thread now. ENOMEM when there can be none.
    pub fn begin() -> Result<&'static Sleeper, Errno> {
        let own = Sleeper::own()?;
        // Where no number is free the thread waits without: it looks around now and then instead (see `wait.rs`).
        let _ = own.ensure_wake();
        Ok(own)
    }

    /// The calling thread's, made at the first use.
    fn own() -> Result<&'static Sleeper, Errno> {
        if let Some(own) = OWN.get() {
            return Ok(own);
        }
        let fresh = SLEEPERS.take()?;
        fresh.tid.store(sys::gettid(), Relaxed);
        fresh.unguarded.store(false, Relaxed);
        OWN.set(Some(fresh));
        thread_exit::arm();
        Ok(fresh)
    }

    /// The calling thread's, unless the thread is in a wait, or none can be had.
    pub fn idle_own() -> Option<&'static Sleeper> {
        let own = Sleeper::own().ok()?;
        let _ = own.ensure_wake();
        Some(own).filter(|own| own.waits_on.get().is_none())
    }

    /// How many waits of the thread were overtaken so far: a wait takes it down when it joins its instance.
    pub fn turn(&self) -> u32 {
        self.overtaken.load(Relaxed)
    }

    /// Whether the wait that joined in this turn was overtaken since. Then it is out of its instance, and does not pin it any more.
    pub fn has_left(&self, turn: u32) -> bool {
        self.turn() != turn
    }

    /// Signals are not blocked from here to the end of the sleep on the poll set, or that end has come. Under the instance's lock.
    pub fn set_unguarded(&self, unguarded: bool) {
        self.unguarded.store(unguarded, Relaxed);
    }

    /// Whether a signal handler can interrupt the thread between its last look and its sleep on the poll set.
    pub fn is_unguarded(&self) -> bool {
        self.unguarded.load(Relaxed)
    }

    /// The calling thread's, if it has one.
    pub fn current() -> Option<&'static Sleeper> {
        OWN.get()
    }

    /// The thread ends, and is in no wait.
    pub fn retire(&'static self) {
        OWN.set(None);
        SLEEPERS.give_back(self);
    }

    /// Whether it is the calling thread's.
    pub fn is_own(&self) -> bool {
        OWN.get().is_some_and(|own| std::ptr::eq(own, self))
    }

    /// The thread's wait does not go on. Its frames, if they ever run again, find that out by [`Sleeper::has_left`].
    pub fn end_turn(&self) {
        self.overtaken.store(self.turn().wrapping_add(1), Relaxed);
        self.unguarded.store(false, Relaxed);
        let epoch = self.occupancy.epoch();
        if epoch & 1 == 1 {
            self.leave_poll(epoch);
        }
    }

    /// The wake-up descriptor, made at the first use.
    pub fn ensure_wake(&'static self) -> Result<c_int, Errno> {
        if self.wake.is_there() {
            return Ok(self.wake.number());
        }
        let wake = self.wake.adopt(sys::eventfd()?)?;
        // Kicks that came while there was none are lost; the next one must not think itself the second.
        self.kicks.silence();
        Ok(wake)
    }

    /// The wake-up descriptor. Who is going to sleep on it is in poll by now, or it may have moved.
    pub fn wake_fd(&self) -> c_int {
        self.wake.number()
    }

    /// Whether no kick can reach the thread before something else wakes it: somebody closed its wake-up descriptor by a call that
    /// was not seen.
    pub fn is_deaf(&self) -> bool {
        self.wake.is_lost()
    }

    /// Somebody closed the wake-up descriptor without asking: the next wait makes a new one. By now the number may be open again,
    /// as the program's, so it is not closed.
    pub fn lose_wake(&self) {
        self.wake.give_up();
    }

    /// Wakes the thread, if no earlier kick is under way already.
    pub fn kick(&self) {
        self.kicks
            .ring(|| !own_table::is_apart() && self.wake.with(|wake| sync::write(wake, &1u64.to_ne_bytes()).is_ok()));
    }

    /// Takes a kick in. The order matters: a kick that comes between the two lines is swallowed, but what it was for was
    /// done before, and the caller looks at everything after.
    pub fn heed(&self) {
        let mut count = [0; 8];
        let _ = self.wake.with(|wake| sync::read(wake, &mut count));
        self.kicks.silence();
    }

    /// Whose sleeper this is.
    pub fn set_tid(&self, tid: i32) {
        self.tid.store(tid, Relaxed);
    }

    /// The thread may be in poll from here on. Returns the epoch of that.
    pub fn enter_poll(&self) -> u32 {
        self.occupancy.advance()
    }

    /// The thread has left the poll that it entered in that epoch, and pins no open file. Does nothing if another wait of the
    /// thread has overtaken that one.
    pub fn leave_poll(&self, entered: u32) {
        self.occupancy.end(entered);
    }

    /// Whether a thread waits for it to leave, or has not noticed yet that it has.
    pub fn is_waited_for(&self) -> bool {
        self.occupancy.is_waited_for()
    }

    /// How often it was made to leave.
    pub fn evictions(&self) -> u32 {
        self.evictions.load(Relaxed)
    }

    /// Its pin on each file that it polls, if it is in poll or about to be.
    pub fn pin(&'static self) -> Option<FilePin> {
        Some(FilePin::by(self)).filter(|pin| pin.epoch() & 1 == 1)
    }

    /// Makes it leave poll, if it is there, and waits until it has. Not under a lock.
    pub fn evict(&'static self) {
        if let Some(pin) = self.pin() {
            pin.wait_unpinned();
        }
    }

    /// Makes every thread that waits leave poll.
    pub fn evict_all() {
        SLEEPERS.for_each(Sleeper::evict);
    }

    /// In a forked child: the only thread is this one, under another number.
    pub fn reset_all_after_fork() {
        let forked = OWN.get().map(|own| own.tid.load(Relaxed));
        SLEEPERS.for_each(|sleeper| sleeper.reset_after_fork(Some(sleeper.tid.load(Relaxed)) == forked));
    }

    /// In a forked child: the eventfd is the parent's. Nobody is in poll or waits, unless the thread that forked did so in a signal
    /// handler, out of which the child comes back into the wait.
    pub fn reset_after_fork(&'static self, came_along: bool) {
        self.wake.close_after_fork();
        self.spare_rings.places().iter().for_each(InternalFd::close_after_fork);
        self.anchor.close_after_fork();
        self.kicks.silence();
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

    fn prod(&'static self, _: u32) -> Release {
        if self.tid.load(Relaxed) == sys::gettid() || self.is_deaf() {
            return Release::Done;
        }
        stats::EVICTIONS.count();
        self.evictions.fetch_add(1, Relaxed);
        self.kick();
        Release::Expected
    }

    /// The thread is in a signal handler, outside of poll already.
    fn overdue(&'static self, _: u32) {}
}

/// The threads in a wait on one instance, as a stack that is linked through them: a wait needs no memory.
#[derive(Debug)]
pub struct Waiters(Option<&'static Sleeper>);

impl Waiters {
    /// Nobody.
    pub const fn new() -> Waiters {
        Waiters(None)
    }

    /// The thread that came last.
    pub fn last(&self) -> Option<&'static Sleeper> {
        self.0
    }

    /// Whether nobody waits.
    pub fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// How many wait.
    pub fn count(&self) -> usize {
        self.iter().count()
    }

    /// How many came after this thread.
    pub fn newer_than(&self, sleeper: &Sleeper) -> usize {
        self.iter().take_while(|other| !std::ptr::eq(*other, sleeper)).count()
    }

    /// Whether this thread waits, and no other.
    pub fn are_only(&self, sleeper: &Sleeper) -> bool {
        self.0.is_some_and(|last| std::ptr::eq(last, sleeper) && last.below.get().is_none())
    }

    /// A thread came.
    pub fn push(&mut self, sleeper: &'static Sleeper) {
        sleeper.below.set(self.0);
        self.0 = Some(sleeper);
    }

    /// A thread goes.
    pub fn remove(&mut self, sleeper: &'static Sleeper) {
        match self.iter().find(|other| other.below.get().is_some_and(|below| std::ptr::eq(below, sleeper))) {
            Some(above) => above.below.set(sleeper.below.get()),
            None if self.0.is_some_and(|last| std::ptr::eq(last, sleeper)) => self.0 = sleeper.below.get(),
            None => {}
        }
    }

    /// In a forked child, after the sleepers were reset: those that did not come along are gone. Answers with how many that were.
    pub fn drop_absent(&mut self) -> usize {
        let mut count = 0;
        while let Some(absent) = self.iter().find(|sleeper| sleeper.waits_on.get().is_none()) {
            self.remove(absent);
            count += 1;
        }
        count
    }

    /// Has every one of them look around.
    pub fn kick_all(&self) {
        self.iter().for_each(Sleeper::kick);
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
        // W9: it polls.
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
            assert!(waiters.are_only(a));
            waiters.remove(a);
            waiters.remove(a);
            assert!(waiters.is_empty());
        });
    }

    #[test]
    fn a_second_kick_before_the_first_is_heeded_writes_nothing() {
        let sleeper = Sleeper::begin().expect("memory");
        let wake = sleeper.ensure_wake().expect("a descriptor");
        let count = || {
            let mut count = [0; 8];
            sys::read(wake, &mut count).map(|_| u64::from_ne_bytes(count))
        };
        sleeper.kick();
        sleeper.kick();
        assert_eq!(count(), Ok(1));
        sleeper.heed();
        sleeper.kick();
        assert_eq!(count(), Ok(1));
    }
}
