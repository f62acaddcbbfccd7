//! What an instance reports about itself to those that watch its descriptor: other instances, and
//! callers of poll and select. Kernel counterpart: the callbacks on the wait queue of an epoll file
//! (`ep_poll_safewake`).

use std::fmt::Debug;

use crate::events::Bits;
use crate::graph::epitem::Epitem;
use crate::graph::epstate::EpState;
use crate::graph::eventpoll::Eventpoll;
use crate::graph::file::File;

/// An instance's way up: it calls these, under its lock, at the points where its descriptor may
/// have to show something else.
pub trait OuterLink: Debug + Sync {
    /// A registration is about to be added.
    fn before_add(&self, ep: &'static Eventpoll, st: &mut EpState);

    /// The mask of a registration is about to be replaced.
    fn before_change(&self, ep: &'static Eventpoll, st: &mut EpState, item: &'static Epitem, file: &'static File);

    /// A registration is about to be removed.
    fn before_removal(&self, ep: &'static Eventpoll, st: &mut EpState, item: &'static Epitem, file: &'static File);

    /// A registration has begun, or has begun anew with another mask.
    fn item_began(&self, ep: &'static Eventpoll, st: &mut EpState, item: &'static Epitem, file: &'static File);

    /// The poll set is in line with a registration that has changed. No thread polls.
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

    /// No thread is in a wait any more.
    fn unattended(&self, ep: &'static Eventpoll, st: &mut EpState);
}

/// Who looks at an instance's descriptor from outside. Each is more than the one before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Audience {
    /// Nobody.
    Nobody,
    /// Somebody, perhaps: the calls of the program that would show it are not seen.
    Presumed,
    /// Somebody who looks at its level: it is in another instance, or was seen in poll or select
    /// (N1).
    ForLevels,
    /// An edge-triggered registration above it as well, so every wake-up of its own registrations
    /// counts (N2).
    ForEdges,
}

/// What the pipe of an instance's descriptor holds, as far as the holder of its lock knows.
/// `Eventpoll::stir` may put a byte into it without the lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pipe {
    /// Nothing.
    Empty,
    /// A byte, because a wait would report something.
    Readable,
    /// A byte, though nothing is known to be ready: it makes others look. Their look takes off the
    /// ready list what is not ready, and takes in what hooks reported.
    Lingering,
}

/// The outside of an instance: who looks at its descriptor, and what that shows.
#[derive(Debug)]
pub struct Outer {
    /// The interface to those who look; none until the first does.
    pub link: Option<&'static dyn OuterLink>,
    /// Who looks.
    pub audience: Audience,
    /// What the descriptor shows.
    pub pipe: Pipe,
    /// A registration was woken, and the outer instances do not know of it yet.
    pub has_news: bool,
    /// At the last look there was something that needs another look after a while.
    pub is_uneasy: bool,
}

impl Outer {
    /// Nobody looks.
    pub const fn unseen() -> Outer {
        Outer { link: None, audience: Audience::Nobody, pipe: Pipe::Empty, has_news: false, is_uneasy: false }
    }

    /// Whether somebody may look at the descriptor.
    #[inline]
    pub fn is_observed(&self) -> bool {
        self.audience > Audience::Nobody
    }

    /// Whether somebody waits for edges of the descriptor.
    #[inline]
    pub fn is_followed(&self) -> bool {
        self.audience == Audience::ForEdges
    }
}
