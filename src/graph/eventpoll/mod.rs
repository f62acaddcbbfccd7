//! One instance: its registrations, its ready list, its wait queue. Kernel counterpart: `struct
//! eventpoll`.
//!
//! The code of control calls, waits, reports and closes is in `instance/`.

pub mod descriptor;
mod inbox;

use std::mem::offset_of;

use epolyfill_environment::anchor::Place;
use nix::errno::Errno;

use crate::graph::consumer::Dispatch;
use crate::graph::epstate::EpState;
use crate::graph::event_array::View;
use crate::graph::file::{File, FileOps};
use crate::graph::internal_fd::InternalFd;
use crate::graph::pin::Occupancy;
use crate::graph::ranks;
use crate::graph::stats::Counted;
use crate::graph::waitq::{Sleeper, WakeOnce};
use crate::lock::{Guard, Lock};
use crate::pool::{AtomicRef, AtomicShort, Pool};
use crate::pooled;
use crate::sync::atomic::Ordering::{AcqRel, Relaxed};
use crate::sync::atomic::{AtomicBool, AtomicI32, AtomicU32, AtomicU64};

use inbox::{Inbox, new_inbox};

#[unsafe(link_section = ".data.wait")]
pub static INSTANCES: Pool<Eventpoll> = Pool::new();

/// Whether an instance has ever existed. Until then poll and select need not look for epoll
/// descriptors.
pub static EVER: AtomicBool = AtomicBool::new(false);

/// Whether the program has ever created an instance.
#[inline]
pub fn any_yet() -> bool {
    EVER.load(Relaxed)
}

/// One instance, which shares no cache line with another.
#[derive(Debug)]
#[repr(align(64))]
pub struct Eventpoll {
    free: AtomicShort<Eventpoll>,
    /// One pin for its descriptor while it is open, one for each thread in a call on it, one for
    /// each registration in it.
    pub pins: AtomicU32,
    lock: Lock<EpState>,
    /// Registrations that changed, or on which hooks reported a fact, while another thread held the
    /// instance. `#[doc(alias = "ovflist")]`
    inbox: AtomicRef<Inbox>,
    /// Whether a thread is at the inbox. A thread that finds it occupied for more than a moment
    /// goes on without it. So no thread depends on one that a signal handler holds up there, and no
    /// handler depends on the thread that it interrupted: a pop waits for the end of a push that is
    /// in progress.
    at_inbox: AtomicBool,
    /// The number of completed posts. Written by the thread that is at the inbox.
    posts: AtomicU32,
    /// The number of posts that preceded the last look. Written under the lock.
    posts_seen: AtomicU32,
    /// Whether the descriptor may be looked at from outside: `Outer::is_observed`, for threads
    /// without the lock.
    exposed: AtomicBool,
    /// Whether a byte may have been put into the pipe to make observers look.
    outer_woken: AtomicBool,
    /// Avoids a second such byte in succession.
    outer_wake: WakeOnce,
    /// Whether the inbox overflowed or could not be used, so that every registration must be looked
    /// at.
    look_at_all: AtomicBool,
    /// The thread that sleeps in poll on the set, for hooks to wake. Written under the lock.
    blocked: AtomicRef<Sleeper>,
    /// The description of its descriptor.
    pub file: AtomicRef<File>,
    /// The operations of that description.
    pub ops: AtomicRef<FileOps>,
    /// A number of its descriptor.
    pub number: AtomicI32,
    /// The write end of the pipe whose read end is the descriptor; -1 if there is none.
    pub signal: InternalFd,
    /// Whether writes must stop, because the read end is about to be closed.
    pub muted: AtomicBool,
    /// The descriptor of its ring.
    pub ring_fd: InternalFd,
    /// An epoch ends when every request that was cancelled in it has ended.
    pub ring_laps: Occupancy,
    /// The inode of the pipe, which identifies a number that came from a call that the library did
    /// not see; 0 if there is none.
    pub inode: AtomicU64,
    /// Whether no number is known although a descriptor exists. Written under the lock of the
    /// descriptor's graph.
    pub orphan: AtomicBool,
    /// The program's settings: O_NONBLOCK, and how it wants devices to be polled (`epoll_file`).
    /// Neither has an effect.
    pub nonblocking: AtomicBool,
    pub params: AtomicU64,
    /// The thread that calls the program's callback.
    pub dispatch: Dispatch,
    /// The arrays of `epolyfill_wait_view`.
    pub view: View,
}

pooled!(
    INSTANCES,
    Eventpoll,
    free,
    Eventpoll {
        free: AtomicShort::none(),
        pins: AtomicU32::new(0),
        lock: Lock::new(ranks::INSTANCE, EpState::new()),
        inbox: AtomicRef::none(),
        at_inbox: AtomicBool::new(false),
        posts: AtomicU32::new(0),
        posts_seen: AtomicU32::new(0),
        exposed: AtomicBool::new(false),
        outer_woken: AtomicBool::new(false),
        outer_wake: WakeOnce::new(),
        look_at_all: AtomicBool::new(false),
        blocked: AtomicRef::none(),
        file: AtomicRef::none(),
        ops: AtomicRef::none(),
        number: AtomicI32::new(-1),
        signal: InternalFd::new(),
        muted: AtomicBool::new(false),
        ring_fd: InternalFd::new(),
        ring_laps: Occupancy::new(),
        inode: AtomicU64::new(0),
        orphan: AtomicBool::new(false),
        nonblocking: AtomicBool::new(false),
        params: AtomicU64::new(0),
        dispatch: Dispatch::new(),
        view: View::new(),
    },
    lock = lock
);

/// A reference that keeps an instance in existence.
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
    /// Gives up the guard but keeps the pin: for a wait, which must not own anything that needs
    /// dropping while it sleeps.
    pub fn into_raw(self) -> &'static Eventpoll {
        let ep = self.0;
        std::mem::forget(self);
        ep
    }
}

impl Eventpoll {
    /// The fields that the launcher reads from outside.
    pub const PLACES: [(Place, usize); 8] = {
        const STATE: usize = offset_of!(Eventpoll, lock) + Lock::<EpState>::VALUE_AT;
        const COUNTED: usize = STATE + offset_of!(EpState, stats);
        [
            (Place::InstancePins, offset_of!(Eventpoll, pins)),
            (Place::InstanceLock, offset_of!(Eventpoll, lock) + Lock::<EpState>::WORD_AT),
            (Place::InstanceNumber, offset_of!(Eventpoll, number)),
            (Place::InstanceRing, offset_of!(Eventpoll, ring_fd) + InternalFd::NUMBER_AT),
            (Place::InstanceClosed, STATE + offset_of!(EpState, closed)),
            (Place::InstanceParked, STATE + offset_of!(EpState, backend.parked)),
            (Place::InstanceCounters, COUNTED + Counted::NOW_AT),
            (Place::InstanceCountersBefore, COUNTED + Counted::BEFORE_AT),
        ]
    };

    /// Adds a pin, unless the instance is gone.
    #[inline]
    pub fn pin(&'static self) -> Option<Pinned> {
        self.pins.fetch_update(AcqRel, Relaxed, |pins| (pins > 0).then_some(pins + 1)).ok().map(|_| Pinned(self))
    }

    /// Removes a pin. The last one returns the record to the pool.
    #[inline]
    pub fn unpin(&'static self) {
        if self.pins.fetch_sub(1, AcqRel) == 1 {
            self.retire();
        }
    }

    #[cold]
    fn retire(&'static self) {
        self.inode.store(0, Relaxed);
        self.signal.close();
        while let Ok(Some(item)) = self.next_posted() {
            item.unpin();
        }
        {
            let mut st = self.lock();
            debug_assert!(st.backend.ring.is_none());
            st.empty();
        }
        self.file.set(None);
        self.look_at_all.store(false, Relaxed);
        self.outer_woken.store(false, Relaxed);
        self.outer_wake.clear();
        self.expose(false);
        INSTANCES.give_back(self);
    }

    /// Allocates the parts that every instance needs, because a wait must not fail for lack of
    /// memory.
    pub fn ensure_parts(&self) -> Result<(), Errno> {
        self.lock().backend.set.reserve(0)?;
        if self.inbox.get().is_none() {
            self.inbox.set(Some(new_inbox()?));
        }
        Ok(())
    }

    /// Locks the instance's state.
    #[inline]
    pub fn lock(&self) -> Guard<'_, EpState> {
        not_plain(self.lock.lock())
    }

    /// Locks the instance's state for a wait, unless the thread is inside the library already. Only
    /// a wait leaves what the last one has left for a plain one.
    #[inline]
    pub fn lock_to_wait(&self) -> Option<Guard<'_, EpState>> {
        self.lock.lock_unless_inside()
    }

    /// Locks the instance's state; gives up as soon as `wanted` returns false.
    pub fn lock_while(&self, wanted: impl FnMut() -> bool) -> Option<Guard<'_, EpState>> {
        self.lock.lock_while(wanted).map(not_plain)
    }

    /// The description of its descriptor.
    pub fn file(&self) -> Option<&'static File> {
        self.file.get()
    }

    /// Records the thread that goes to sleep on the set, for hooks to wake; `None` when it has
    /// returned. The lock is held.
    pub fn set_blocked(&self, sleeper: Option<&'static Sleeper>) {
        self.blocked.set_in_order(sleeper);
    }

    /// Visits every instance record, in use or not.
    pub fn for_each(visit: impl FnMut(&'static Eventpoll)) {
        INSTANCES.for_each(visit);
    }
}

/// The next wait has to find out what the holder of the lock has changed.
#[inline]
fn not_plain(mut guard: Guard<'_, EpState>) -> Guard<'_, EpState> {
    guard.plain = None;
    guard
}

/// The number of records in use, for the models.
#[cfg(test)]
pub fn in_use() -> usize {
    INSTANCES.in_use()
}
