//! What an instance reports about itself to those that watch its descriptor: other instances, and
//! callers of poll and select. Kernel counterpart: the callbacks on the wait queue of an epoll file
//! (`ep_poll_safewake`).

use std::fmt::Debug;

use crate::events::Bits;
use crate::graph::epitem::Epitem;
use crate::graph::epstate::EpState;
use crate::graph::eventpoll::Eventpoll;
use crate::graph::file::File;

/// An instance's way up: it calls these, under its lock, at the points where its descriptor may have
/// to show something else.
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

/// Who watches the instance's descriptor.
#[derive(Debug)]
pub struct Outer {
    /// Their interface; none while nobody watches.
    pub link: Option<&'static dyn OuterLink>,
}

impl Outer {
    /// Nobody.
    pub const fn none() -> Outer {
        Outer { link: None }
    }
}
