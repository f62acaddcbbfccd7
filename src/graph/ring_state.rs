//! Data that an instance, a registration and a thread keep for io_uring. Only `backend/` acts on
//! it.

use std::cell::Cell;

use libc::c_int;
use nix::errno::Errno;

use crate::events::Bits;
use crate::graph::epitem::Epitem;
use crate::graph::epstate::Held;
use crate::graph::internal_fd::InternalFd;
use crate::graph::waitq::Sleeper;
use crate::io_uring::Ring;

/// The ring of an instance.
#[derive(Debug)]
pub struct Uring {
    pub ring: Ring,
    /// The thread that owns it.
    pub owner: &'static Sleeper,
    /// The registrations with requests that have not ended.
    pub asked: Vec<&'static Epitem>,
    /// Those whose requests are out of date.
    pub due: Vec<&'static Epitem>,
    /// The number of cancelled requests whose end was not seen yet.
    pub ending: usize,
    /// The owner's wake-up descriptor that has a request; -1 for none.
    pub wake: c_int,
    /// The state for the exit of the owner, which ends the requests.
    pub exit: Exit,
    /// Whether the next wait must give up the ring.
    pub doomed: bool,
    /// The time of the last check for closed numbers, in milliseconds of the monotonic clock.
    pub swept_at: u64,
    /// Whether hooks and counts must distinguish edges again, in this process or in a child.
    pub leaving: bool,
    /// Whether the owner has waited since the ring was made.
    pub has_served: bool,
}

impl Uring {
    /// Makes room for one of `count` registrations, in addition to the listed ones, some of which
    /// may be dead. Searches for dead ones only if memory is short.
    pub fn reserve(&mut self, count: usize, held: &Held) -> Result<(), Errno> {
        if self.due.len() > 2 * count + 64 {
            self.tidy(held);
        }
        if self.asked.try_reserve(count).is_ok() && self.due.try_reserve(count).is_ok() {
            return Ok(());
        }
        self.tidy(held);
        let dead = self.asked.iter().filter(|item| !item.at(held).alive.get()).count();
        let more = |list: &Vec<_>| (count + dead).saturating_sub(list.len());
        self.asked.try_reserve(more(&self.asked)).map_err(|_| Errno::ENOMEM)?;
        self.due.try_reserve(more(&self.due)).map_err(|_| Errno::ENOMEM)
    }

    /// Drops the registrations that ended before they had a request.
    #[cold]
    pub fn tidy(&mut self, held: &Held) {
        self.due.retain(|item| {
            let state = item.at(held);
            let matters = state.alive.get() || state.request().is_some_and(|request| request.living.get() != 0);
            if !matters {
                if let Some(request) = state.request() {
                    request.due.set(false);
                }
                item.unpin();
            }
            matters
        });
    }

    /// Whether hooks and counts are needed although there is a ring.
    pub fn is_leaving(&self) -> bool {
        self.leaving
    }
}

/// The state of a ring that concerns the exit of its thread.
#[derive(Debug)]
pub struct Exit {
    /// The descriptor that the gate polls; -1 while the gate is closed.
    pub gate: c_int,
    /// Whether any registration ever had a link of its own.
    pub has_links: bool,
}

/// The request of a registration in the ring of its instance.
#[derive(Debug)]
pub struct Request {
    /// The bits of the current request; 0 if there is none, because no request asks for no bits.
    pub mask: Cell<Bits>,
    /// Whether the current request has not ended.
    pub lives: Cell<bool>,
    /// The number of consecutive requests that ended by themselves with their first completion.
    pub ends: Cell<u8>,
    /// Distinguishes the completions of the current request from those of earlier ones.
    pub turn: Cell<u16>,
    /// The number of requests that have not ended, including cancelled ones.
    pub living: Cell<u16>,
    /// Its place among the registrations with living requests.
    pub place: Cell<u32>,
    /// Whether the request is listed as due for an update.
    pub due: Cell<bool>,
    /// Whether the request was made for another file, whose number was taken for that of this one.
    pub wrong: Cell<bool>,
    /// The number of reports in quick succession, and the time of the last one (see
    /// `backend/busy.rs`).
    pub reports: Cell<u8>,
    pub reported_at: Cell<u8>,
}

impl Request {
    /// Resets the request. The turn continues, so that late completions for the record's former use
    /// are recognized.
    pub fn forget(&self) {
        self.mask.set(0);
        self.lives.set(false);
        self.ends.set(0);
        self.wrong.set(false);
        self.reports.set(0);
    }

    /// A registration that has never had a request.
    pub const fn none() -> Request {
        Request {
            mask: Cell::new(0),
            lives: Cell::new(false),
            ends: Cell::new(0),
            turn: Cell::new(0),
            living: Cell::new(0),
            place: Cell::new(0),
            due: Cell::new(false),
            wrong: Cell::new(false),
            reports: Cell::new(0),
            reported_at: Cell::new(0),
        }
    }
}

/// The cost of polling an instance so far, and the price of a ring (see `backend/ring_cost.rs`).
#[derive(Debug)]
pub struct RingCost {
    /// The thread that waited last, and has been the only waiter since.
    pub regular: Option<&'static Sleeper>,
    /// The cost of its waits.
    pub paid: u64,
    /// The factor by which giving up rings has raised the price; 0 before the first time.
    pub raised: u64,
    /// How often the thread that waits was another one than before, without a ring in between.
    pub turnover: u8,
    /// Whether there will never be a ring.
    pub spoilt: bool,
}

impl RingCost {
    /// An instance on which no thread has waited yet.
    pub const fn new() -> RingCost {
        RingCost { regular: None, paid: 0, raised: 0, turnover: 0, spoilt: false }
    }
}

/// The number of rings that a thread keeps for later.
pub const SPARES: usize = 4;

/// The descriptors of the rings that a thread keeps for later.
#[derive(Debug)]
pub struct Spares([InternalFd; SPARES]);

impl Spares {
    /// No rings.
    pub const fn new() -> Spares {
        Spares([const { InternalFd::new() }; SPARES])
    }

    /// The places of the descriptors.
    pub fn places(&self) -> &[InternalFd; SPARES] {
        &self.0
    }
}
