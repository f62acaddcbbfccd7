//! What the lock of its instance protects of a registration.

use std::cell::Cell;

use super::{FIRST_PATIENCE, Home, LONGEST_PATIENCE, NO_SHARD, PARKED, SIGNALLED, SURPRISES, State};
use crate::INTERPOSES;
use crate::edge::{Edge, Evidence, Outlook};
use crate::events::{self, Bits};
use crate::graph::epitem_ext::{self, Announcement, EpitemExt};
use crate::graph::file::{File, Peer, Unix};
use crate::graph::ring_state::Request;
use crate::kind::Kind;
use crate::pool::Short;

/// The memory that a report changes, saved to undo a report that does not take place after all.
#[derive(Clone, Copy, Debug)]
pub struct Memory {
    edge: Edge,
    newcomer: bool,
    reported_at: u32,
}

impl Memory {
    /// The evidence of the edge that was reported.
    pub fn evidence(&self) -> Evidence {
        self.edge.evidence()
    }
}

impl State {
    /// The memory, to be saved before a report.
    pub fn memory(&self) -> Memory {
        Memory { edge: self.edge.get(), newcomer: self.newcomer.get(), reported_at: self.reported_at.get() }
    }

    /// Restores the memory, as if there had been no report.
    pub fn restore(&self, before: Memory) {
        self.edge.set(before.edge);
        self.newcomer.set(before.newcomer);
        self.reported_at.set(before.reported_at);
    }

    /// Its home.
    pub fn home(&self) -> Home {
        if self.is_parked() { Home::Parked(self.shard()) } else { Home::Hot }
    }

    /// Resets it: in no watcher's set, and without a history of silence.
    pub fn begin_hot(&self) {
        self.parking.set(NO_SHARD);
    }

    /// Whether its home is with the watcher of its shard.
    pub fn is_parked(&self) -> bool {
        self.parking.get() & PARKED != 0
    }

    /// Records whether its home is with the watcher of its shard, and returns the previous value.
    pub fn set_parked(&self, parked: bool) -> bool {
        self.exchange(PARKED, parked)
    }

    /// Whether the signals of its description report its wake-ups, so that it is not polled.
    #[inline]
    pub fn is_signalled(&self) -> bool {
        self.parking.get() & SIGNALLED != 0
    }

    /// Records whether signals report its wake-ups, and returns the previous value.
    pub fn set_signalled(&self, signalled: bool) -> bool {
        self.exchange(SIGNALLED, signalled)
    }

    /// Sets or clears a bit of `parking`, and returns whether it was set.
    #[inline]
    fn exchange(&self, bit: u16, on: bool) -> bool {
        let before = self.parking.get();
        self.parking.set(if on { before | bit } else { before & !bit });
        before & bit != 0
    }

    /// The shard whose watcher may still have it in its set; [`NO_SHARD`] if there is none.
    pub fn shard(&self) -> u16 {
        self.parking.get() & NO_SHARD
    }

    /// Records the shard whose watcher may have it in its set from here on.
    pub fn set_shard(&self, shard: u16) {
        self.parking.set((self.parking.get() & !NO_SHARD) | shard);
    }

    #[inline]
    pub(super) fn ext(&self) -> Option<&'static EpitemExt> {
        self.ext.get().map(Short::get)
    }

    #[inline]
    fn announcement(&self) -> Option<&'static Announcement> {
        self.ext().and_then(EpitemExt::announcement)
    }

    /// The memory of announcements to outer instances.
    pub fn announced(&self) -> Edge {
        self.announcement().map_or(epitem_ext::UNTOLD, |announcement| announcement.edge.get())
    }

    /// Records the memory of announcements, if the instance is followed.
    pub fn set_announced(&self, edge: Edge) {
        if let Some(announcement) = self.announcement() {
            announcement.edge.set(edge);
        }
    }

    /// The description's clock at the last announcement.
    pub fn announced_at(&self) -> u32 {
        self.announcement().map_or(0, |announcement| announcement.at.get())
    }

    /// Records the clock of an announcement.
    pub fn set_announced_at(&self, clock: u32) {
        if let Some(announcement) = self.announcement() {
            announcement.at.set(clock);
        }
    }

    /// The memories of edges: its own, and that of announcements.
    pub fn memories(&self) -> impl Iterator<Item = &Cell<Edge>> {
        std::iter::once(&self.edge).chain(self.announcement().map(|announcement| &announcement.edge))
    }

    /// Its turn on the copy of the kernel's ready list (`woken_list.rs`); 0 if it is not on it.
    pub fn turn(&self) -> u32 {
        self.announcement().map_or(0, |announcement| announcement.turn.get())
    }

    /// Sets its turn, or 0 for none.
    pub fn set_turn(&self, turn: u32) {
        if let Some(announcement) = self.announcement() {
            announcement.turn.set(turn);
        }
    }

    /// Its request in the instance's ring, if it has an extension.
    pub fn request(&self) -> Option<&'static Request> {
        self.ext().map(|ext| &ext.request)
    }

    /// Whether the registration is edge-triggered.
    #[inline]
    pub fn is_edge(&self) -> bool {
        self.events.get() & events::EDGE != 0
    }

    /// Whether the registration is on an instance and does not ask for EPOLLIN, which the wake-ups
    /// of an instance carry. It is ready if the instance is ready when it is added or changed, and
    /// from then on until a look finds that it is not.
    pub fn misses_wakeups(&self, file: &File) -> bool {
        file.kind() == Kind::Epoll && self.events.get() & u32::from(events::IN) == 0
    }

    /// Whether the registration is on an instance, and woken by the instance's wake-ups.
    pub fn is_woken_by_instance(&self, file: &File) -> bool {
        file.kind() == Kind::Epoll && self.events.get() & u32::from(events::IN) != 0
    }

    /// Counts that it fired after it had been silent for long.
    pub fn lose_patience(&self) {
        if self.patience() < LONGEST_PATIENCE {
            self.parking.set(self.parking.get() + (1 << SURPRISES));
        }
    }

    /// The number of silent polls after which it counts as silent for long.
    pub fn patience(&self) -> u16 {
        FIRST_PATIENCE << ((self.parking.get() & !SIGNALLED) >> SURPRISES)
    }

    /// Whether the registration is exclusive.
    pub fn is_exclusive(&self) -> bool {
        self.events.get() & events::EXCLUSIVE != 0
    }

    /// Whether the registration has reported bits that can hide an edge (see `Edge::needs_resample`).
    #[inline]
    pub fn needs_resample(&self, file: &File) -> bool {
        let unix = file.unix();
        let outlook = Outlook {
            kind: file.kind(),
            watched: self.outer_watched(file),
            sees_calls: INTERPOSES,
            departures: unix.is_some_and(Unix::awaits_reads),
            full_peer: file.has_full_peer(),
            shared: file.is_shared_eventfd(),
            orphan: unix.is_some_and(|unix| unix.peer() == Peer::Gone),
        };
        (self.is_edge() && self.edge.get().needs_resample(outlook))
            || self.announcement().is_some_and(|announcement| announcement.edge.get().needs_resample(outlook))
    }

    /// The level bits that matter to a report: the registered ones, and for edges, and on files
    /// with levels that a look takes away, the bits with which the same wake-up comes (E3).
    #[inline]
    pub fn watched(&self, file: &File) -> Bits {
        if self.is_edge() || file.kind().fleeting() != 0 {
            self.outer_watched(file)
        } else {
            events::levels(self.events.get())
        }
    }

    /// The level bits that matter to outer instances: the registered ones, and all others that wake
    /// it, because outer instances are informed of every wake-up (N2).
    #[inline]
    pub fn outer_watched(&self, file: &File) -> Bits {
        let bits = events::levels(self.events.get());
        bits | file.kind().wakes_with(bits)
    }
}
