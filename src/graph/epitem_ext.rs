//! Extensions of registrations, for fields that few of them need: the request in the ring of the
//! instance, and the state of announcements to outer instances.

use std::cell::Cell;

use nix::errno::Errno;

use crate::edge::Edge;
use crate::graph::ring_state::Request;
use crate::pool::{AtomicShort, Pool, Short};
use crate::pooled;

pub static EXTS: Pool<EpitemExt> = Pool::new();
pub static ANNOUNCEMENTS: Pool<Announcement> = Pool::new();

/// The extension of a registration whose instance has a ring, or is followed.
#[derive(Debug)]
pub struct EpitemExt {
    free: AtomicShort<EpitemExt>,
    announcement: Cell<Option<Short<Announcement>>>,
    /// The request in the instance's ring.
    pub request: Request,
}

/// The second part, of a registration whose instance is followed.
#[derive(Debug)]
pub struct Announcement {
    free: AtomicShort<Announcement>,
    /// The memory of announcements to outer instances: there every arrival is an edge of the epoll
    /// descriptor, whether the registration is edge-triggered or not (N2).
    pub edge: Cell<Edge>,
    /// The description's clock at the last announcement.
    pub at: Cell<u32>,
    /// The turn in which it joined the copy of the kernel's ready list (see `woken_list.rs`); 0 if
    /// it is not on it.
    pub turn: Cell<u32>,
}

/// The memory before the first announcement.
pub const UNTOLD: Edge = Edge::FRESH.for_outer();

pooled!(
    EXTS,
    EpitemExt,
    free,
    EpitemExt { free: AtomicShort::none(), announcement: Cell::new(None), request: Request::none() }
);
pooled!(
    ANNOUNCEMENTS,
    Announcement,
    free,
    Announcement { free: AtomicShort::none(), edge: Cell::new(UNTOLD), at: Cell::new(0), turn: Cell::new(0) }
);

// SAFETY: it is reached only through its registration's `State`, under the lock of the instance.
unsafe impl Sync for EpitemExt {}

// SAFETY: it is reached only through its `EpitemExt`.
unsafe impl Sync for Announcement {}

impl EpitemExt {
    /// Makes an extension without a request. ENOMEM without memory.
    pub fn create() -> Result<&'static EpitemExt, Errno> {
        let ext = EXTS.take()?;
        ext.request.forget();
        Ok(ext)
    }

    /// Returns the record to the pool.
    pub fn retire(&'static self) {
        if let Some(announcement) = self.announcement.take() {
            ANNOUNCEMENTS.give_back(announcement.get());
        }
        EXTS.give_back(self);
    }

    /// The part for a followed instance, if there is one.
    #[inline]
    pub fn announcement(&self) -> Option<&'static Announcement> {
        self.announcement.get().map(Short::get)
    }

    /// Makes sure that there is a part for a followed instance. ENOMEM without memory.
    pub fn ensure_outer_edge(&self) -> Result<(), Errno> {
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
