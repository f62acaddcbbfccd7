//! How readiness is learnt: by `poll`, or by requests that stay with the kernel. An instance has one of these two pollers at a time, and
//! goes from one to the other while it runs (`crossing`), losing nothing.

use libc::c_int;
use nix::errno::Errno;

use crate::account::Silence;
use crate::edge::Facts;
use crate::graph::epitem::Epitem;
use crate::graph::epstate::EpState;
use crate::graph::eventpoll::Eventpoll;
use crate::graph::pin::FilePins;
use crate::graph::ring_state::Uring;
use crate::graph::waitq::Sleeper;
use crate::nap::Nap;

pub use by_poll::ByPoll;
pub use by_request::ByRequest;

mod busy;
mod by_poll;
mod by_request;
mod exit;
pub mod hold;
pub mod parking;
pub mod request;
pub mod rest;
pub mod ring_cost;
pub mod spares;
pub mod switch;
pub mod uring;
pub mod watch;

/// What a round of a wait leaves to the poller. All of it is the newest waiting thread's, under the lock of the instance unless it says otherwise.
pub trait Poller {
    /// Whether what it finds on an edge-triggered registration is an edge. If not, levels and counts have to tell them apart.
    const TELLS_EDGES: bool;
    /// Whether a sleep is a poll of everything, too.
    const SLEEPS_IN_POLL: bool;
    /// What a thread sleeps on. A thread may be cancelled asleep, so nothing in it is to be dropped.
    type Bed: Copy;

    /// Brings what is asked for in line with the registrations, and takes in what is known already. Never sleeps.
    fn take_in(ep: &'static Eventpoll, st: &mut EpState);

    /// Whether what was taken in is to be reported before any sleep.
    fn is_told(st: &EpState) -> bool;

    /// Whether there is anything to poll.
    fn polls(st: &EpState) -> bool;

    /// The thread is about to sleep: false if something turned up.
    fn may_sleep(ep: &'static Eventpoll, st: &mut EpState) -> bool;

    /// Polls, and answers with how many descriptors showed something.
    fn look(st: &mut EpState, me: &'static Sleeper) -> usize;

    /// What the thread sleeps on next. Nobody else touches it, and who closes one of the descriptors knows that it may be in use.
    fn lie_down(st: &mut EpState, me: &'static Sleeper) -> Self::Bed;

    /// Sleeps, without the lock, until something is ready or a kick came (how many), the limit in nanoseconds is over (0), or a signal handler ran
    /// (EINTR). A poll that is too long for `poll` is in pieces, and looks at all of them every `tick`.
    fn sleep(nap: &Nap, ep: &'static Eventpoll, bed: Self::Bed, limit: Option<u64>, tick: u64) -> Result<usize, Errno>;

    /// The sleep is over, and ended so: takes in what ended it.
    fn woken(st: &mut EpState, slept: Result<usize, Errno>) -> Result<usize, Errno>;
}

/// The backend in force, for the layers above: these are the only places that ask which it is.
impl EpState {
    /// Whether the backend reports wake-ups, so that each entry of the ready list is one. Otherwise
    /// levels and counts have to tell edges apart (see [`Poller::TELLS_EDGES`]).
    #[inline]
    pub fn tells_edges(&self) -> bool {
        self.backend.ring.is_some()
    }

    /// Whether the poller sleeps on the poll set, which nobody may change.
    #[inline]
    pub fn is_set_slept_on(&self) -> bool {
        self.queue.poller.is_some() && self.backend.ring.is_none()
    }

    /// Whether the last poll shows the level of a registration.
    #[inline]
    pub fn is_polled(&self, item: &Epitem) -> bool {
        self.backend.ring.is_none() || item.at(&self.held).slot.get() != 0
    }

    /// Whether the backend has found something that was not taken in yet; none if only a poll shows
    /// that.
    pub fn has_found(&self) -> Option<bool> {
        self.backend.ring.as_ref().map(Uring::has_news)
    }

    /// A registration has changed, or a hook saw something on it. False if the poll set is to be
    /// brought in line with it.
    #[inline]
    pub fn item_changed(&mut self, item: &'static Epitem) -> bool {
        let is_followed = self.backend.ring.is_some();
        if is_followed {
            self.changed_in_ring(item);
        }
        is_followed
    }

    /// A registration begins anew with another mask: it reports what it finds, whatever the backend
    /// found before (T6).
    pub fn item_began_anew(&mut self, item: &'static Epitem) {
        watch::take_back(self, item);
        self.begin_in_ring(item);
    }

    /// A registration is polled by another number than `gone` from now on.
    pub fn item_redirected(&mut self, item: &'static Epitem, gone: c_int) {
        self.redirect_in_ring(item, gone);
        watch::take_back(self, item);
    }

    /// A registration has ended. Notes the pins of threads and rings that may still have its file
    /// (D4).
    pub fn item_removed(&mut self, ep: &'static Eventpoll, item: &'static Epitem, pins: &mut FilePins) {
        watch::take_back(self, item);
        pins.note(watch::pin(item.at(&self.held).shard()));
        pins.note(hold::detach(ep, self, item));
        match self.queue.poller {
            Some(poller) if item.at(&self.held).slot.get() != 0 => {
                pins.note(poller.pin());
                ep.notice(item, Facts::empty());
            }
            Some(_) => {}
            None => self.backend.set.remove(item, &self.held),
        }
    }

    /// A look out of a wait found a level that a registration asks for. A completion puts it on the
    /// ready list, where there is a ring.
    pub fn item_found(&mut self, item: &'static Epitem) {
        if self.backend.ring.is_none() {
            self.note_ready(item);
        }
    }

    /// A registration was reported.
    #[inline]
    pub fn item_reported(&mut self, item: &'static Epitem) {
        if self.backend.ring.is_some() {
            self.note_busy(item);
        }
    }

    /// A poll was taken in, with so many silent registrations.
    pub fn poll_taken_in(&mut self, silence: Silence) {
        match &self.backend.ring {
            None => self.backend.account.polled(self.items.interest.len(), self.backend.parked, silence),
            Some(_) => self.calm_silent(),
        }
    }

    /// The instance can have no ring any more, which the poller that sleeps on one is to find out.
    pub fn kick_from_ring(&self) {
        if let Some(poller) = self.queue.poller.filter(|_| self.backend.ring.is_some()) {
            poller.kick();
        }
    }
}
