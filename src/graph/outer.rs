//! The interface by which an instance reports to the observers of its descriptor: other instances,
//! and callers of poll and select. Kernel counterpart: the callbacks on the wait queue of an epoll
//! file (`ep_poll_safewake`).

use std::fmt;

use crate::events::Bits;
use crate::graph::epitem::Epitem;
use crate::graph::epstate::EpState;
use crate::graph::eventpoll::Eventpoll;
use crate::graph::file::File;

/// The upward callbacks of an instance. It calls them, under its lock, at the points where the
/// level of its descriptor may change.
pub trait OuterLink: Sync {
    /// A registration is about to be added.
    fn before_add(&self, ep: &'static Eventpoll, st: &mut EpState);

    /// The mask of a registration is about to be replaced.
    fn before_change(&self, ep: &'static Eventpoll, st: &mut EpState, item: &'static Epitem, file: &'static File);

    /// A registration is about to be removed.
    fn before_removal(&self, ep: &'static Eventpoll, st: &mut EpState, item: &'static Epitem, file: &'static File);

    /// A registration has begun, or has begun anew with another mask.
    fn item_began(&self, ep: &'static Eventpoll, st: &mut EpState, item: &'static Epitem, file: &'static File);

    /// The poll set was updated for a registration that has changed. No thread polls.
    fn item_changed(&self, ep: &'static Eventpoll, st: &mut EpState, item: &'static Epitem);

    /// A registration is gone. No thread polls.
    fn item_removed(&self, ep: &'static Eventpoll, st: &mut EpState);

    /// A look found this level on a registration, of the bits that it `asked` for.
    fn level_seen(&self, st: &mut EpState, item: &'static Epitem, file: &'static File, level: Bits, asked: Bits);

    /// The thread that polls is about to sleep.
    fn before_sleep(&self, ep: &'static Eventpoll, st: &mut EpState);

    /// The poll set holds the results of a poll.
    fn after_poll(&self, ep: &'static Eventpoll, st: &mut EpState);

    /// The instance is polled, and has no ring.
    fn without_ring(&self, ep: &'static Eventpoll, st: &mut EpState);

    /// No thread is in a wait any longer.
    fn unattended(&self, ep: &'static Eventpoll, st: &mut EpState);
}

// Not a supertrait: a vtable would keep the formatting code of everything that a link can reach.
impl fmt::Debug for dyn OuterLink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OuterLink")
    }
}

/// The observers of an instance's descriptor. Each kind includes the ones before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Observers {
    /// No observer.
    Nobody,
    /// Possibly an observer: the library does not see the calls of the program that would show it.
    Presumed,
    /// An observer of the level: the descriptor is in another instance, or was seen in poll or
    /// select (N1).
    ForLevels,
    /// An edge-triggered registration above the instance as well, so every wake-up of its own
    /// registrations counts (N2).
    ForEdges,
}

/// The content of the pipe of an instance's descriptor, as far as the holder of its lock knows.
/// `Eventpoll::wake_observers` may put a byte into it without the lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pipe {
    /// Nothing.
    Empty,
    /// A byte, because a wait would report something.
    Readable,
    /// A byte, although nothing is known to be ready: it makes the observers look. Their look takes
    /// items that are not ready off the ready list, and takes in the facts from hooks.
    Lingering,
}

/// The outside of an instance: the observers of its descriptor, and the state that it shows to
/// them.
#[derive(Debug)]
pub struct Outer {
    /// The callbacks to the observers; `None` until there is an observer.
    pub link: Option<&'static dyn OuterLink>,
    /// The observers.
    pub observers: Observers,
    /// The state that the descriptor shows.
    pub pipe: Pipe,
    /// Whether a registration was woken and the outer instances do not know of it yet.
    pub has_news: bool,
    /// Whether the last look found a registration that needs another look after a while.
    pub needs_resample: bool,
}

impl Outer {
    /// An instance without observers.
    pub const fn unseen() -> Outer {
        Outer { link: None, observers: Observers::Nobody, pipe: Pipe::Empty, has_news: false, needs_resample: false }
    }

    /// Whether the descriptor may be watched.
    #[inline]
    pub fn is_observed(&self) -> bool {
        self.observers > Observers::Nobody
    }

    /// Whether an edge-triggered registration is above the instance.
    #[inline]
    pub fn is_followed(&self) -> bool {
        self.observers == Observers::ForEdges
    }
}
