//! What a level that was reported can hide: arrivals that only a count shows, room that came, a peer that went. Each wait looks behind the
//! quiet bits of the registrations on the uneasy list, and so does a tick while a thread sleeps. Kernel counterpart: none, for there every
//! wake-up is told.

use crate::INTERPOSES;
use crate::count::{self, Change};
use crate::events::{HUP, NVAL, READABLE};
use crate::graph::epitem::{Epitem, State};
use crate::graph::epstate::EpState;
use crate::graph::eventpoll::Eventpoll;
use crate::graph::file::{Eventfd, File};
use crate::instance::left;
use crate::instance::wait::{LONGEST_RARE_TICK_NS, LONGEST_TICK_NS, TICK_NS};
use crate::kind::{Arrivals, Kind};
use crate::probe::observe::{self, Looker, Polled};
use crate::probe::sample;
use crate::sys;

/// Which of the uneasy registrations are sampled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extent {
    All,
    /// Those that the look which comes next may show are left for `found_by_count`.
    BeforeLook,
    /// Those that may be woken, and show nothing of it.
    WakesAnyMask,
}

/// Looks behind the quiet bits of the uneasy registrations: has something arrived, or a level fallen, that nobody told us of?
/// Answers with the longest time after which it has to be asked again, in nanoseconds; `None` for never.
pub fn sample(st: &mut EpState, extent: Extent) -> Option<u64> {
    left::look(st);
    let looks_inside = extent != Extent::WakesAnyMask && sample_inner(st);
    let longest = sample_listed(st, extent);
    [longest, looks_inside.then_some(LONGEST_TICK_NS)].into_iter().flatten().min()
}

/// The same, without a look at the instances inside.
fn sample_listed(st: &mut EpState, extent: Extent) -> Option<u64> {
    let mut longest = None;
    let rare_is_due = st.uneasy.is_empty() || sys::now() >= st.rare_due;
    let mut index = st.uneasy.len();
    // The latest first, as the kernel wakes those that wait for the same: signalfds all do.
    if st.outer.is_followed() {
        let held = &st.held;
        st.uneasy.sort_unstable_by_key(|item| item.at(held).serial.get());
    }
    while index > 0 {
        index -= 1;
        let item = st.uneasy[index];
        let state = item.at(&st.held);
        let file = item
            .file()
            .filter(|file| state.alive.get() && !state.spent.get() && !state.is_parked() && state.is_uneasy(file))
            // A ring tells of every edge, and where calls are seen nothing is uneasy then.
            .filter(|_| INTERPOSES || st.ring.is_none());
        let Some(file) = file else {
            state.uneasy.set(false);
            st.uneasy.swap_remove(index);
            st.note_left(item);
            item.unpin();
            continue;
        };
        if extent == Extent::WakesAnyMask && !file.kind().wakes_any_mask() {
            continue;
        }
        if overtakes(st, item, file) {
            st.refresh(item);
            continue;
        }
        if INTERPOSES && file.is_shared_eventfd() {
            // A count of these is a read of /proc, so it is taken once in a while only, unless it
            // is known that somebody adds.
            if file.eventfd().is_some_and(Eventfd::is_added_to_unseen) {
                longest = Some(LONGEST_TICK_NS);
            } else {
                longest = longest.or(Some(LONGEST_RARE_TICK_NS));
                if !rare_is_due {
                    continue;
                }
                st.rare_due = sys::now() + TICK_NS;
            }
        } else if !is_quiet_signalfd(item.at(&st.held), file) {
            longest = Some(LONGEST_TICK_NS);
        }
        let state = item.at(&st.held);
        if extent == Extent::BeforeLook && may_show(st, item, file) {
            continue;
        }
        st.stats.samples += 1;
        let watched = state.heard(file);
        let closes = state.edge.get().is_closing() || state.announced().is_closing();
        // Before the count, which then has the state to which the connection may go in between.
        let is_closed = closes && file.kind() != Kind::Signalfd && !sample::closes_still(item.via());
        let count = sample::arrivals(file, item.via(), watched);
        let had = state.edge.get().seen();
        if let Some(tcp) = file.tcp().filter(|tcp| tcp.place().is_some())
            && count.is_some_and(|count| count::change(had, count, sample::VIEW.taken_signals) == Change::Arrival)
        {
            // Or somebody whom we do not see took some.
            tcp.lose_place();
        }
        let (mut news, mut woken) = (false, false);
        let is_uncounted = count.is_none() && !file.kind().arrivals().is_private();
        let is_looked_at = is_uncounted || file.kind().arrivals() == Arrivals::Memory;
        // Its turn comes when the other one gives up its claim.
        let is_kept_out = state.is_exclusive() && !state.newcomer.get() && file.claim().is_of_another(item);
        for memory in state.memories() {
            let mut edge = memory.get();
            if let Some(count) = count {
                edge.counted(count, sample::VIEW);
                if count::is_loose(file.kind(), count) {
                    edge.counted_loosely(file.kind(), sys::now());
                }
            }
            if !INTERPOSES && file.kind() != Kind::Attribute {
                edge.doubted_unseen(file.kind(), sys::now());
            }
            if edge.wants_look() || is_looked_at && edge.wants_look_uncounted() {
                let level = file.level(item.via(), watched) & !NVAL;
                edge.looked(file.kind(), level);
                // Out of the poll set as it is, nobody else would find it.
                news |= state.is_edge() && edge.asked(level).is_none() && edge.fresh(level) != 0 && !is_kept_out;
            }
            if is_uncounted {
                edge.doubted(file.kind(), sys::now());
            }
            if file.kind() == Kind::Attribute {
                edge.doubted_unseen(Kind::Attribute, sys::now());
            }
            if is_closed {
                edge.closed();
            }
            woken |= edge.take_woken();
            memory.set(edge);
        }
        st.note_woken(item, woken);
        if let Some(outer) = st.outer.link
            && st.outer.is_followed()
            && item.at(&st.held).announced().asked(watched).is_none()
        {
            // Likewise; what was told before is older than this look.
            st.refresh(item);
            outer.level_seen(st, item, file, file.level(item.via(), watched) & !NVAL, watched);
        }
        if news {
            st.pressing = true;
            st.note_ready(item);
        }
        let state = item.at(&st.held);
        let high = (state.edge.get().quiet() | state.announced().quiet()) & HUP;
        let polled = Polled { by: Looker::Resample, high, low: 0, tracked: state.tracked.get() };
        observe::observe(file, item.via(), polled);
        st.refresh(item);
    }
    longest
}

/// The same, and takes in what that brought up, in the instances inside above all, and what was told meanwhile. There is to be looked behind that,
/// too; what goes on coming is left as mail, which ends a sleep.
pub fn sample_and_absorb(ep: &'static Eventpoll, st: &mut EpState, extent: Extent) -> Option<u64> {
    const MOST: usize = 4;
    let mut longest = sample(st, extent);
    for _ in 0..MOST {
        if !ep.has_mail() {
            break;
        }
        ep.absorb(st);
        // The instances inside have been looked at, and what watchers send back of them would be more mail.
        longest = [longest, sample_listed(st, extent)].into_iter().flatten().min();
    }
    longest
}

/// Whether it is known without a look that all is taken that had arrived at the last report: what is taken in then is whether more was.
fn overtakes(st: &EpState, item: &Epitem, file: &File) -> bool {
    let state = item.at(&st.held);
    let mut edge = state.edge.get();
    if st.outer.is_followed() || edge.is_closing() || edge.wants_look() {
        return false;
    }
    let count = sample::overtaken(file, edge.seen());
    if let Some(count) = count {
        edge.overtaken(count, sample::VIEW);
        state.edge.set(edge);
    }
    count.is_some()
}

/// Whether all that is to be seen behind a registration are signals which its signalfd does not take: they are no reason to look again.
fn is_quiet_signalfd(state: &State, file: &File) -> bool {
    let quiet = state.edge.get().quiet() | state.announced().quiet();
    file.kind() == Kind::Signalfd && quiet & READABLE == 0
}

fn may_show(st: &EpState, item: &Epitem, file: &File) -> bool {
    let state = item.at(&st.held);
    let is_polled = state.alive.get() && !state.spent.get() && state.slot.get() != 0;
    is_polled && !st.outer.is_followed() && !file.kind().is_unix_data() && state.edge.get().may_show()
}

/// After a look: whether something arrived at a registration that it did not show, because it was taken. Then the others of its
/// levels are asked for.
pub fn found_by_count(st: &mut EpState) -> bool {
    let mut found = false;
    for index in 0..st.uneasy.len() {
        let item = st.uneasy[index];
        let state = item.at(&st.held);
        let Some(file) = item.file().filter(|file| may_show(st, item, file)) else { continue };
        if state.ready.get() || st.set.revents(item, &st.held) != 0 {
            continue;
        }
        let before = state.edge.get();
        if !overtakes(st, item, file) {
            st.stats.samples += 1;
            if let Some(count) = sample::arrivals(file, item.via(), state.heard(file)) {
                let mut edge = before;
                edge.counted(count, sample::VIEW);
                state.edge.set(edge);
            }
        }
        if item.at(&st.held).edge.get().quiet() != before.quiet() {
            found = true;
            st.refresh(item);
        }
    }
    found
}

/// Looks at the instances inside this one, so that their descriptors tell the truth, and at what is posted on sources.
fn sample_inner(st: &mut EpState) -> bool {
    let held = &st.held;
    st.inner.retain(|item| {
        let alive = item.at(held).alive.get();
        if !alive {
            item.unpin();
        }
        alive
    });
    let mut uneasy = false;
    for index in 0..st.inner.len() {
        let item = st.inner[index];
        let Some(file) = item.file() else { continue };
        match file.ops() {
            Some(ops) if !ops.is_instance => st.refresh(item),
            Some(ops) if !item.at(&st.held).spent.get() => uneasy |= (ops.look)(file, false).is_uneasy,
            _ => {}
        }
    }
    uneasy
}
