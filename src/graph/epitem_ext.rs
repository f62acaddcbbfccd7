//! What few registrations need, beside their records: what the ring of their instance was asked of them, and what outer instances were told.

use std::cell::Cell;

use nix::errno::Errno;

use crate::edge::Edge;
use crate::graph::ring_state::Request;
use crate::pool::{AtomicShort, Pool, Short};
use crate::pooled;

pub static ANNEXES: Pool<Annex> = Pool::new();
pub static ANNOUNCEMENTS: Pool<Announcement> = Pool::new();

/// What there is to know of a registration whose instance has a ring, or is followed.
#[derive(Debug)]
pub struct Annex {
    free: AtomicShort<Annex>,
    announcement: Cell<Option<Short<Announcement>>>,
    /// What the instance's ring was asked of it.
    pub request: Request,
}

/// What there is to know of one whose instance is followed.
#[derive(Debug)]
pub struct Announcement {
    free: AtomicShort<Announcement>,
    /// What of it was announced to outer instances: there every arrival is an edge of the epoll descriptor, whatever the
    /// registration is triggered by (N2).
    pub edge: Cell<Edge>,
    /// What the description's clock showed at the last announcement.
    pub at: Cell<u32>,
    /// The turn in which it joined its instance's line (see `line.rs`); 0 when it is not in it.
    pub turn: Cell<u32>,
}

/// Of a registration that nothing was announced of.
pub const UNTOLD: Edge = Edge::FRESH.for_outer();

pooled!(
    ANNEXES,
    Annex,
    free,
    Annex { free: AtomicShort::none(), announcement: Cell::new(None), request: Request::none() }
);
pooled!(
    ANNOUNCEMENTS,
    Announcement,
    free,
    Announcement { free: AtomicShort::none(), edge: Cell::new(UNTOLD), at: Cell::new(0), turn: Cell::new(0) }
);

// SAFETY: it is reached through its registration's `State` only, under the lock of the instance.
unsafe impl Sync for Annex {}

// SAFETY: it is reached through its `Annex` only.
unsafe impl Sync for Announcement {}

impl Annex {
    /// An annex of a registration that no ring was asked anything of. ENOMEM when there is no memory.
    pub fn create() -> Result<&'static Annex, Errno> {
        let annex = ANNEXES.take()?;
        annex.request.forget();
        Ok(annex)
    }

    /// Gives the record back.
    pub fn retire(&'static self) {
        if let Some(announcement) = self.announcement.take() {
            ANNOUNCEMENTS.give_back(announcement.get());
        }
        ANNEXES.give_back(self);
    }

    /// What was announced, if anybody is to be told.
    #[inline]
    pub fn announcement(&self) -> Option<&'static Announcement> {
        self.announcement.get().map(Short::get)
    }

    /// Makes sure that there is room for what is announced. ENOMEM when there is no memory.
    pub fn furnish(&self) -> Result<(), Errno> {
        if self.announcement.get().is_none() {
            let announcement = ANNOUNCEMENTS.take()?;
            announcement.edge.set(UNTOLD);
            announcement.at.set(0);
            announcement.turn.set(0);
            self.announcement.set(Some(Short::of(announcement)));
        }
        Ok(())
    }
}
