//! Finds edges that poll(2) cannot show because the level is still high: an arrival that only a
//! count shows, freed space, a peer that closed. Each wait samples the registrations on the
//! resample list, and so does a tick while a thread sleeps. Kernel counterpart: none, because there
//! every wake-up calls `ep_poll_callback`.

use crate::INTERPOSES;
use crate::count::Count;
use crate::edge::Edge;
use crate::events::{Bits, HUP, NVAL, READABLE};
use crate::graph::epitem::{Epitem, State};
use crate::graph::epstate::EpState;
use crate::graph::eventpoll::Eventpoll;
use crate::graph::file::{Eventfd, File};
use crate::instance::left;
use crate::instance::wait::{LONGEST_RARE_TICK_NS, LONGEST_TICK_NS, TICK_NS};
use crate::kind::{Arrivals, Kind};
use crate::probe::observe::{self, LookedBy, Polled};
use crate::probe::sample;
use crate::sys;

/// The registrations on the list that are sampled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extent {
    /// All of them.
    All,
    /// All except those that the next poll may show; [`found_by_count`] samples them after it.
    BeforeLook,
    /// Those of files whose wake-ups match any mask, so that their levels may not show them.
    WakesAnyMask,
}

/// Samples the registrations on the list, and the inner instances. Returns the longest time, in
/// nanoseconds, until the next sample is due; `None` if none is needed.
pub fn sample(st: &mut EpState, extent: Extent) -> Option<u64> {
    left::look(st);
    let looks_inside = extent != Extent::WakesAnyMask && sample_inner(st);
    let longest = sample_listed(st, extent);
    [longest, looks_inside.then_some(LONGEST_TICK_NS)].into_iter().flatten().min()
}

/// As [`sample()`], without the inner instances.
fn sample_listed(st: &mut EpState, extent: Extent) -> Option<u64> {
    let is_due = st.recheck.to_resample.is_empty() || sys::now() >= st.recheck.rare_due;
    let mut pace = Pace { longest: None, is_due };
    if st.outer.is_followed() {
        // From the end: if one arrival wakes several registrations, as a signal wakes every
        // signalfd, the kernel wakes the latest first.
        let held = &st.held;
        st.recheck.to_resample.sort_unstable_by_key(|item| item.at(held).serial.get());
    }
    let mut index = st.recheck.to_resample.len();
    while index > 0 {
        index -= 1;
        let item = st.recheck.to_resample[index];
        match file_to_sample(st, item) {
            Some(file) => sample_one(st, item, file, extent, &mut pace),
            None => drop_from_list(st, index),
        }
    }
    pace.longest
}

/// The time until the next sample.
struct Pace {
    longest: Option<u64>,
    /// Whether the most expensive counts are due now.
    is_due: bool,
}

impl Pace {
    /// Whether a registration is sampled this time. The count of an eventfd that another process
    /// may write to takes a read of `/proc`. Unless another process is known to write to it, the
    /// count is taken once in a while.
    fn admits(&mut self, st: &mut EpState, item: &Epitem, file: &File) -> bool {
        if INTERPOSES && file.is_shared_eventfd() {
            if file.eventfd().is_some_and(Eventfd::is_added_to_unseen) {
                self.longest = Some(LONGEST_TICK_NS);
                return true;
            }
            self.longest = self.longest.or(Some(LONGEST_RARE_TICK_NS));
            if self.is_due {
                st.recheck.rare_due = sys::now() + TICK_NS;
            }
            return self.is_due;
        }
        if !is_unreported_signalfd(item.at(&st.held), file) {
            self.longest = Some(LONGEST_TICK_NS);
        }
        true
    }
}

/// The file of a registration that belongs on the list.
fn file_to_sample(st: &EpState, item: &Epitem) -> Option<&'static File> {
    let state = item.at(&st.held);
    item.file()
        .filter(|file| state.alive.get() && !state.spent.get() && !state.is_parked() && state.needs_resample(file))
        // A ring reports every edge; where calls are seen, nothing is listed beside one.
        .filter(|_| if INTERPOSES { !state.is_signalled() } else { !st.tells_edges_of(item) })
}

fn drop_from_list(st: &mut EpState, index: usize) {
    let item = st.recheck.to_resample.swap_remove(index);
    item.at(&st.held).to_resample.set(false);
    st.note_left(item);
    item.unpin();
}

fn sample_one(st: &mut EpState, item: &'static Epitem, file: &'static File, extent: Extent, pace: &mut Pace) {
    if extent == Extent::WakesAnyMask && !file.kind().wakes_any_mask() {
        return;
    }
    if overtakes(st, item, file) {
        st.refresh(item);
        return;
    }
    if !pace.admits(st, item, file) || extent == Extent::BeforeLook && may_show(st, item, file) {
        return;
    }
    st.stats.samples += 1;
    let watched = item.at(&st.held).outer_watched(file);
    let sample = Sample::take(item, item.at(&st.held), file, watched);
    let found = compare(item, item.at(&st.held), file, watched, sample);
    st.note_woken(item, found.is_woken);
    look_for_outer(st, item, file, watched);
    if found.is_news {
        st.ready.pressing = true;
        st.note_ready(item);
    }
    let state = item.at(&st.held);
    let high = (state.edge.get().reported() | state.announced().reported()) & HUP;
    let polled = Polled { by: LookedBy::Resample, high, low: 0, tracked: state.tracked.get() };
    observe::observe(file, item.via(), polled);
    st.refresh(item);
}

/// One sample of a registration.
#[derive(Clone, Copy)]
struct Sample {
    /// The count of arrivals, if there is one.
    count: Option<Count>,
    /// Whether a TCP connection that was closing can no longer change its state.
    is_closed: bool,
}

impl Sample {
    fn take(item: &Epitem, state: &State, file: &'static File, watched: Bits) -> Sample {
        let closes = state.edge.get().is_closing() || state.announced().is_closing();
        // Before the count, which then includes a state that the connection enters in between.
        let is_closed = closes && file.kind() != Kind::Signalfd && !sample::closes_still(item.via());
        let count = sample::arrivals(file, item.via(), watched);
        let had = state.edge.get().last_count();
        let is_arrival = |count| had.shows_arrival(count, sample::VIEW.taken_signals);
        if let Some(tcp) = file.tcp().filter(|tcp| tcp.position().is_some())
            && count.is_some_and(is_arrival)
        {
            // A reader whose calls are not seen may have taken some.
            tcp.forget_position();
        }
        Sample { count, is_closed }
    }
}

/// The result of comparing a sample with the last report.
struct Found {
    /// A level rose that is in no poll set, so only this look finds it.
    is_news: bool,
    /// There was a wake-up that must be reported to outer instances.
    is_woken: bool,
}

/// Compares a sample with each of the registration's memories of edges.
fn compare(item: &Epitem, state: &State, file: &'static File, watched: Bits, sample: Sample) -> Found {
    let mut found = Found { is_news: false, is_woken: false };
    let is_uncounted = sample.count.is_none() && !file.kind().arrivals().is_private();
    let is_looked_at = is_uncounted || file.kind().arrivals() == Arrivals::Memory;
    // The registration has its turn when the other instance gives up its claim (X1).
    let is_kept_out = state.is_exclusive() && !state.newcomer.get() && file.claim().is_of_another(item);
    for memory in state.memories() {
        let mut edge = memory.get();
        take_count(&mut edge, file, sample.count);
        if edge.wants_look() || is_looked_at && edge.wants_look_uncounted() {
            let level = file.level(item.via(), watched) & !NVAL;
            edge.looked(file.kind(), level);
            let is_unpolled = state.is_edge() && edge.asked(level).is_none();
            found.is_news |= is_unpolled && edge.fresh(level) != 0 && !is_kept_out;
        }
        if is_uncounted {
            edge.doubted(file.kind(), sys::now());
        }
        if file.kind() == Kind::Attribute {
            edge.doubted_unseen(Kind::Attribute, sys::now());
        }
        if sample.is_closed {
            edge.closed();
        }
        found.is_woken |= edge.take_woken();
        memory.set(edge);
    }
    found
}

fn take_count(edge: &mut Edge, file: &File, count: Option<Count>) {
    if let Some(count) = count {
        edge.counted(count, sample::VIEW);
        if count.is_loose(file.kind()) {
            edge.counted_loosely(file.kind(), sys::now());
        }
    }
    if !INTERPOSES && file.kind() != Kind::Attribute {
        edge.doubted_unseen(file.kind(), sys::now());
    }
}

/// Looks at the level of a registration that no poll would find, for the outer instances of a
/// followed instance.
fn look_for_outer(st: &mut EpState, item: &'static Epitem, file: &'static File, watched: Bits) {
    if let Some(outer) = st.outer.link
        && st.outer.is_followed()
        && item.at(&st.held).announced().asked(watched).is_none()
    {
        // The facts are older than this look.
        st.refresh(item);
        outer.level_seen(st, item, file, file.level(item.via(), watched) & !NVAL, watched);
    }
}

/// Samples, and takes in the results, above all those of the inner instances, and the facts that
/// hooks reported meanwhile; those are sampled in turn. After a few rounds the rest stays in the
/// inbox, which ends a sleep.
pub fn sample_and_absorb(ep: &'static Eventpoll, st: &mut EpState, extent: Extent) -> Option<u64> {
    const MOST: usize = 4;
    let mut longest = sample(st, extent);
    for _ in 0..MOST {
        if !ep.has_mail() {
            break;
        }
        ep.absorb(st);
        // Without the inner instances: the reports of watchers on them would be more mail.
        longest = [longest, sample_listed(st, extent)].into_iter().flatten().min();
    }
    longest
}

/// Whether the readers of a TCP stream are known, without a system call, to have taken all data
/// that had arrived by the last report. If so, their count is taken in, which shows whether more
/// has arrived.
fn overtakes(st: &EpState, item: &Epitem, file: &File) -> bool {
    let state = item.at(&st.held);
    let mut edge = state.edge.get();
    if st.outer.is_followed() || edge.is_closing() || edge.wants_look() {
        return false;
    }
    let count = sample::overtaken(file, edge.last_count());
    if let Some(count) = count {
        edge.overtaken(count, sample::VIEW);
        state.edge.set(edge);
    }
    count.is_some()
}

/// Whether the file is a signalfd whose readable level is not a reported one. Then it can hide only signals
/// outside its mask, which need no tick.
fn is_unreported_signalfd(state: &State, file: &File) -> bool {
    let reported = state.edge.get().reported() | state.announced().reported();
    file.kind() == Kind::Signalfd && reported & READABLE == 0
}

/// Whether the next poll may show the edge that a sample would find.
fn may_show(st: &EpState, item: &Epitem, file: &File) -> bool {
    let state = item.at(&st.held);
    let is_polled = state.alive.get() && !state.spent.get() && state.slot.get() != 0;
    is_polled && !st.outer.is_followed() && !file.kind().is_unix_data() && state.edge.get().may_show()
}

/// Samples, after a poll, the registrations that it might have shown and did not. True if something
/// arrived at one of them and was taken: then the other levels of its mask must be polled as well.
pub fn found_by_count(st: &mut EpState) -> bool {
    let mut found = false;
    for index in 0..st.recheck.to_resample.len() {
        let item = st.recheck.to_resample[index];
        let state = item.at(&st.held);
        let Some(file) = item.file().filter(|file| may_show(st, item, file)) else { continue };
        if state.ready.get() || st.backend.set.revents(item, &st.held) != 0 {
            continue;
        }
        let before = state.edge.get();
        if !overtakes(st, item, file) {
            st.stats.samples += 1;
            if let Some(count) = sample::arrivals(file, item.via(), state.outer_watched(file)) {
                let mut edge = before;
                edge.counted(count, sample::VIEW);
                state.edge.set(edge);
            }
        }
        if item.at(&st.held).edge.get().reported() != before.reported() {
            found = true;
            st.refresh(item);
        }
    }
    found
}

/// Looks at the inner instances, so that their descriptors show their current level, and at the
/// posted levels of sources. True if one of the instances needs another look after a while.
fn sample_inner(st: &mut EpState) -> bool {
    let held = &st.held;
    st.items.inner.retain(|item| {
        let alive = item.at(held).alive.get();
        if !alive {
            item.unpin();
        }
        alive
    });
    let mut to_resample = false;
    for index in 0..st.items.inner.len() {
        let item = st.items.inner[index];
        let Some(file) = item.file() else { continue };
        match file.ops() {
            Some(ops) if !ops.is_instance => st.refresh(item),
            Some(ops) if !item.at(&st.held).spent.get() => to_resample |= (ops.look)(file, false).needs_resample,
            _ => {}
        }
    }
    to_resample
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::instance::testing::{ET, Epoll, Fd, IN, pipe};

    /// A pipe with one unread byte, which an edge-triggered registration has reported.
    fn reported() -> (Epoll, [Fd; 2]) {
        let (ep, [end, other]) = (Epoll::new(), pipe());
        ep.add(&end, IN | ET);
        sys::write(other.0, b"a").expect("a pipe with room");
        assert_eq!(ep.wait(), [(IN, end.0)]);
        (ep, [end, other])
    }

    #[test]
    fn an_unseen_arrival_behind_a_reported_level_is_found_by_its_count() {
        // E1, where no hook sees the write: as from another process.
        let (ep, [end, other]) = reported();
        assert_eq!(ep.wait(), []);
        sys::write(other.0, b"b").expect("a pipe with room");
        assert_eq!(ep.wait(), [(IN, end.0)]);
    }

    #[test]
    fn a_part_that_is_taken_is_not_an_edge() {
        // E2, where a hook has seen the read.
        let (ep, [end, other]) = reported();
        sys::write(other.0, b"bc").expect("a pipe with room");
        assert_eq!(ep.wait(), [(IN, end.0)]);
        sys::read(end.0, &mut [0; 1]).expect("three bytes");
        end.file().consume(1);
        assert_eq!(ep.wait(), []);
    }

    #[test]
    fn a_registration_is_listed_while_its_reported_level_may_hide_an_arrival() {
        let (ep, [end, _other]) = reported();
        assert_eq!(sample(&mut ep.lock(), Extent::All), Some(LONGEST_TICK_NS));
        sys::read(end.0, &mut [0; 1]).expect("a byte");
        end.file().consume(1);
        end.file().tell(crate::edge::Facts::READ_EAGAIN, end.file().begin_call());
        ep.ep.absorb(&mut ep.lock());
        assert_eq!(sample(&mut ep.lock(), Extent::All), None);
        assert!(ep.lock().recheck.to_resample.is_empty());
    }

    #[test]
    fn a_level_triggered_registration_needs_no_sample() {
        let (ep, [end, other]) = (Epoll::new(), pipe());
        ep.add(&end, IN);
        sys::write(other.0, b"a").expect("a pipe with room");
        assert_eq!(ep.wait(), [(IN, end.0)]);
        assert_eq!(sample(&mut ep.lock(), Extent::All), None);
    }
}
