//! One instance: its registrations, what is known to be ready, and who waits. Kernel counterpart: `struct eventpoll`.
//!
//! Not here: what control calls do (`control.rs`), how a thread waits (`wait.rs`), what is reported (`harvest.rs`).

use std::sync::OnceLock;
use std::sync::atomic::Ordering::{AcqRel, Relaxed, SeqCst};
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU32};

use crossbeam_queue::ArrayQueue;
use libc::c_int;
use nix::errno::Errno;

use crate::control;
use crate::descriptors;
use crate::edge::{FAILED, Facts};
use crate::epitem::{Epitem, Home, NO_SHARD};
use crate::epstate::EpState;
use crate::file::File;
use crate::lock::{Guard, Lock};
use crate::nested;
use crate::pool::{AtomicRef, Pool, Pooled};
use crate::sys;
use crate::waitq::Sleeper;

static INSTANCES: Pool<Eventpoll> = Pool::new();

/// Whether there ever was an instance: until then poll and select need not look for epoll descriptors.
static EVER: AtomicBool = AtomicBool::new(false);

/// Whether the program ever created an instance.
#[inline]
pub fn any_yet() -> bool {
    EVER.load(Relaxed)
}

/// How many registrations fit the inbox; beyond that the instance looks at all of its registrations instead.
const INBOX: usize = 256;

/// One instance.
#[derive(Debug)]
pub struct Eventpoll {
    free: AtomicRef<Eventpoll>,
    /// Its descriptor while it is open, every thread inside a call on it, every registration in it.
    pins: AtomicU32,
    lock: Lock<EpState>,
    /// Registrations that changed, or that witnesses saw something on, while somebody else had the instance. Pushed to
    /// without a lock, from signal handlers too. `#[doc(alias = "ovflist")]`
    inbox: OnceLock<ArrayQueue<&'static Epitem>>,
    /// Somebody outside may look at the descriptor: as `EpState::observed`, for those who have no lock.
    exposed: AtomicBool,
    /// A byte was put into the pipe so that whoever polls it looks here.
    stirred: AtomicBool,
    /// The inbox overflowed, or could not be used: look at every registration.
    look_at_all: AtomicBool,
    /// The thread that sleeps in poll on the set, for witnesses to kick. Written under the lock.
    blocked: AtomicRef<Sleeper>,
    /// The description of its descriptor.
    file: AtomicRef<File>,
    /// A number of its descriptor.
    number: AtomicI32,
    /// The write end of the pipe whose read end is the descriptor; -1 when there is none.
    signal: AtomicI32,
}

impl Pooled for Eventpoll {
    const BLANK: Eventpoll = Eventpoll {
        free: AtomicRef::none(),
        pins: AtomicU32::new(0),
        lock: Lock::new(EpState::new()),
        inbox: OnceLock::new(),
        exposed: AtomicBool::new(false),
        stirred: AtomicBool::new(false),
        look_at_all: AtomicBool::new(false),
        blocked: AtomicRef::none(),
        file: AtomicRef::none(),
        number: AtomicI32::new(-1),
        signal: AtomicI32::new(-1),
    };

    fn free_link(&self) -> &AtomicRef<Eventpoll> {
        &self.free
    }
}

/// epoll_create1(2): a new instance; `flags` may be EPOLL_CLOEXEC. Answers with its descriptor.
///
/// The descriptor is the read end of a pipe: never writable (C4), readable exactly when a byte is in it (N1), and with an inode
/// of its own.
pub fn create(flags: c_int) -> Result<c_int, Errno> {
    if flags & !libc::EPOLL_CLOEXEC != 0 {
        return Err(Errno::EINVAL);
    }
    crate::process::start();
    EVER.store(true, Relaxed);
    let [epfd, signal] = sys::pipe2(libc::O_NONBLOCK | libc::O_CLOEXEC)?;
    let made = (|| {
        if flags & libc::EPOLL_CLOEXEC == 0 {
            sys::fcntl(epfd, libc::F_SETFD, 0)?;
        }
        // A number known here whose descriptor was closed behind our back is free for the new one.
        descriptors::forget(epfd);
        let ep = INSTANCES.take()?;
        let Ok(file) = File::create() else {
            INSTANCES.give_back(ep);
            return Err(Errno::ENOMEM);
        };
        ep.inbox.get_or_init(|| ArrayQueue::new(INBOX));
        ep.pins.store(1, Relaxed);
        ep.lock().become_new();
        ep.file.set(Some(file));
        ep.number.store(epfd, Relaxed);
        file.set_eventpoll(ep);
        let entered = descriptors::adopt_internal(signal, &ep.signal).and_then(|_| descriptors::enter(file, epfd));
        entered.inspect_err(|_| {
            descriptors::disown_internal(&ep.signal);
            file.retire();
            INSTANCES.give_back(ep);
        })
    })();
    match made {
        Ok(()) => Ok(epfd),
        Err(errno) => {
            let _ = sys::close(epfd);
            Err(errno)
        }
    }
}

/// The instance behind a descriptor, pinned. EBADF for a closed number, EINVAL for anything but an instance.
pub fn find(epfd: c_int) -> Result<Pinned, Errno> {
    match descriptors::known(epfd).and_then(File::eventpoll) {
        Some(ep) => ep.pin().ok_or(Errno::EBADF),
        None if sys::is_open(epfd) => Err(Errno::EINVAL),
        None => Err(Errno::EBADF),
    }
}

/// An instance that cannot go away while this lives.
#[derive(Debug)]
pub struct Pinned(&'static Eventpoll);

impl std::ops::Deref for Pinned {
    type Target = &'static Eventpoll;

    fn deref(&self) -> &&'static Eventpoll {
        &self.0
    }
}

impl Drop for Pinned {
    fn drop(&mut self) {
        self.0.unpin();
    }
}

impl Pinned {
    /// Gives up the guard, not the pin: for a wait, which must own nothing that needs dropping while it sleeps.
    pub fn into_raw(self) -> &'static Eventpoll {
        let ep = self.0;
        std::mem::forget(self);
        ep
    }
}

impl Eventpoll {
    /// One more user, unless the instance is gone.
    pub fn pin(&'static self) -> Option<Pinned> {
        self.pins.fetch_update(AcqRel, Relaxed, |pins| (pins > 0).then_some(pins + 1)).ok().map(|_| Pinned(self))
    }

    /// One user less; the last one gives the record back.
    pub fn unpin(&'static self) {
        if self.pins.fetch_sub(1, AcqRel) == 1 {
            descriptors::disown_internal(&self.signal);
            if let Some(inbox) = self.inbox.get() {
                while let Some(item) = inbox.pop() {
                    item.leave_inbox();
                    item.unpin();
                }
            }
            self.lock().empty();
            self.file.set(None);
            self.look_at_all.store(false, Relaxed);
            self.stirred.store(false, Relaxed);
            self.expose(false);
            INSTANCES.give_back(self);
        }
    }

    /// The instance's state.
    #[inline]
    pub fn lock(&self) -> Guard<'_, EpState> {
        self.lock.lock()
    }

    /// The instance's state, if nobody has it.
    pub fn try_lock(&self) -> Option<Guard<'_, EpState>> {
        self.lock.try_lock()
    }

    /// The description of its descriptor.
    pub fn file(&self) -> Option<&'static File> {
        self.file.get()
    }

    /// A number of its descriptor.
    pub fn number(&self) -> c_int {
        self.number.load(Relaxed)
    }

    /// Its descriptor is known by another number from now on.
    pub fn set_number(&self, epfd: c_int) {
        self.number.store(epfd, Relaxed);
    }

    /// The write end of its pipe.
    pub fn signal(&self) -> &AtomicI32 {
        &self.signal
    }

    /// Marks the thread that goes to sleep on the set, for witnesses; `None` when it is back. Under the lock.
    pub fn set_blocked(&self, sleeper: Option<&'static Sleeper>) {
        self.blocked.set_in_order(sleeper);
    }

    /// Whether the poller must look around before it sleeps.
    pub fn has_mail(&self) -> bool {
        self.look_at_all.load(SeqCst) || self.inbox.get().is_some_and(|inbox| !inbox.is_empty())
    }

    /// Leaves word that a registration is to be looked at, and wakes the poller if it would sleep through it. Takes no lock;
    /// in a signal handler it does not even touch the queue, which the interrupted code may be halfway through.
    pub fn notice(&'static self, item: &'static Epitem, in_handler: bool, facts: Facts) {
        if in_handler {
            self.look_at_all.store(true, SeqCst);
        } else {
            let first = item.enter_inbox();
            // Whoever entered it may be held up before the push; a sleeper must not depend on when that comes.
            if first || self.blocked.get_in_order().is_some() {
                item.pin();
                if self.inbox.get().is_none_or(|inbox| inbox.push(item).is_err()) {
                    item.leave_inbox();
                    item.unpin();
                    self.look_at_all.store(true, SeqCst);
                }
            }
        }
        match self.blocked.get_in_order() {
            // Asked only now that word is left: what it polls may have changed since.
            Some(sleeper) if item.is_deaf_to(facts) => sleeper.kick(),
            None if self.exposed.load(Relaxed) => self.stir(in_handler),
            _ => {}
        }
    }

    /// Nobody waits here, but somebody may poll the descriptor, or an outer instance wait on it: makes them look.
    fn stir(&'static self, in_handler: bool) {
        if !self.stirred.swap(true, SeqCst) {
            let _ = sys::write(self.signal.load(Relaxed), b"!");
            if let Some(file) = self.file.get() {
                let at = file.begin_call();
                if in_handler { file.tell(FAILED, at) } else { file.tell_inside(FAILED, at) }
            }
        }
    }

    /// Whether the pipe holds a byte that `stir` put there; it counts as looked at from here on.
    pub fn was_stirred(&self) -> bool {
        self.stirred.swap(false, SeqCst)
    }

    /// The descriptor may be looked at from outside, or no more.
    pub fn expose(&self, exposed: bool) {
        self.exposed.store(exposed, Relaxed);
    }

    /// Takes in what was left in the inbox. Nobody may be in poll on the set.
    pub fn absorb(&self, st: &mut EpState) {
        debug_assert!(st.poller.is_none());
        if let Some(inbox) = self.inbox.get() {
            while let Some(item) = inbox.pop() {
                item.leave_inbox();
                st.refresh(item);
                item.unpin();
            }
        }
        let overdue = std::mem::take(&mut st.overdue);
        if self.look_at_all.swap(false, SeqCst) || overdue {
            st.set.sweep(&st.held);
            for index in 0..st.interest.len() {
                let item = st.interest[index];
                st.refresh(item);
            }
        }
    }

    /// Brings a registration that changed into force: at once, or by the poller if it sleeps on the set now.
    pub fn apply(&'static self, st: &mut EpState, item: &'static Epitem) {
        if let Some(poller) = st.poller {
            self.notice(item, false, 0);
            poller.kick();
        } else {
            st.refresh(item);
            nested::attend(self, st);
        }
    }

    /// A thread in a wait went away without coming back: cancelled, or out of a signal handler by `siglongjmp`.
    pub fn desert(&'static self, sleeper: &'static Sleeper) {
        self.lock().leave(self, sleeper);
        self.finish_wait();
    }

    /// A wait is over: lets go of the instance, and of its registrations if its descriptor was closed meanwhile (W11).
    pub fn finish_wait(&'static self) {
        let over = {
            let st = self.lock();
            st.closed && st.waiters.is_empty()
        };
        if over {
            control::clear(self);
        }
        self.unpin();
    }

    /// The descriptor is closed: the registrations go, now or with the last wait.
    pub fn close(&'static self) {
        let waits = {
            let mut st = self.lock();
            st.closed = true;
            // The record of the description is another's from here on.
            self.file.set(None);
            !st.waiters.is_empty()
        };
        if !waits {
            control::clear(self);
        }
        self.unpin();
    }

    /// Puts a thread on the wait queue.
    pub fn join(&'static self, sleeper: &'static Sleeper) -> Result<(), Errno> {
        let mut st = self.lock();
        st.waiters.try_reserve(1).map_err(|_| Errno::ENOMEM)?;
        st.set.reserve_wake()?;
        st.waiters.push(sleeper);
        sleeper.waits_on.set(Some(self));
        Ok(())
    }

    /// Every lock of every instance, for fork.
    pub fn lock_all_for_fork() {
        INSTANCES.lock_for_fork(|ep| ep.lock.lock_for_fork());
    }

    /// # Safety
    /// As for [`Lock::unlock_after_fork`].
    pub unsafe fn unlock_all_after_fork() {
        // SAFETY: the caller answers for it.
        unsafe { INSTANCES.unlock_after_fork(|ep| ep.lock.unlock_after_fork()) }
    }

    /// Every instance, in use or not.
    pub fn for_each(visit: impl FnMut(&'static Eventpoll)) {
        INSTANCES.for_each(visit);
    }

    /// In a forked child: no other thread waits, no watcher runs, and the pipe is the parent's, so it gets a new one under the
    /// same numbers (D5).
    pub fn reset_all_after_fork() {
        INSTANCES.for_each(Eventpoll::reset_after_fork);
    }

    fn reset_after_fork(&'static self) {
        if self.pins.load(Relaxed) == 0 {
            return;
        }
        let mut guard = self.lock();
        let st = &mut *guard;
        let abandoned = st.waiters.len();
        st.waiters.clear();
        st.poller = None;
        self.set_blocked(None);
        for index in 0..st.interest.len() {
            let item = st.interest[index];
            let state = item.at(&st.held);
            state.shard.set(NO_SHARD);
            if let Home::Parked(_) = state.home.get() {
                state.home.set(Home::Hot);
                st.parked -= 1;
                // The watcher that did not come along keeps its pin: the record is lost to the child.
            }
        }
        self.look_at_all.store(true, SeqCst);
        st.readable = false;
        self.absorb(st);
        if st.closed {
            // Its descriptor went while threads waited that did not come along.
            drop(guard);
            control::clear(self);
        } else {
            nested::renew_pipe(self);
            nested::attend(self, st);
            drop(guard);
        }
        for _ in 0..abandoned {
            self.unpin();
        }
    }
}
