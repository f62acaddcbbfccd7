//! The parts of the data under an instance's lock (`epstate.rs`), each with one purpose.

use crate::account::Account;
use crate::graph::consumer::Consumer;
use crate::graph::epitem::Epitem;
use crate::graph::looked::Looked;
use crate::graph::pollset::PollSet;
use crate::graph::ready::ReadyList;
use crate::graph::ring_state::{RingCost, Uring};
use crate::graph::waitq::{Sleeper, Waiters};
use crate::graph::woken_list::WokenList;
use crate::habit::Habit;
use crate::pool::Short;

/// The registrations.
#[derive(Debug)]
pub struct Items {
    /// All of them.
    #[doc(alias = "rbr")]
    pub interest: Vec<Short<Epitem>>,
    /// The number of registrations that were ever made.
    pub made: u32,
    /// Those on other instances and on sources.
    pub inner: Vec<&'static Epitem>,
    /// Those that reported an event, which exclusive registrations of other instances therefore
    /// left to them, and that will not report it again. The next wait on the instance gives the
    /// event up.
    pub lent: Vec<&'static Epitem>,
    /// The exclusive ones.
    pub exclusives: Vec<Short<Epitem>>,
    /// The number of exclusive ones that no ring can serve.
    pub exclusives_to_poll: usize,
    /// The number of edge-triggered ones.
    pub edges: usize,
    /// The number of those on files with levels that a look takes away.
    pub fleeting: usize,
}

impl Items {
    /// No registrations.
    pub const fn new() -> Items {
        Items {
            interest: Vec::new(),
            made: 0,
            inner: Vec::new(),
            lent: Vec::new(),
            exclusives: Vec::new(),
            exclusives_to_poll: 0,
            edges: 0,
            fleeting: 0,
        }
    }
}

/// The registrations that a wait may report.
#[derive(Debug)]
pub struct Ready {
    /// The ready list, in the order in which the registrations became ready (W3). A registration
    /// that is no longer ready is dropped in its turn, which saves a search.
    pub list: ReadyList,
    /// The copy of the kernel's ready list, if the instance is followed.
    pub woken: WokenList,
    /// Whether a registration is ready that is not in the poll set, so that a poll would not find
    /// it.
    pub pressing: bool,
    /// Whether a registration has its turn, which leaves the list at the end of it whatever is noted
    /// meanwhile.
    pub in_turn: bool,
}

impl Ready {
    /// Empty lists.
    pub const fn new() -> Ready {
        Ready { list: ReadyList::new(), woken: WokenList::new(), pressing: false, in_turn: false }
    }
}

/// The waiting threads.
#[derive(Debug)]
pub struct Queue {
    /// The threads in a wait. The last one is the newest, and polls (W9).
    #[doc(alias = "wq")]
    pub waiters: Waiters,
    /// The thread in poll on the set, or asleep on the ring.
    pub poller: Option<&'static Sleeper>,
    /// The callback.
    pub consumer: Consumer,
    /// Whether looks before sleeps pay.
    pub habit: Habit,
}

impl Queue {
    /// No thread waits.
    pub const fn new() -> Queue {
        Queue { waiters: Waiters::new(), poller: None, consumer: Consumer::none(), habit: Habit::new() }
    }
}

/// The sources of readiness: a poll set and watchers, or a ring. Only `backend/` distinguishes
/// them.
#[derive(Debug)]
pub struct Backend {
    /// The array for poll. It must not be touched while a thread polls it.
    pub set: PollSet,
    /// The ring that replaces the set, if there is one.
    pub ring: Option<Uring>,
    /// Whether a ring is to be made.
    pub ring_cost: RingCost,
    /// The number of registrations that are with watchers.
    pub parked: usize,
    /// The number of registrations whose wake-ups signals report.
    pub signalled: usize,
    /// Whether a registration has ever waited for signals. From then on waits read them.
    pub reads_signals: bool,
    /// Whether a look of this instance has let a description rest, whose registrations have to be
    /// polled.
    pub has_begun_rest: bool,
    /// Whether signals came when they were read last. Then the next look reads them first.
    pub had_signals: bool,
    /// The registrations that wait for signals and that the last look has polled, too.
    pub looked: Looked,
    /// The wait from which on silent registrations may wait for signals.
    pub silence_due: u64,
    /// Whether parking with watchers pays.
    pub account: Account,
    /// The time when a wait last looked at a few parked registrations without need, in milliseconds
    /// of the coarse clock.
    pub looked_ms: u64,
    /// The place of the next such look among all registrations.
    pub next_parked: usize,
}

impl Backend {
    /// An empty poll set.
    pub const fn new() -> Backend {
        Backend {
            set: PollSet::new(),
            ring: None,
            ring_cost: RingCost::new(),
            parked: 0,
            signalled: 0,
            reads_signals: false,
            has_begun_rest: false,
            had_signals: false,
            looked: Looked::new(),
            silence_due: 0,
            account: Account::new(),
            looked_ms: 0,
            next_parked: 0,
        }
    }
}

/// The registrations that need another look although no poll reports them.
#[derive(Debug)]
pub struct Recheck {
    /// The resample list: registrations whose reported bits can hide an edge (see
    /// `Edge::needs_resample`).
    pub to_resample: Vec<&'static Epitem>,
    /// The time of the next look at eventfds that other processes may write to, in nanoseconds of
    /// the monotonic clock.
    pub rare_due: u64,
    /// Whether a registration has left the poll set, and must be looked at once in a while (see
    /// `left.rs`).
    pub left: bool,
    /// The time of the next such look, in nanoseconds of the monotonic clock.
    pub left_due: u64,
    /// Whether the next look must take in every registration: there was no memory to poll one, all
    /// must be tracked, or a ring was given up.
    pub overdue: bool,
}

impl Recheck {
    /// No registrations.
    pub const fn new() -> Recheck {
        Recheck { to_resample: Vec::new(), rare_due: 0, left: false, left_due: 0, overdue: false }
    }
}
