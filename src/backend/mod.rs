//! How the library learns of readiness: by `poll`, or by requests that stay with the kernel. An
//! instance has one of these two backends at a time, and can switch from one to the other while it
//! runs without losing an event (`switch`).

use libc::c_int;
use nix::errno::Errno;

use crate::account::Silence;
use crate::edge::Facts;
use crate::graph::epitem::Epitem;
use crate::graph::epstate::EpState;
use crate::graph::eventpoll::Eventpoll;
use crate::graph::file::File;
use crate::graph::pin::FilePins;
use crate::graph::ring_state::Uring;
use crate::graph::waitq::Sleeper;
use crate::sleep::Sleep;

pub use by_poll::ByPoll;
pub use by_request::ByRequest;
pub use by_signal::BySignal;

mod busy;
mod by_poll;
mod by_request;
mod by_signal;
pub mod exclusive;
mod exit;
pub mod hold;
pub mod parking;
pub mod request;
pub mod rest;
pub mod ring_cost;
pub mod signals;
pub mod spares;
pub mod switch;
pub mod uring;
pub mod watch;

/// The part of a wait's round that depends on the backend. All of it runs in the newest waiting
/// thread, under the instance's lock unless stated otherwise.
pub trait Poller {
    /// Whether a find on an edge-triggered registration is an edge. If not, levels and counts have
    /// to distinguish edges.
    const TELLS_EDGES: bool;
    /// Whether only a look takes in what came since the last one.
    const TAKES_IN_BY_LOOK: bool;
    /// Whether a sleep also polls everything.
    const SLEEPS_IN_POLL: bool;
    /// The object that a thread sleeps on. A sleeping thread can be cancelled, so nothing in it may
    /// need dropping.
    type SleepTarget: Copy;

    /// Updates the requests after changes of the registrations, and takes in everything that is
    /// already known. Never sleeps.
    fn take_in(ep: &'static Eventpoll, st: &mut EpState);

    /// Whether the events that were taken in must be reported before any sleep.
    fn must_report(st: &EpState) -> bool;

    /// Whether there is anything to poll.
    fn polls(st: &EpState) -> bool;

    /// Prepares the thread for a sleep. False if an event turned up.
    fn may_sleep(ep: &'static Eventpoll, st: &mut EpState) -> bool;

    /// Polls, and returns how many descriptors showed something.
    fn look(ep: &'static Eventpoll, st: &mut EpState, me: &'static Sleeper) -> usize;

    /// Returns the object that the thread sleeps on next. No other thread touches it, and a thread
    /// that closes one of the descriptors knows that it may be in use.
    fn sleep_target(st: &mut EpState, me: &'static Sleeper) -> Self::SleepTarget;

    /// Sleeps without the lock. Returns the number of ready descriptors after an event or a
    /// wake-up, 0 at the end of the limit (in nanoseconds), and EINTR after a signal handler ran. A
    /// set that is too long for `poll` is polled in pieces, all of them every `tick`.
    fn sleep(
        nap: &Sleep,
        ep: &'static Eventpoll,
        target: Self::SleepTarget,
        limit: Option<u64>,
        tick: u64,
    ) -> Result<usize, Errno>;

    /// Takes in the event that ended the sleep, whose result is `slept`.
    fn woken(ep: &'static Eventpoll, st: &mut EpState, slept: Result<usize, Errno>) -> Result<usize, Errno>;
}

/// The backend in force, for the layers above: only these functions ask which one it is.
impl EpState {
    /// Whether the backend reports wake-ups, so that each entry of the ready list is one. Otherwise
    /// levels and counts have to distinguish edges (see [`Poller::TELLS_EDGES`]).
    #[inline]
    pub fn tells_edges(&self) -> bool {
        self.backend.ring.is_some()
    }

    /// Whether the backend reports the wake-ups of this registration.
    #[inline]
    pub fn tells_edges_of(&self, item: &Epitem) -> bool {
        self.tells_edges() || item.at(&self.held).is_signalled()
    }

    /// Whether the poller sleeps on the poll set, which no thread may change then.
    #[inline]
    pub fn is_set_slept_on(&self) -> bool {
        self.queue.poller.is_some() && self.backend.ring.is_none()
    }

    /// Whether the last poll shows the level of a registration.
    #[inline]
    pub fn is_polled(&self, item: &Epitem) -> bool {
        !self.tells_edges_of(item) || item.at(&self.held).slot.get() != 0
    }

    /// Whether the backend has found something that was not taken in yet; `None` if only a poll
    /// shows that.
    pub fn has_found(&self) -> Option<bool> {
        self.backend.ring.as_ref().map(Uring::has_news)
    }

    /// Records that a registration has changed, or that a hook reported something on it. False if
    /// the caller has to update the poll set.
    #[inline]
    pub fn item_changed(&mut self, item: &'static Epitem) -> bool {
        if self.backend.ring.is_some() {
            self.changed_in_ring(item);
            return true;
        }
        signals::are_used() && self.changed_by_signal(item)
    }

    /// Records that facts about a polled registration were digested. True if it is polled no more.
    #[inline]
    pub fn item_digested(&mut self, item: &'static Epitem, file: &'static File) -> bool {
        signals::are_used() && self.return_to_signals(item, file)
    }

    /// Handles a registration that begins anew with another mask: it reports what it finds,
    /// whatever the backend found before (T6).
    pub fn item_began_anew(&mut self, item: &'static Epitem) {
        watch::take_back(self, item);
        self.begin_by_signal(item);
        self.begin_in_ring(item);
    }

    /// From now on a registration is polled by another number than `gone`.
    pub fn item_redirected(&mut self, item: &'static Epitem, gone: c_int) {
        self.redirect_in_ring(item, gone);
        if item.at(&self.held).is_signalled() {
            self.leave_now(item);
        }
        watch::take_back(self, item);
    }

    /// Handles the end of a registration. Notes the pins of threads and rings that may still hold
    /// its file (D4).
    pub fn item_removed(&mut self, ep: &'static Eventpoll, item: &'static Epitem, pins: &mut FilePins) {
        watch::take_back(self, item);
        pins.note(watch::pin(item.at(&self.held).shard()));
        pins.note(hold::detach(ep, self, item));
        self.end_by_signal(item);
        match self.queue.poller {
            Some(poller) if item.at(&self.held).slot.get() != 0 => {
                pins.note(poller.pin());
                ep.notice(item, Facts::empty());
            }
            Some(_) => {}
            None => self.backend.set.remove(item, &self.held),
        }
    }

    /// Handles a level that a look outside a wait found and the registration asks for. If there is
    /// a ring, a completion puts the registration on the ready list.
    pub fn item_found(&mut self, item: &'static Epitem) {
        if !self.tells_edges_of(item) {
            self.note_ready(item);
        }
    }

    /// Records a report of a registration.
    #[inline]
    pub fn item_reported(&mut self, item: &'static Epitem) {
        if self.backend.ring.is_some() {
            self.note_busy(item);
        } else if item.at(&self.held).is_signalled() {
            self.reported_as_signalled(item);
        } else if signals::are_used() {
            signals::note_polled_report(item);
        }
    }

    /// Whether registrations have to join the poll set, because of signals that a look took in.
    pub fn must_poll_more(&mut self) -> bool {
        std::mem::take(&mut self.backend.has_begun_rest)
    }

    /// Records the result of a poll that was taken in; `silence` has the silent registrations.
    pub fn poll_taken_in(&mut self, silence: Silence) {
        match &self.backend.ring {
            None => {
                let registrations = parking::registrations(self);
                self.backend.account.polled(registrations, self.backend.parked, silence);
            }
            Some(_) => self.return_silent_to_ring(),
        }
    }

    /// The instance can no longer have a ring: wakes the poller that sleeps on one.
    pub fn wake_from_ring(&self) {
        if let Some(poller) = self.queue.poller.filter(|_| self.backend.ring.is_some()) {
            poller.wake_up();
        }
    }
}
