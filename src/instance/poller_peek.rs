//! A look past the polling thread, by a thread whose time is up: is the polling thread about to be
//! woken, with enough events for both? The look changes nothing, because the poll set belongs to
//! the sleeper. If there are enough, the thread waits until the sleeper is back, and then looks
//! itself. The kernel needs no such look: the wake-up has put the items on the ready list.

use crate::backend::signals;
use crate::events::{Bits, IN, NVAL};
use crate::graph::epitem::Epitem;
use crate::graph::epstate::EpState;
use crate::graph::waitq::Sleeper;
use crate::kind::Kind;
use crate::poll_batch::{PollBatch, WINDOW};
use crate::sync;
use crate::sys;

/// The first and the longest nap; each is twice as long as the one before.
const FIRST_NS: u32 = 20_000;
const LONGEST_NS: u32 = 1_000_000;
/// The longest wait for a thread that has events to take: it may be in a signal handler.
const PATIENCE_NS: u32 = 500_000_000;
/// The longest wait for a thread that was woken, perhaps for nothing.
const PATIENCE_WITH_WAKE_UPS_NS: u32 = 5_000_000;

/// The cause that is about to wake a thread in poll.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Due {
    /// None.
    Nothing,
    /// Another thread, which may have news.
    WakeUp,
    /// More ready registrations than the other threads take.
    Ready,
}

/// Waits for the thread in poll to come back, in naps.
#[derive(Debug)]
pub struct Patience {
    napped: u32,
    nap: u32,
}

impl Patience {
    /// The state before the first nap.
    pub const fn new() -> Patience {
        Patience { napped: 0, nap: FIRST_NS }
    }

    /// Whether to wait on, given the cause that is about to wake the other thread.
    pub const fn lasts(&self, due: Due) -> bool {
        match due {
            Due::Nothing => false,
            Due::WakeUp => self.napped < PATIENCE_WITH_WAKE_UPS_NS,
            Due::Ready => self.napped < PATIENCE_NS,
        }
    }

    /// Sleeps for one nap. Not under a lock.
    pub fn nap(&mut self) {
        sync::nap(self.nap);
        self.napped += self.nap;
        self.nap = (self.nap * 2).min(LONGEST_NS);
    }
}

/// The cause that is about to wake `poller`, which sleeps in poll or in its ring, if `others`
/// threads are served first.
pub fn due(st: &EpState, poller: &Sleeper, others: usize) -> Due {
    if st.backend.signalled > 0 && signals::are_pending() {
        return Due::WakeUp;
    }
    let is_ready = match st.has_found() {
        Some(found) => others == 0 && (found || !st.ready.list.is_empty()),
        None => is_more_ready(st, others),
    };
    let wake = poller.wake_fd();
    match () {
        () if is_ready => Due::Ready,
        () if wake >= 0 && sys::level(wake, IN) & IN != 0 => Due::WakeUp,
        () => Due::Nothing,
    }
}

/// Whether a poll finds more than `number` registrations, including those that are with watchers.
fn is_more_ready(st: &EpState, number: usize) -> bool {
    let parked = st.items.interest.iter().filter(|_| st.backend.parked > 0).map(|item| item.get());
    let parked = parked.filter(|item| item.at(&st.held).is_parked());
    let parked = parked.filter_map(|item| Some((item, st.bits_to_ask(item, item.file()?)?)));
    let mut all = st.backend.set.asked_of_all().chain(parked).filter(|(item, _)| may_be_looked_at(item));
    let mut found = 0;
    loop {
        let mut window = PollBatch::<_, WINDOW>::new();
        for (item, bits) in all.by_ref().take(WINDOW) {
            window.add((), item.via(), bits);
        }
        if window.is_empty() {
            return false;
        }
        found += window.look().filter(|((), found)| found & NVAL == 0 && *found != 0).count();
        if found > number {
            return true;
        }
    }
}

/// Whether a look at the file takes nothing from it. A file of unknown kind, or one that shows a
/// change once, may show an event to a single look only.
fn may_be_looked_at(item: &Epitem) -> bool {
    let shows = |kind: Kind| kind != Kind::Other && kind.fleeting() == 0;
    item.file().is_some_and(|file| !file.is_source() && shows(file.identify(item.via())))
}

/// Whether the last poll found more than `number` registrations that a wait would report.
pub fn has_found_more(st: &EpState, number: usize) -> bool {
    let shows = |item: &&'static Epitem| {
        let state = item.at(&st.held);
        let polled: Bits = st.backend.set.revents(item, &st.held);
        let is_known = state.slot.get() != 0;
        state.alive.get() && !state.spent.get() && (!is_known || polled & !NVAL != 0)
    };
    st.ready.list.iter().filter(shows).nth(number).is_some()
}
