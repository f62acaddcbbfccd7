//! Sleeping threads: how one sleeps in `ppoll`, how another wakes it, and how a closer makes sure that it has let go of a
//! descriptor (D4). Kernel counterpart: `wait_queue_entry`.
//!
//! A futex would neither end in EINTR nor honour a signal mask (W8), so every sleep is a `ppoll` on an eventfd of the thread's
//! own, with or without an instance's poll set behind it.

use std::cell::Cell;
use std::sync::atomic::Ordering::{Relaxed, SeqCst};
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU32, AtomicUsize};

use libc::c_int;
use nix::errno::Errno;

use crate::descriptors;
use crate::eventpoll::Eventpoll;
use crate::pool::{AtomicRef, Pool, Pooled};
use crate::stats;
use crate::sys;

static SLEEPERS: Pool<Sleeper> = Pool::new();

/// A thread that waits, or a watcher.
#[derive(Debug)]
pub struct Sleeper {
    free: AtomicRef<Sleeper>,
    /// The eventfd that ends its sleep; -1 before the first.
    wake: AtomicI32,
    /// A kick is under way: another one would say nothing new.
    kicked: AtomicBool,
    /// Odd while the thread is in poll, or about to be.
    epoch: AtomicU32,
    /// How many threads wait for the epoch to move.
    evictors: AtomicU32,
    tid: AtomicI32,
    /// The instance whose wait queue it is in, if any.
    pub waits_on: AtomicRef<Eventpoll>,
    /// Where on its stack the wait began: tells a wait inside a signal handler from one that was jumped out of.
    frame: AtomicUsize,
}

impl Pooled for Sleeper {
    const BLANK: Sleeper = Sleeper::new();

    fn free_link(&self) -> &AtomicRef<Sleeper> {
        &self.free
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
            free: AtomicRef::none(),
            wake: AtomicI32::new(-1),
            kicked: AtomicBool::new(false),
            epoch: AtomicU32::new(0),
            evictors: AtomicU32::new(0),
            tid: AtomicI32::new(0),
            waits_on: AtomicRef::none(),
            frame: AtomicUsize::new(0),
        }
    }

    /// The sleeper for a wait that begins in this thread now. ENOMEM when there can be none.
    ///
    /// A thread that is in a wait already is in a signal handler, and gets a second sleeper; or it left the first wait by
    /// `siglongjmp`, which shows in the stack, and then the first is cleaned up.
    pub fn begin(frame: usize) -> Result<&'static Sleeper, Errno> {
        if let Some(own) = OWN.get() {
            if own.waits_on.get().is_none() {
                own.frame.store(frame, Relaxed);
                let _ = own.ensure_wake();
                return Ok(own);
            }
            if frame >= own.frame.load(Relaxed) {
                own.abandon();
                own.frame.store(frame, Relaxed);
                return Ok(own);
            }
        }
        let fresh = SLEEPERS.take()?;
        // Where no number is free the thread waits without: it looks around now and then instead (see `wait.rs`).
        let _ = fresh.ensure_wake();
        fresh.tid.store(sys::gettid(), Relaxed);
        fresh.frame.store(frame, Relaxed);
        if OWN.get().is_none() {
            OWN.set(Some(fresh));
            crate::process::call_at_thread_exit();
        }
        Ok(fresh)
    }

    /// The end of a wait: a second sleeper goes back to the pool.
    pub fn end(&'static self) {
        if !OWN.get().is_some_and(|own| std::ptr::eq(own, self)) {
            SLEEPERS.give_back(self);
        }
    }

    /// The thread ends, perhaps out of the middle of a wait (W10): whatever it held there goes to the next.
    pub fn retire_own() {
        if let Some(own) = OWN.take() {
            own.abandon();
            SLEEPERS.give_back(own);
        }
    }

    /// Leaves a wait that will not return.
    fn abandon(&'static self) {
        if self.is_in_poll() {
            self.leave_poll();
        }
        if let Some(ep) = self.waits_on.get() {
            ep.desert(self);
        }
    }

    /// The wake-up descriptor, made at the first use.
    pub fn ensure_wake(&self) -> Result<c_int, Errno> {
        let wake = self.wake.load(Relaxed);
        if wake >= 0 {
            return Ok(wake);
        }
        let wake = descriptors::adopt_internal(sys::eventfd()?, &self.wake)?;
        // Kicks that came while there was none are lost; the next one must not think itself the second.
        self.kicked.store(false, SeqCst);
        Ok(wake)
    }

    /// The wake-up descriptor.
    pub fn wake_fd(&self) -> c_int {
        self.wake.load(Relaxed)
    }

    /// Where the wake-up descriptor's number is kept.
    pub fn wake_owner(&self) -> &AtomicI32 {
        &self.wake
    }

    /// Somebody closed the wake-up descriptor without asking: the next wait makes a new one.
    pub fn lose_wake(&self) {
        descriptors::disown_internal(&self.wake);
    }

    /// Wakes the thread, if no earlier kick is under way already.
    pub fn kick(&self) {
        if !self.kicked.swap(true, SeqCst) {
            stats::KICKS.count();
            if sys::write(self.wake.load(Relaxed), &1u64.to_ne_bytes()).is_err() {
                self.kicked.store(false, SeqCst);
            }
        }
    }

    /// Takes a kick in. The order matters: a kick that comes between the two lines is swallowed, but what it was for was
    /// done before, and the caller looks at everything after.
    pub fn heed(&self) {
        let mut count = [0; 8];
        let _ = sys::read(self.wake.load(Relaxed), &mut count);
        self.kicked.store(false, SeqCst);
    }

    /// Whose sleeper this is.
    pub fn set_tid(&self, tid: i32) {
        self.tid.store(tid, Relaxed);
    }

    /// From here on the thread may be in poll.
    pub fn enter_poll(&self) {
        self.epoch.fetch_add(1, SeqCst);
    }

    /// The thread is out of poll: no open file is held by it any more.
    pub fn leave_poll(&self) {
        self.epoch.fetch_add(1, SeqCst);
        if self.evictors.load(SeqCst) != 0 {
            sys::futex_wake(&self.epoch, i32::MAX);
        }
    }

    fn is_in_poll(&self) -> bool {
        self.epoch.load(SeqCst) & 1 == 1
    }

    /// If the thread is in poll, or about to be: the stay that has to end before an open file it polls is let go.
    pub fn lingering(&'static self) -> Option<Lingering> {
        let epoch = self.epoch.load(SeqCst);
        (epoch & 1 == 1).then_some(Lingering { sleeper: self, epoch })
    }

    /// Every sleeper there is, for fork.
    pub fn for_each(visit: impl FnMut(&'static Sleeper)) {
        SLEEPERS.for_each(visit);
    }

    /// In a forked child: nobody is in poll, and the eventfd is the parent's. `mine` is the thread that forked.
    pub fn reset_after_fork(&'static self) {
        descriptors::disown_internal(&self.wake);
        self.kicked.store(false, Relaxed);
        self.epoch.store(0, Relaxed);
        self.evictors.store(0, Relaxed);
        self.waits_on.set(None);
        if OWN.get().is_some_and(|own| std::ptr::eq(own, self)) {
            self.tid.store(sys::gettid(), Relaxed);
        }
    }

    /// The pool's own lock, for fork.
    pub fn lock_pool_for_fork() {
        SLEEPERS.lock_for_fork(|_| ());
    }

    /// # Safety
    /// As for [`crate::lock::Lock::unlock_after_fork`].
    pub unsafe fn unlock_pool_after_fork() {
        // SAFETY: the caller answers for it.
        unsafe { SLEEPERS.unlock_after_fork(|_| ()) }
    }
}

/// One stay of one thread in `poll`.
#[derive(Clone, Copy, Debug)]
pub struct Lingering {
    sleeper: &'static Sleeper,
    epoch: u32,
}

impl Lingering {
    /// Whether the thread is still in there.
    pub fn lasts(&self) -> bool {
        self.sleeper.epoch.load(SeqCst) == self.epoch
    }

    /// Makes the thread leave, and waits until it has: then the open file is held by nobody here (D4). A thread that does not
    /// answer is in a signal handler, outside of poll already; half a second is enough to give up on it.
    pub fn evict(&self) {
        if self.sleeper.tid.load(Relaxed) == sys::gettid() {
            return;
        }
        const STEP_NS: u32 = 10_000_000;
        for _ in 0..50 {
            if !self.lasts() {
                return;
            }
            stats::EVICTIONS.count();
            self.sleeper.evictors.fetch_add(1, SeqCst);
            self.sleeper.kick();
            sys::futex_wait(&self.sleeper.epoch, self.epoch, Some(STEP_NS));
            self.sleeper.evictors.fetch_sub(1, SeqCst);
        }
    }
}
