//! A look past the thread that polls, by one whose time is up: whether the other is about to be
//! woken for something, so that there will be some for both. It changes nothing, for the set is the
//! sleeper's; who finds something waits until that one is back, and looks by himself. The kernel
//! needs none: there the wake-up has put what is ready on the list.

use crate::epitem::Epitem;
use crate::epstate::EpState;
use crate::events::{Bits, IN, NVAL};
use crate::kind::Kind;
use crate::sync;
use crate::sys;
use crate::waitq::Sleeper;
use crate::window::Window;

/// How many descriptors are looked at together.
const WINDOW: usize = 64;
/// Naps grow from the first to the longest.
const FIRST_NS: u32 = 20_000;
const LONGEST_NS: u32 = 1_000_000;
/// So long at most a thread waits for one that has something to take: it may be in a signal
/// handler.
const PATIENCE_NS: u32 = 500_000_000;
/// And so long for one that was kicked, perhaps for nothing.
const PATIENCE_WITH_KICKS_NS: u32 = 5_000_000;

/// What a thread in poll is about to be woken by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Due {
    /// By nothing.
    Nothing,
    /// By a kick, which may have news.
    Kick,
    /// By more that is ready than is wanted by others.
    Ready,
}

/// Waits for the thread in poll to come back, in naps.
#[derive(Debug)]
pub struct Patience {
    napped: u32,
    nap: u32,
}

impl Patience {
    /// Nothing was waited for yet.
    pub const fn new() -> Patience {
        Patience { napped: 0, nap: FIRST_NS }
    }

    /// Whether the wait goes on, when the other thread is about to be woken by that.
    pub const fn lasts(&self, due: Due) -> bool {
        match due {
            Due::Nothing => false,
            Due::Kick => self.napped < PATIENCE_WITH_KICKS_NS,
            Due::Ready => self.napped < PATIENCE_NS,
        }
    }

    /// Waits for a moment. Not under a lock.
    pub fn nap(&mut self) {
        sync::nap(self.nap);
        self.napped += self.nap;
        self.nap = (self.nap * 2).min(LONGEST_NS);
    }
}

/// What `poller`, which is in poll or in its ring, is about to be woken by, if `others` threads are
/// to be served first.
pub fn due(st: &EpState, poller: &Sleeper, others: usize) -> Due {
    let is_ready = match &st.ring {
        Some(uring) => others == 0 && (uring.has_news() || !st.ready.is_empty()),
        None => is_more_ready(st, others),
    };
    let wake = poller.wake_fd();
    match () {
        () if is_ready => Due::Ready,
        () if wake >= 0 && sys::level(wake, IN) & IN != 0 => Due::Kick,
        () => Due::Nothing,
    }
}

/// Whether a poll finds more than so many registrations, those included that are with watchers.
fn is_more_ready(st: &EpState, number: usize) -> bool {
    let parked = st.interest.iter().filter(|_| st.parked > 0).map(|item| item.get());
    let parked = parked.filter(|item| item.at(&st.held).is_parked());
    let parked = parked.filter_map(|item| Some((item, st.bits_to_ask(item, item.file()?)?)));
    let mut all = st.set.asked_of_all().chain(parked).filter(|(item, _)| may_be_looked_at(item));
    let mut found = 0;
    loop {
        let mut window = Window::<_, WINDOW>::new();
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

/// Of what has no kind of its own, and of what shows a change once, a look may be the only one that
/// finds an event.
fn may_be_looked_at(item: &Epitem) -> bool {
    let shows = |kind: Kind| kind != Kind::Other && kind.fleeting() == 0;
    item.file().is_some_and(|file| !file.is_source() && shows(file.identify(item.via())))
}

/// Whether the last poll found more than so many registrations that a wait would report.
pub fn has_found_more(st: &EpState, number: usize) -> bool {
    let shows = |item: &&'static Epitem| {
        let state = item.at(&st.held);
        let polled: Bits = st.set.revents(item, &st.held);
        let is_known = state.slot.get() != 0;
        state.alive.get() && !state.spent.get() && (!is_known || polled & !NVAL != 0)
    };
    st.ready.iter().filter(shows).nth(number).is_some()
}
