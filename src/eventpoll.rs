//! One instance: its registrations, what is known to be ready, and who waits. Kernel counterpart: `struct eventpoll`.
//!
//! Not here: what control calls do (`control.rs`), how a thread waits (`wait.rs`), what is reported (`harvest.rs`).

use std::alloc::Layout;

use libc::c_int;
use nix::errno::Errno;

use crate::control;
use crate::descriptors;
use crate::edge::{Facts, UNSETTLED};
use crate::epitem::{Epitem, Home, NO_SHARD};
use crate::epstate::EpState;
use crate::events::ERR;
use crate::file::File;
use crate::lock::{self, Guard, Lock};
use crate::memory;
use crate::nested;
use crate::pool::{AtomicRef, Pool, Pooled};
use crate::process;
use crate::sync::atomic::Ordering::{AcqRel, Relaxed, SeqCst};
use crate::sync::atomic::{AtomicBool, AtomicI32, AtomicU32, AtomicU64};
use crate::sync::{self, ArrayQueue};
use crate::sys;
use crate::waitq::{Bell, Sleeper};

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

type Inbox = ArrayQueue<&'static Epitem>;

/// One instance.
#[derive(Debug)]
pub struct Eventpoll {
    free: AtomicRef<Eventpoll>,
    /// Its descriptor while it is open, every thread inside a call on it, every registration in it.
    pins: AtomicU32,
    lock: Lock<EpState>,
    /// Registrations that changed, or that witnesses saw something on, while somebody else had the instance.
    /// `#[doc(alias = "ovflist")]`
    inbox: AtomicRef<Inbox>,
    /// Somebody is at the inbox. Who finds it taken for more than a moment goes without, so that nobody depends on a thread that a
    /// signal handler holds up there, nor a handler on the thread that it interrupted: a queue that has a push halfway through makes
    /// those who pop wait for it.
    at_inbox: AtomicBool,
    /// Somebody outside may look at the descriptor: as `EpState::observed`, for those who have no lock.
    exposed: AtomicBool,
    /// A byte may have been put into the pipe so that whoever polls it looks here.
    stirred: AtomicBool,
    /// Spares the second of two such bytes.
    stir: Bell,
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
    /// The inode of the pipe, by which a number is known that came by a road we do not see; 0 when there is none.
    inode: AtomicU64,
    /// No number is known, but somebody has the descriptor. Written under the lock of the descriptor's graph.
    orphan: AtomicBool,
}

/// The device that pipes are on.
static PIPES: AtomicU64 = AtomicU64::new(0);
/// Whether there ever was an orphan.
static ANY_ORPHAN: AtomicBool = AtomicBool::new(false);

impl Pooled for Eventpoll {
    const BLANK: Eventpoll = Eventpoll {
        free: AtomicRef::none(),
        pins: AtomicU32::new(0),
        lock: Lock::new(EpState::new()),
        inbox: AtomicRef::none(),
        at_inbox: AtomicBool::new(false),
        exposed: AtomicBool::new(false),
        stirred: AtomicBool::new(false),
        stir: Bell::new(),
        look_at_all: AtomicBool::new(false),
        blocked: AtomicRef::none(),
        file: AtomicRef::none(),
        number: AtomicI32::new(-1),
        signal: AtomicI32::new(-1),
        inode: AtomicU64::new(0),
        orphan: AtomicBool::new(false),
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
    if lock::interrupted() {
        // In a signal handler, which would wait for what it interrupted.
        return Err(Errno::ENOMEM);
    }
    process::start();
    process::settle();
    if !EVER.swap(true, Relaxed) {
        control::read_limit();
    }
    if ANY_ORPHAN.load(Relaxed) {
        Eventpoll::for_each(Eventpoll::reap);
    }
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
        if let Err(errno) = ep.furnish() {
            file.retire();
            INSTANCES.give_back(ep);
            return Err(errno);
        }
        ep.pins.store(1, Relaxed);
        ep.lock().become_new();
        ep.file.set(Some(file));
        ep.number.store(epfd, Relaxed);
        ep.orphan.store(false, Relaxed);
        ep.remember_pipe(file, epfd);
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

/// An inbox, which is never given back.
fn new_inbox() -> Result<&'static Inbox, Errno> {
    // The queue's slots: a stamp and a pointer each.
    let slots = Layout::new::<[[usize; 2]; INBOX]>();
    let queue = memory::infallible(slots, || ArrayQueue::new(INBOX))?;
    let place = memory::forever(Layout::new::<Inbox>()).cast::<Inbox>();
    if place.is_null() {
        return Err(Errno::ENOMEM);
    }
    // SAFETY: the place is large enough, aligned, nobody else's, and never freed.
    Ok(unsafe {
        place.write(queue);
        &*place
    })
}

/// The instance behind a descriptor, pinned. EBADF for a closed number, EINVAL for anything but an instance.
pub fn find(epfd: c_int) -> Result<Pinned, Errno> {
    process::settle();
    if let Some(file) = descriptors::known(epfd)
        && let Some(ep) = file.eventpoll()
    {
        if file.is_likely_named_by(epfd, false) {
            return ep.pin().ok_or(Errno::EBADF);
        }
        // Closed behind our back.
        descriptors::vanished(file, epfd);
    }
    if !sys::is_usable(epfd) {
        return Err(Errno::EBADF);
    }
    let adopted = sys::fstat(epfd).ok().and_then(|stat| adopt(epfd, &stat));
    adopted.and_then(Eventpoll::pin).ok_or(Errno::EINVAL)
}

/// The instance whose pipe is open under a number that is not known to name it: it came in a message, out of another process, or by
/// a system call of the program's own. It is known from here on.
pub fn adopt(fd: c_int, stat: &libc::stat) -> Option<&'static Eventpoll> {
    if !any_yet() || stat.st_mode & libc::S_IFMT != libc::S_IFIFO || stat.st_dev != PIPES.load(Relaxed) {
        return None;
    }
    let mut found = None;
    Eventpoll::for_each(|ep| found = if ep.inode.load(Relaxed) == stat.st_ino { Some(ep) } else { found });
    let ep = found?;
    let file = ep.file()?;
    descriptors::forget(fd);
    descriptors::enter_if(file, fd, |graph| !graph.numbers.is_empty() || ep.orphan.load(Relaxed)).ok()?;
    ep.orphan.store(false, Relaxed);
    ep.set_number(fd);
    Some(ep)
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
            self.inode.store(0, Relaxed);
            descriptors::disown_internal(&self.signal);
            while let Ok(Some(item)) = self.next_posted() {
                item.unpin();
            }
            self.lock().empty();
            self.file.set(None);
            self.look_at_all.store(false, Relaxed);
            self.stirred.store(false, Relaxed);
            self.stir.silence();
            self.expose(false);
            INSTANCES.give_back(self);
        }
    }

    /// What an instance needs however little it is used for; a wait is not to fail for want of memory.
    fn furnish(&self) -> Result<(), Errno> {
        self.lock().set.reserve(0)?;
        if self.inbox.get().is_none() {
            self.inbox.set(Some(new_inbox()?));
        }
        Ok(())
    }

    /// The instance's state.
    #[inline]
    pub fn lock(&self) -> Guard<'_, EpState> {
        self.lock.lock()
    }

    /// The instance's state, as long as `wanted` says that it is worth waiting for.
    pub fn lock_while(&self, wanted: impl FnMut() -> bool) -> Option<Guard<'_, EpState>> {
        self.lock.lock_while(wanted)
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

    /// Takes down the inode of its pipe.
    pub fn remember_pipe(&self, file: &'static File, epfd: c_int) {
        if let Ok(stat) = sys::fstat(epfd) {
            let identity = (stat.st_dev, stat.st_ino);
            file.graph().identity = Some(identity);
            file.mark(identity);
            PIPES.store(stat.st_dev, Relaxed);
            self.inode.store(stat.st_ino, Relaxed);
        }
    }

    /// Whether somebody has the descriptor under a number that we do not know, after all that we knew are gone: then the pipe has
    /// a reader. `last`, which is about to be closed, is none.
    pub fn has_other_numbers(&self, last: c_int) -> bool {
        let signal = self.signal.load(Relaxed);
        let inode = self.inode.load(Relaxed);
        let is_open = sys::fstat(last).is_ok_and(|stat| stat.st_dev == PIPES.load(Relaxed) && stat.st_ino == inode);
        // The number stays taken, but it is no reader any more.
        if signal < 0 || (is_open && sys::dup3(signal, last, libc::O_CLOEXEC).is_err()) {
            return false;
        }
        sys::level(signal, 0) & ERR == 0
    }

    /// No number is known any more, but somebody has the descriptor.
    pub fn become_orphan(&self) {
        ANY_ORPHAN.store(true, Relaxed);
        self.number.store(-1, Relaxed);
        self.orphan.store(true, Relaxed);
    }

    /// The end of an orphan that nobody has any more.
    fn reap(&'static self) {
        let Some(file) = self.file().filter(|_| self.orphan.load(Relaxed)) else { return };
        if self.has_other_numbers(-1) {
            return;
        }
        let is_over = {
            let graph = file.graph();
            graph.numbers.is_empty() && self.orphan.swap(false, Relaxed)
        };
        if is_over {
            self.close();
            file.retire();
        }
    }

    /// The write end of its pipe.
    pub fn signal(&self) -> &AtomicI32 {
        &self.signal
    }

    /// Marks the thread that goes to sleep on the set, for witnesses; `None` when it is back. Under the lock.
    pub fn set_blocked(&self, sleeper: Option<&'static Sleeper>) {
        self.blocked.set_in_order(sleeper);
    }

    /// Whether the poller must look around before it sleeps. Who is at the inbox now will see that it is about to.
    pub fn has_mail(&self) -> bool {
        let posted = self.inbox.get().is_some_and(|inbox| !inbox.is_empty());
        self.look_at_all.load(SeqCst) || (posted && !self.at_inbox.load(SeqCst))
    }

    /// Leaves word that a registration is to be looked at, and wakes the poller if it would sleep through it. Never waits, so it may
    /// be called in signal handlers. The lock of the registration's description is held, or that of the instance.
    pub fn notice(&'static self, item: &'static Epitem, facts: Facts) {
        if !self.post(item) {
            self.look_at_all.store(true, SeqCst);
        }
        if !self.rouse(item, facts) && self.exposed.load(Relaxed) {
            self.stir();
        }
    }

    /// The same without any lock: neither the registration nor the instance need be in use any more.
    #[cold]
    pub fn notice_unlocked(&'static self, item: &'static Epitem, facts: Facts) {
        self.look_at_all.store(true, SeqCst);
        if !self.rouse(item, facts)
            && self.exposed.load(Relaxed)
            && let Some(file) = self.file.get()
        {
            // The pipe's number may be another's by now. Who waits on an outer instance hears of it without.
            file.tell(UNSETTLED, file.begin_call());
        }
    }

    /// Wakes the thread that sleeps on the set if it is deaf to the facts; false if there is none. Asked only when word is left: what
    /// it polls may have changed since.
    fn rouse(&self, item: &Epitem, facts: Facts) -> bool {
        let Some(sleeper) = self.blocked.get_in_order() else { return false };
        if item.is_deaf_to(facts) {
            sleeper.kick();
        }
        true
    }

    /// Puts a registration into the inbox, if it is not there; false if it could not.
    fn post(&self, item: &'static Epitem) -> bool {
        let Some(inbox) = self.inbox.get() else { return false };
        if !self.go_to_inbox() {
            return false;
        }
        let posted = !item.enter_inbox() || {
            item.pin();
            inbox.push(item).is_ok() || {
                item.leave_inbox();
                item.unpin();
                false
            }
        };
        self.at_inbox.store(false, SeqCst);
        posted
    }

    /// Takes a registration out of the inbox; an error if somebody else is at it.
    fn next_posted(&self) -> Result<Option<&'static Epitem>, ()> {
        let Some(inbox) = self.inbox.get().filter(|inbox| !inbox.is_empty()) else { return Ok(None) };
        if !self.go_to_inbox() {
            return Err(());
        }
        let item = inbox.pop();
        if let Some(item) = item {
            item.leave_inbox();
        }
        self.at_inbox.store(false, SeqCst);
        Ok(item)
    }

    fn go_to_inbox(&self) -> bool {
        (0..sync::SPINS).any(|turn| {
            if turn > 0 {
                sync::spin_loop();
            }
            !self.at_inbox.swap(true, SeqCst)
        })
    }

    /// Nobody waits here, but somebody may poll the descriptor, or an outer instance wait on it: makes them look.
    fn stir(&'static self) {
        self.stir.ring(|| {
            let at = self.file.get().map_or(0, File::begin_call);
            let written = sys::write(self.signal.load(Relaxed), b"!").is_ok();
            // Not before: who finds the mark takes it for a byte that can be taken out.
            self.stirred.store(true, SeqCst);
            if let Some(file) = self.file.get() {
                file.tell(UNSETTLED, at);
            }
            written
        });
    }

    /// Whether `stir` put a byte into the pipe, which may still be there; it counts as looked at from here on.
    pub fn was_stirred(&self) -> bool {
        self.stir.silence();
        self.stirred.swap(false, SeqCst)
    }

    /// The descriptor may be looked at from outside, or no more.
    pub fn expose(&self, exposed: bool) {
        self.exposed.store(exposed, Relaxed);
    }

    /// Whether somebody may look at the descriptor from outside.
    pub fn is_exposed(&self) -> bool {
        self.exposed.load(Relaxed)
    }

    /// Takes in what was left in the inbox. Nobody may be in poll on the set.
    pub fn absorb(&self, st: &mut EpState) {
        debug_assert!(st.poller.is_none());
        let passed_by = loop {
            match self.next_posted() {
                Ok(Some(item)) => {
                    st.refresh(item);
                    item.unpin();
                }
                Ok(None) => break false,
                Err(()) => break true,
            }
        };
        let overdue = std::mem::take(&mut st.overdue);
        if self.look_at_all.swap(false, SeqCst) || overdue || passed_by {
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
            self.notice(item, 0);
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

    /// Puts a thread on the wait queue. EBADF if the descriptor was closed since it was looked up: the registrations may be gone
    /// by now, and nothing would ever end the wait.
    pub fn join(&'static self, sleeper: &'static Sleeper) -> Result<(), Errno> {
        let mut st = self.lock();
        if st.closed {
            return Err(Errno::EBADF);
        }
        st.waiters.push(sleeper);
        sleeper.waits_on.set(Some(self));
        Ok(())
    }

    /// Whether no instance is locked.
    pub fn all_at_rest() -> bool {
        INSTANCES.is_at_rest(|ep| ep.lock.is_free())
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
        let abandoned = st.waiters.clear();
        st.poller = None;
        self.set_blocked(None);
        for index in 0..st.interest.len() {
            let item = st.interest[index];
            let state = item.at(&st.held);
            item.leave_inbox();
            state.shard.set(NO_SHARD);
            if let Home::Parked(_) = state.home.get() {
                state.home.set(Home::Hot);
                st.parked -= 1;
                // The watcher that did not come along keeps its pin: the record is lost to the child.
            }
        }
        self.look_at_all.store(true, SeqCst);
        st.readable = false;
        if self.inbox.get().is_some_and(|inbox| !inbox.is_empty()) {
            // A thread that did not come along may have been halfway through a push, for whose end a pop would wait. What is
            // in there is looked at with all the others, and its records are lost to the child.
            self.inbox.set(new_inbox().ok());
        }
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

/// How many records are in use, for the models.
#[cfg(test)]
pub fn in_use() -> usize {
    INSTANCES.in_use()
}
