//! One instance: its registrations, what is known to be ready, and who waits. Kernel counterpart: `struct eventpoll`.
//!
//! The code of control calls, waits, reports and closes is in `instance/`.

pub mod descriptor;
mod inbox;

use nix::errno::Errno;

use crate::graph::consumer::Dispatch;
use crate::graph::epstate::EpState;
use crate::graph::event_array::View;
use crate::graph::file::{File, FileOps};
use crate::graph::internal_fd::InternalFd;
use crate::graph::pin::Occupancy;
use crate::graph::ranks;
use crate::graph::waitq::{Bell, Sleeper};
use crate::lock::{Guard, Lock};
use crate::pool::{AtomicRef, AtomicShort, Pool};
use crate::pooled;
use crate::sync::atomic::Ordering::{AcqRel, Relaxed};
use crate::sync::atomic::{AtomicBool, AtomicI32, AtomicU32, AtomicU64};

use inbox::{Inbox, new_inbox};

pub static INSTANCES: Pool<Eventpoll> = Pool::new();

/// Whether there ever was an instance: until then poll and select need not look for epoll descriptors.
pub static EVER: AtomicBool = AtomicBool::new(false);

/// Whether the program ever created an instance.
#[inline]
pub fn any_yet() -> bool {
    EVER.load(Relaxed)
}

/// One instance, which shares no cache line with another.
#[derive(Debug)]
#[repr(align(64))]
pub struct Eventpoll {
    free: AtomicShort<Eventpoll>,
    /// Its descriptor while it is open, every thread inside a call on it, every registration in it.
    pub pins: AtomicU32,
    lock: Lock<EpState>,
    /// Registrations that changed, or that witnesses saw something on, while somebody else had the instance.
    /// `#[doc(alias = "ovflist")]`
    inbox: AtomicRef<Inbox>,
    /// Somebody is at the inbox. Who finds it taken for more than a moment goes without, so that nobody depends on a thread that a
    /// signal handler holds up there, nor a handler on the thread that it interrupted: a queue that has a push halfway through makes
    /// those who pop wait for it.
    at_inbox: AtomicBool,
    /// How many posts were completed. Written by the thread that is at the inbox.
    posts: AtomicU32,
    /// How many of them the last look had before it. Written under the lock.
    posts_seen: AtomicU32,
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
    pub file: AtomicRef<File>,
    /// The operations of that description.
    pub ops: AtomicRef<FileOps>,
    /// A number of its descriptor.
    pub number: AtomicI32,
    /// The write end of the pipe whose read end is the descriptor; -1 when there is none.
    pub signal: InternalFd,
    /// Nobody is to write there any more: the read end goes.
    pub muted: AtomicBool,
    /// The descriptor of its ring.
    pub ring_fd: InternalFd,
    /// An epoch ends when every request that was cancelled in it has ended.
    pub ring_laps: Occupancy,
    /// The inode of the pipe, by which a number is known that came by a road we do not see; 0 when there is none.
    pub inode: AtomicU64,
    /// No number is known, but somebody has the descriptor. Written under the lock of the descriptor's graph.
    pub orphan: AtomicBool,
    /// What the program said of it by O_NONBLOCK, and how it is to poll devices (`disguise`). Neither has an effect.
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
        stirred: AtomicBool::new(false),
        stir: Bell::new(),
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
            self.stirred.store(false, Relaxed);
            self.stir.silence();
            self.expose(false);
            INSTANCES.give_back(self);
        }
    }

    /// What an instance needs however little it is used for; a wait is not to fail for want of memory.
    pub fn furnish(&self) -> Result<(), Errno> {
        self.lock().backend.set.reserve(0)?;
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

    /// The instance's state, unless the thread is inside this library already.
    #[inline]
    pub fn lock_unless_inside(&self) -> Option<Guard<'_, EpState>> {
        self.lock.lock_unless_inside()
    }

    /// The instance's state, as long as `wanted` says that it is worth waiting for.
    pub fn lock_while(&self, wanted: impl FnMut() -> bool) -> Option<Guard<'_, EpState>> {
        self.lock.lock_while(wanted)
    }

    /// The description of its descriptor.
    pub fn file(&self) -> Option<&'static File> {
        self.file.get()
    }

    /// Marks the thread that goes to sleep on the set, for witnesses; `None` when it is back. Under the lock.
    pub fn set_blocked(&self, sleeper: Option<&'static Sleeper>) {
        self.blocked.set_in_order(sleeper);
    }

    /// Every instance, in use or not.
    pub fn for_each(visit: impl FnMut(&'static Eventpoll)) {
        INSTANCES.for_each(visit);
    }
}

/// How many records are in use, for the models.
#[cfg(test)]
pub fn in_use() -> usize {
    INSTANCES.in_use()
}
