//! Epoll descriptors that somebody looks at from outside: inside another instance, or in poll and select (N1 to N3).
//!
//! Such an instance is *observed*. While nobody waits on it its registrations are with the watchers, and a byte in its pipe
//! makes its descriptor readable; so whoever polls the descriptor, in this library or in the kernel, sees what it must.

mod link;
pub mod poll_select;

use nix::errno::Errno;

use crate::INTERPOSES;
use crate::backend::{switch, watch};
use crate::edge::{Edge, Facts};
use crate::events::{Bits, ERR, HUP, NVAL, OUT, WRITABLE, WRNORM, levels};
use crate::facts;
use crate::graph::epitem::{Epitem, State};
use crate::graph::epstate::EpState;
use crate::graph::eventpoll::Eventpoll;
use crate::graph::file::{File, READABLE_INSTANCE};
use crate::graph::outer::{Audience, Pipe};
use crate::graph::woken_list::Line;
use crate::instance::nesting_limits;
use crate::instance::resample::{self, Extent};
use crate::instance::send_events;
use crate::kind::Kind;
use crate::lock;
use crate::probe::fleeting;
use crate::probe::sample;
use crate::sys;
use crate::window::Window;

use link::Link;
pub use link::create;

/// Somebody looks at the level of the instance's descriptor from now on.
fn observe(ep: &'static Eventpoll) {
    let mut st = ep.lock();
    expose(ep, &mut st, Audience::ForLevels);
}

/// Where the program's calls are not seen, anybody may look at the descriptor. Nothing else is left of that look than the level, so it is kept
/// up to date from the beginning, and whenever the instance is polled; only a ring, which is for the one thread that waits, does without.
fn observe_unseen(ep: &'static Eventpoll, st: &mut EpState) {
    if !INTERPOSES {
        expose(ep, st, Audience::Presumed);
    }
}

/// The instance has edge-triggered registrations, which only a ring does justice to where calls are not seen.
fn leave_to_ring(ep: &'static Eventpoll, st: &mut EpState) {
    if !INTERPOSES
        && st.outer.audience == Audience::Presumed
        && st.edges > 0
        && st.poller.is_none()
        && st.prospect.may_come()
    {
        calm(ep, st);
        st.outer.audience = Audience::Nobody;
        ep.expose(false);
    }
}

/// Somebody looks at the descriptor from now on.
fn expose(ep: &'static Eventpoll, st: &mut EpState, audience: Audience) {
    let was_observed = st.outer.is_observed();
    st.outer.audience = st.outer.audience.max(audience);
    if !was_observed {
        st.outer.link = Some(&Link);
        match st.poller {
            Some(poller) if st.ring.is_some() => poller.kick(),
            Some(_) => {}
            None => switch::leave(ep, st),
        }
        ep.expose(true);
        attend(ep, st);
    }
}

/// Somebody waits for the edges of the instance from now on, and so for those of the instances in it. Under the guard of `check`.
fn follow(ep: &'static Eventpoll) -> Result<(), Errno> {
    let inner = {
        let mut st = ep.lock();
        let inner = nesting_limits::gather(st.inner.iter().filter_map(|item| item.file().and_then(File::eventpoll)))?;
        let registrations = st.interest.len();
        st.line.reserve(registrations)?;
        st.furnish(true)?;
        begin_to_follow(ep, &mut st);
        inner
    };
    inner.into_iter().try_for_each(follow)
}

fn begin_to_follow(ep: &'static Eventpoll, st: &mut EpState) {
    if st.outer.is_followed() {
        return;
    }
    expose(ep, st, Audience::ForLevels);
    st.outer.audience = Audience::ForEdges;
    // Every registration is to be tracked from here on. What there is now is known.
    if st.poller.is_none() {
        ep.absorb(st);
    }
    st.overdue = true;
    st.outer.has_news = false;
    for index in 0..st.ready.len() {
        st.stand_in_line(st.ready[index]);
    }
    for index in 0..st.interest.len() {
        let item = st.interest[index].get();
        if let Some(file) = item.file() {
            // What is with a watcher is polled for its own levels only.
            watch::take_back(st, item);
            st.track(item, file);
            let was_reported = is_reported(item, item.at(&st.held), file);
            if begin(st, item, file) && was_reported {
                Line::leave(item, &st.held);
            }
        }
    }
    attend(ep, st);
}

/// Whether a registration was reported and does not stay ready.
fn is_reported(item: &Epitem, state: &State, file: &'static File) -> bool {
    let mut edge = state.edge.get();
    if state.spent.get() || !state.is_edge() || state.ready.get() || edge.quiet() == 0 {
        return state.spent.get();
    }
    let heard = state.heard(file);
    if let Some(count) = sample::arrivals(file, item.via(), heard) {
        edge.counted(count, sample::VIEW);
    }
    edge.fresh(file.level(item.via(), heard)) == 0
}

/// What a look at an instance shows.
#[derive(Clone, Copy, Debug)]
pub struct Seen {
    /// A wait on it would report something now (N1).
    pub ready: bool,
    /// It has to be looked at again after a while: an edge may hide in it that nobody tells of.
    pub uneasy: bool,
    /// The clock of its description then: what is told outside after that is no part of this.
    pub at: u32,
}

impl Seen {
    /// Under the lock of the instance, which is held while outer instances are told, unless it was not to be had.
    fn of(ep: &'static Eventpoll, ready: bool, uneasy: bool) -> Seen {
        Seen { ready, uneasy, at: ep.file().map_or(0, File::clock) }
    }
}

/// Whether a wait on the instance would report something now, for an outer instance whose lock is held, and who gets to it: as in
/// the kernel, that goes past those in line that show nothing.
fn is_ready(ep: &'static Eventpoll) -> bool {
    look(ep, true, true).ready
}

/// The same, of an instance whose turn it is not.
fn seems_ready(ep: &'static Eventpoll) -> bool {
    look(ep, true, false).ready
}

/// Looks at an instance, for somebody who holds no lock of ours unless he is in a signal handler.
pub fn look_from_outside(ep: &'static Eventpoll) -> Seen {
    if lock::interrupted() { peek(ep) } else { look(ep, false, true) }
}

/// A look in a signal handler that interrupted this library. Any lock may be the interrupted code's, those that end a registration or
/// park one among them, so nothing is changed but the level of the descriptor, and only upwards. What has no lock to be had shows what
/// its pipe does.
fn peek(ep: &'static Eventpoll) -> Seen {
    let Some(mut st) = ep.lock_while(|| false) else { return Seen::of(ep, true, true) };
    if st.outer.pipe == Pipe::Empty && st.interest.iter().any(|item| would_be_found(&st, item.get())) {
        show_readable(ep, &mut st);
    }
    Seen::of(ep, st.outer.pipe != Pipe::Empty, true)
}

fn would_be_found(st: &EpState, item: &'static Epitem) -> bool {
    let Some(asked) = asked_in_a_wait(st, item) else { return false };
    let Some(file) = item.file() else { return false };
    let level = match file.eventpoll() {
        Some(inner) if peek(inner).ready => READABLE_INSTANCE,
        Some(_) => 0,
        None => file.level(item.via(), asked) & !NVAL,
    };
    level & asked != 0
}

/// The levels for which a wait would report the registration.
fn asked_in_a_wait(st: &EpState, item: &Epitem) -> Option<Bits> {
    let state = item.at(&st.held);
    let file = item.file().filter(|_| state.alive.get() && !state.spent.get())?;
    if state.ready.get() { Some(state.watched(file)) } else { st.bits_to_ask(item, file) }
}

/// Looks at an instance, as far as its first registration that is ready; with `for_edges` at all of them if somebody waits for its
/// edges. Whoever gets to it (`in_turn`) goes past those in line that show nothing. The lock of an outer instance may be held: while
/// a fork waits for that one the inner lock may not come.
fn look(ep: &'static Eventpoll, for_edges: bool, in_turn: bool) -> Seen {
    let taken = ep.lock_while(|| !facts::is_forking());
    let Some(mut st) = taken else { return Seen::of(ep, true, true) };
    let st = &mut *st;
    expose(ep, st, Audience::ForLevels);
    if !(st.outer.is_followed() && (for_edges || in_turn)) && is_known_ready(ep, st, in_turn) {
        return Seen::of(ep, true, false);
    }
    attend(ep, st);
    if watch::look_at_parked(st) {
        attend(ep, st);
    }
    if in_turn {
        go_past_the_silent(st);
        if !st.outer.is_followed() && !st.inner.is_empty() {
            // Instances inside that were woken and show nothing have to be woken once more.
            is_known_ready(ep, st, true);
        }
        if st.outer.pipe == Pipe::Lingering && st.ready.is_empty() {
            calm(ep, st);
        }
    }
    let shown = st.outer.pipe == Pipe::Readable;
    if in_turn && shown && st.fleeting > 0 && !st.outer.is_followed() {
        // It was found ready by looks of our own, and this one takes what it shows.
        send_events::anything(st, false, true);
    }
    // What those that wait on it have not taken yet it does not show.
    let ready = shown || (!st.closed && is_waited_on(st) && would_find_any(st));
    Seen::of(ep, ready, st.outer.is_uneasy)
}

/// Whether a wait would find something now, without a touch of what somebody may be asleep on.
fn would_find_any(st: &EpState) -> bool {
    const WINDOW: usize = 64;
    let is_apart = |file: &File| file.eventpoll().is_some() || file.is_source() || file.kind().fleeting() != 0;
    let is_ours = |item: &Epitem| item.file().is_some_and(is_apart);
    st.interest.chunks(WINDOW).any(|items| {
        let mut window = Window::<Bits, WINDOW>::new();
        for item in items.iter().filter(|item| !is_ours(item.get())) {
            if let Some(asked) = asked_in_a_wait(st, item.get()) {
                window.add(asked, item.get().via(), asked);
            }
        }
        let shows = window.look().any(|(asked, found)| found & asked != 0 && found & NVAL == 0);
        shows || items.iter().any(|item| is_ours(item.get()) && would_be_found(st, item.get()))
    })
}

/// Those in line that show nothing leave it, up to the first that shows something (`__ep_eventpoll_poll`).
fn go_past_the_silent(st: &mut EpState) {
    while let Some(item) = st.line.first(&st.held) {
        if would_stop(st, item) {
            return;
        }
        Line::leave(item, &st.held);
        if item.file().is_some_and(|file| file.eventpoll().is_some()) {
            send_events::pass(st, item);
        }
    }
}

fn would_stop(st: &EpState, item: &'static Epitem) -> bool {
    let state = item.at(&st.held);
    let Some(file) = item.file().filter(|_| state.alive.get() && !state.spent.get()) else { return false };
    let asked = levels(state.events.get());
    match file.eventpoll() {
        Some(inner) => asked & READABLE_INSTANCE != 0 && is_ready(inner),
        None if file.kind().fleeting() != 0 => fleeting::take(file, item.via()).level & asked != 0,
        None => file.level(item.via(), asked) & asked != 0,
    }
}

/// Whether the instance is observed and nobody waits on it, who would look after it.
fn is_unattended(st: &EpState) -> bool {
    st.outer.is_observed() && !st.closed && !is_waited_on(st)
}

fn is_waited_on(st: &EpState) -> bool {
    st.poller.is_some() || !st.waiters.is_empty()
}

/// Whether something on the ready list is ready still: then the descriptor says so, and nothing else needs a look.
fn is_known_ready(ep: &'static Eventpoll, st: &mut EpState, in_turn: bool) -> bool {
    let ready = is_unattended(st) && send_events::anything(st, false, in_turn);
    if ready {
        show_readable(ep, st);
    }
    announce_news(ep, st);
    ready
}

/// Keeps the descriptor's level true after one registration has gone.
fn settle(ep: &'static Eventpoll, st: &mut EpState) {
    if st.outer.pipe != Pipe::Empty && !is_known_ready(ep, st, false) {
        attend(ep, st);
    }
}

/// Keeps the descriptor's level true after one registration has come or changed, and looks after that one.
fn attend_to(ep: &'static Eventpoll, st: &mut EpState, item: &'static Epitem) {
    if !is_unattended(st) {
        return;
    }
    let found = st.set.look_at(item, &st.held);
    if fleeting::found_on(item, found) {
        ep.absorb(st);
    }
    if found & NVAL != 0 || item.file().is_none_or(|file| file.eventpoll().is_some()) {
        attend(ep, st);
        return;
    }
    if st.outer.is_followed() && item.at(&st.held).slot.get() != 0 {
        if found != 0 {
            note_woken_beside(st, item);
        }
        let asked = st.set.asked(item, &st.held);
        note_news(st, item, asked, found);
        announce_news(ep, st);
    }
    if found != 0 {
        st.note_ready(item);
        if send_events::proves_ready(st, item) {
            show_readable(ep, st);
            return;
        }
    }
    if item.at(&st.held).ready.get() {
        // It was, or is no news.
        attend(ep, st);
        return;
    }
    st.outer.is_uneasy |= item.at(&st.held).uneasy.get();
    if (st.outer.is_followed() || st.outer.pipe == Pipe::Empty) && is_idle(st, item) {
        st.outer.is_uneasy |= watch::park(st, std::iter::once(item)) == 0;
    }
}

/// Does for an observed instance what a waiting thread would do: looks once, gives the silent registrations to the watchers,
/// and keeps the descriptor's level true. Does nothing while somebody waits, who does all this. While it is ready nobody need
/// watch, except for those who wait for its edges: it is so until a look finds that it is not.
fn attend(ep: &'static Eventpoll, st: &mut EpState) {
    if !is_unattended(st) || (!st.outer.is_followed() && is_known_ready(ep, st, false)) {
        return;
    }
    let stirred = ep.was_stirred();
    ep.absorb(st);
    st.outer.is_uneasy = resample::sample_and_absorb(ep, st, Extent::All).is_some();
    sys::look(st.set.poll_with(-1));
    if fleeting::found_in_set(st) {
        ep.absorb(st);
    }
    let descriptors = st.set.len();
    st.stats.polled(descriptors);
    if st.outer.is_followed() {
        announce(ep, st);
    }
    // Numbers that vanished are the next wait's business.
    let _ = send_events::collect(st);
    let any = send_events::anything(st, st.outer.is_followed(), false);
    send_events::leave_waiting(st);
    if st.outer.is_followed() || !any {
        // What no watcher takes has to be looked at by whoever polls the descriptor.
        st.outer.is_uneasy |= !park_the_rest(st);
    }
    if any {
        show_readable(ep, st);
    } else {
        if stirred && st.outer.pipe == Pipe::Empty {
            st.outer.pipe = Pipe::Readable;
        }
        if st.outer.pipe != Pipe::Empty && !st.ready.is_empty() {
            // An item on the ready list that is not ready stays there until a look from above finds
            // it so.
            st.outer.pipe = Pipe::Lingering;
        } else {
            calm(ep, st);
        }
    }
}

/// Tells the outer instances of what the last poll found and what the witnesses saw: each wake-up of a registration that was not
/// announced yet is an edge of the epoll descriptor, whatever became of it since (N2).
fn announce(ep: &'static Eventpoll, st: &mut EpState) {
    let fired = |slot| st.set.entry(slot).filter(|(.., found)| *found != 0).map(|(item, ..)| item);
    if let Some(item) = (1..=st.set.len()).filter_map(fired).find(|item| wakes_beside(item)) {
        note_woken_beside(st, item);
    }
    // Those that came last first, as the kernel wakes those that wait for the same.
    for slot in (1..=st.set.len()).rev() {
        let Some((item, asked, found)) = st.set.entry(slot) else { continue };
        if found & NVAL == 0 && item.at(&st.held).alive.get() {
            note_news(st, item, asked, found);
        }
    }
    announce_news(ep, st);
}

/// What a poll found on a registration may have woken others before it, which do not show it.
fn note_woken_beside(st: &mut EpState, item: &'static Epitem) {
    if wakes_beside(item) {
        st.outer.is_uneasy |= resample::sample(st, Extent::WakesAnyMask).is_some();
    }
}

fn wakes_beside(item: &Epitem) -> bool {
    item.file().is_some_and(|file| file.kind().wakes_any_mask())
}

/// Takes in what a poll found on a registration.
fn note_news(st: &mut EpState, item: &'static Epitem, asked: Bits, found: Bits) {
    if let Some(file) = item.file().filter(|file| file.eventpoll().is_none()) {
        let woken = take_in(st, item, file, found, asked);
        st.note_woken(item, woken);
        let state = item.at(&st.held);
        if found & !state.watched(file) != 0 {
            // It is asked for no more, until it is low or comes anew.
            st.refresh(item);
        }
        st.note_unease(item);
    }
}

fn announce_news(ep: &'static Eventpoll, st: &mut EpState) {
    if std::mem::take(&mut st.outer.has_news) {
        tell_outer(ep, st);
    }
}

/// Takes in what a registration shows, of what was asked. True if that is to be told to the outer instances.
fn take_in(st: &EpState, item: &'static Epitem, file: &'static File, level: Bits, asked: Bits) -> bool {
    let state = item.at(&st.held);
    let watched = state.heard(file);
    // What made room is told with this, and not once more when a report finds out.
    resample::departures(file, item);
    if file.kind().is_pipe() {
        // It may have been filled before anybody was told. Who finds room here is not the only one who waits for it.
        if asked & watched & !level & (OUT | WRNORM) != 0 {
            file.set_choked(true);
        }
    } else if asked & level & WRITABLE != 0 {
        resample::note_room(file, state.tracked.get());
    }
    if level & ERR != 0 {
        file.follow_errors(true);
    }
    let mut announced = state.announced();
    let before = announced;
    let clock = file.clock();
    let count = || sample::settled_arrivals(file, item.via(), watched);
    // What a look takes away was told of when it was found.
    let lasting = !file.kind().fleeting();
    let news =
        announced.announce(file.kind(), level & watched & lasting, (asked | ERR | HUP) & lasting, sample::VIEW, count);
    if announced != before {
        state.set_announced(announced);
        // What a look does not tell, a call that began before it may have to tell yet.
        if news {
            state.set_announced_at(clock);
        }
    }
    news
}

/// Whether something woke a registration that was not announced yet, which counts as announced from here on.
fn is_news(st: &mut EpState, item: &'static Epitem, file: &'static File) -> bool {
    if let Some(inner) = file.eventpoll() {
        // Which may have to tell of something.
        seems_ready(inner);
    }
    resample::departures(file, item);
    let state = item.at(&st.held);
    let mut announced = state.announced();
    let watched = state.heard(file);
    announced.digest(file.kind(), watched, item.take_facts(), item.told_after(state.announced_at()));
    if let Some(count) = sample::arrivals(file, item.via(), watched) {
        announced.counted(count, sample::VIEW);
    }
    state.set_announced(announced);
    show(st, item, file, watched, false).0
}

/// A registration is about to begin, or to begin anew: who was woken before that stands before it in line.
fn catch_up(ep: &'static Eventpoll, st: &mut EpState) {
    if st.outer.is_followed() && st.poller.is_none() {
        ep.absorb(st);
        // Of the others none stands in line and shows nothing, unless a witness told of what was taken.
        st.outer.is_uneasy |= resample::sample(st, Extent::WakesAnyMask).is_some();
    }
}

/// A registration begins, or begins anew, in an observed instance: whatever is there now is known. True if the outer instances are to
/// be told that it is ready, which they are unless it was in line before (T6).
fn begin(st: &mut EpState, item: &'static Epitem, file: &'static File) -> bool {
    let state = item.at(&st.held);
    if state.heard(file) & WRITABLE != 0 {
        resample::begin_to_count_outgoing(file, item);
    }
    let mut announced = Edge::anew(file.is_closing()).for_outer();
    if file.kind() == Kind::Signalfd {
        // Every signal wakes every signalfd, whether it takes it or not.
        announced.follow();
    }
    if announced.is_closing()
        && let Some(count) = sample::arrivals(file, item.via(), state.heard(file))
    {
        announced.counted(count, sample::VIEW);
    }
    state.set_announced(announced);
    state.set_announced_at(file.clock());
    let asked_for = levels(state.events.get());
    let (_, level) = show(st, item, file, state.heard(file), true);
    let is_new = level & asked_for != 0 && !Line::has(item, &st.held);
    if is_new {
        st.stand_in_line(item);
    }
    is_new
}

fn show(st: &EpState, item: &'static Epitem, file: &'static File, watched: Bits, in_turn: bool) -> (bool, Bits) {
    if let Some(inner) = file.eventpoll() {
        let ready = if in_turn { is_ready(inner) } else { seems_ready(inner) };
        let level = if ready { READABLE_INSTANCE } else { 0 };
        let state = item.at(&st.held);
        let mut announced = state.announced();
        let woken = announced.take_woken();
        state.set_announced(announced);
        return (woken, level & watched);
    }
    let level = file.level(item.via(), watched) & !NVAL;
    (take_in(st, item, file, level, watched), level)
}

/// One more edge of the epoll descriptor. It begins before the descriptor shows it: an outer instance that is woken by that and
/// reports it must not take this for a second one.
fn tell_outer(ep: &'static Eventpoll, st: &mut EpState) {
    let at = ep.file().map_or(0, File::begin_call);
    show_readable(ep, st);
    if let Some(file) = ep.file() {
        file.tell(Facts::WROTE, at);
    }
}

/// Whether a registration can do with a watcher.
fn is_idle(st: &EpState, item: &'static Epitem) -> bool {
    let state = item.at(&st.held);
    let vanished = st.set.revents(item, &st.held) & NVAL != 0;
    let polled = state.slot.get() != 0 && !state.is_parked();
    polled && !state.ready.get() && !state.uneasy.get() && !vanished
}

/// Everything that is neither ready nor uneasy goes to the watchers. False if there are too few of them.
fn park_the_rest(st: &mut EpState) -> bool {
    loop {
        let mut batch: [Option<&'static Epitem>; 64] = [None; 64];
        let idle = st.set.silent(usize::MAX, true).map(|(_, item)| item).filter(|item| is_idle(st, item));
        for (place, item) in batch.iter_mut().zip(idle) {
            *place = Some(item);
        }
        let waiting = batch.iter().flatten().count();
        if watch::park(st, batch.iter().flatten().copied()) < waiting {
            return false;
        }
        if waiting < batch.len() {
            return true;
        }
    }
}

/// Makes the descriptor readable by a byte of our own: one that `stir` put there may be gone already.
fn show_readable(ep: &'static Eventpoll, st: &mut EpState) {
    if std::mem::replace(&mut st.outer.pipe, Pipe::Readable) == Pipe::Empty {
        ep.show_readable();
    }
}

/// Nothing is ready: takes whatever is in the pipe out of it.
fn calm(ep: &'static Eventpoll, st: &mut EpState) {
    let stirred = ep.was_stirred();
    if stirred || st.outer.pipe != Pipe::Empty {
        st.outer.pipe = Pipe::Empty;
        let mut bytes = [0; 256];
        while sys::read(ep.number(), &mut bytes) == Ok(bytes.len()) {}
    }
}
