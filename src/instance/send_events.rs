//! What is reported: the ready list on its way out, and what level, edge and one-shot do to it. Kernel counterpart:
//! `ep_send_events`.

use libc::{c_int, epoll_event};
use nix::errno::Errno;

use crate::INTERPOSES;
use crate::backend::uring;
use crate::edge::Edge;
use crate::events::{Bits, EDGE, IN, NVAL, ONESHOT, WRITABLE, levels};
use crate::graph::epitem::{Epitem, State};
use crate::graph::epstate::EpState;
use crate::graph::exclusive;
use crate::graph::file::{Allowance, File, Look, READABLE_INSTANCE};
use crate::instance::descriptors;
use crate::instance::wait::Buffer;
use crate::kind::Kind;
use crate::probe::fleeting::{self, Shown};
use crate::probe::observe::{self, Looker, Polled};
use crate::probe::sample;
use crate::sys;
use crate::user;
use crate::window::Window;

/// How many registrations get their second look in one poll.
const WINDOW: usize = 64;
/// So many are few.
const FEW: usize = 8;

/// Descriptions whose number was found closed, or another's, although nobody told us.
#[derive(Debug)]
pub struct Vanished([Option<(&'static File, c_int)>; 8]);

impl Vanished {
    /// None so far.
    pub const fn none() -> Vanished {
        Vanished([None; 8])
    }

    fn note(&mut self, item: &'static Epitem) {
        if let (Some(free), Some(file)) = (self.0.iter_mut().find(|place| place.is_none()), item.file()) {
            *free = Some((file, item.via()));
        }
    }

    /// Ends their registrations. Not under a lock. What did not fit comes up again at the next poll.
    pub fn forget(self) {
        for (file, fd) in self.0.into_iter().flatten() {
            descriptors::vanished(file, fd);
        }
    }
}

/// Puts what the last poll found on the ready list.
pub fn collect(st: &mut EpState) -> Vanished {
    let mut vanished = Vanished::none();
    st.now_ms = sys::coarse_ms();
    uring::sweep(st, |item| vanished.note(item));
    let poll = st.ready.begin_poll();
    let mut slot = 0;
    while let Some((at, item, bits)) = st.set.next_fired(slot) {
        slot = at;
        if bits & NVAL != 0 {
            if item.at(&st.held).alive.get() {
                vanished.note(item);
            }
            continue;
        }
        st.note_ready(item);
    }
    st.ready.end_poll(poll);
    let silence = st.set.count_silence(&st.held);
    match &st.ring {
        None => st.account.polled(st.interest.len(), st.parked, silence),
        Some(_) => st.calm_silent(),
    }
    vanished
}

/// Reports what is ready, oldest first, and answers with the number of events. EFAULT, with nothing lost, when there is
/// something to report and no address to report it to (W1).
pub fn deliver(st: &mut EpState, buffer: Buffer, vanished: &mut Vanished) -> Result<usize, Errno> {
    st.pressing = false;
    report(st, buffer, st.ready.len(), 0, vanished)
}

/// Reports those that have waited for their turn longest, without a poll of all, if they are as many as there is room for and are ready still:
/// whatever became ready since the last poll stands behind them. None if they will not do.
pub fn deliver_waiting(st: &mut EpState, buffer: Buffer, vanished: &mut Vanished) -> Option<Result<usize, Errno>> {
    let is_plain = st.ring.is_none() && !st.outer.is_observed() && !st.pressing;
    if !is_plain || !all_still_ready(st, buffer.max) {
        return None;
    }
    st.now_ms = sys::coarse_ms();
    st.stats.polled(buffer.max);
    Some(report(st, buffer, buffer.max, buffer.max, vanished))
}

/// Whether so many have waited for their turn, all of them level-triggered, and their levels are high.
fn all_still_ready(st: &EpState, number: usize) -> bool {
    let Some(mut waiting) = st.ready.waiting(number) else { return false };
    let look = if number > FEW { are_ready::<WINDOW> } else { are_ready::<FEW> };
    (0..number).step_by(if number > FEW { WINDOW } else { FEW }).all(|done| look(st, &mut waiting, number - done))
}

/// The same of as many as fit an array.
fn are_ready<const ROOM: usize>(st: &EpState, waiting: &mut dyn Iterator<Item = &'static Epitem>, most: usize) -> bool {
    let mut window = Window::<_, ROOM>::new();
    for item in waiting.take(most.min(ROOM)) {
        let state = item.at(&st.held);
        let is_live = state.alive.get() && !state.spent.get() && !state.is_parked();
        let file = item.file().filter(|file| is_live && shows_at_a_look(file));
        let Some(file) = file.filter(|_| !state.is_edge() && !state.is_exclusive()) else { return false };
        window.add(item, item.via(), state.watched(file));
    }
    window.look().all(|(item, found)| {
        let level = found & !NVAL;
        item.set_level(&st.held, level);
        level & levels(item.at(&st.held).events.get()) != 0
    })
}

/// Gives so many on the ready list their turn, as long as there is room. The levels of the first `looked` are known.
fn report(
    st: &mut EpState,
    buffer: Buffer,
    mut turns: usize,
    mut looked: usize,
    vanished: &mut Vanished,
) -> Result<usize, Errno> {
    let polled = looked == 0;
    let mut reported = 0;
    let mut passed = 0;
    let in_line = st.line.last_turn();
    while turns > 0 && reported < buffer.max {
        if looked == 0 {
            looked = look_again(st, turns.min(buffer.max - reported));
        }
        let Some(item) = st.ready.pop_front() else { break };
        turns -= 1;
        looked -= 1;
        let state = item.at(&st.held);
        let wanted = state.alive.get() && !state.spent.get() && !state.is_parked();
        let before = state.memory();
        let mut bits = if wanted { reportable(st, item, true) } else { 0 };
        let state = item.at(&st.held);
        if bits != 0 && is_exchanged(item, st.now_ms, &mut st.comparisons) {
            // What it showed was another's.
            state.restore(before);
            st.refresh(item);
            vanished.note(item);
            bits = 0;
        }
        if bits == 0 {
            st.stats.stale += 1;
            refresh_edge(st, item);
            unlist(st, item);
            continue;
        }
        let state = item.at(&st.held);
        let event = epoll_event { events: u32::from(bits), u64: state.data.get() };
        // SAFETY: `reported < max`, and the caller of the wait answers for an array of `max` events.
        if let Err(errno) = unsafe { user::write(buffer.events.add(reported), event) } {
            item.at(&st.held).restore(before);
            st.refresh(item);
            st.ready.push_front(item);
            if polled {
                leave_waiting(st);
            }
            return if reported > 0 { Ok(reported) } else { Err(errno) };
        }
        reported += 1;
        st.stats.events += 1;
        if item.at(&st.held).is_edge() {
            st.stats.edge(st.ring.is_some(), before.evidence());
        }
        refresh_edge(st, item);
        if st.ring.is_some() {
            st.note_busy(item);
        }
        passed = passed.max(item.at(&st.held).turn());
        let stays = reported_as_registered(st, item);
        if st.outer.is_followed() {
            st.line.reported(item, &st.held, stays);
        }
        match stays {
            true if polled => st.ready.push_back(item),
            true => st.ready.push_again(item),
            false => unlist(st, item),
        }
    }
    st.line.pass(if reported < buffer.max { in_line } else { passed }, &st.held);
    if polled && turns > 0 {
        leave_waiting(st);
    }
    Ok(reported)
}

/// Those that the last poll found, and that are on the ready list still, wait for their turn. From here on other levels are asked for than
/// that poll was.
pub fn leave_waiting(st: &mut EpState) {
    if st.edges == 0 || st.ring.is_some() {
        return;
    }
    for index in 0..st.ready.len() {
        let item = st.ready[index];
        let found = st.set.revents(item, &st.held) & !NVAL;
        if found != 0 && leave_one_waiting(item, item.at(&st.held), found) {
            st.refresh(item);
        }
    }
}

/// True if other levels are to be asked for now.
fn leave_one_waiting(item: &Epitem, state: &State, level: Bits) -> bool {
    let file = item.file().filter(|file| state.is_edge() && !file.is_instance());
    file.is_some_and(|file| {
        let mut edge = state.edge.get();
        let woken = edge.waits(level & state.watched(file));
        state.edge.set(edge);
        woken
    })
}

/// What is asked for an edge-triggered registration is other than before its report; what was told meanwhile is no part of that.
fn refresh_edge(st: &mut EpState, item: &'static Epitem) {
    if item.at(&st.held).is_edge() && st.ring.is_none() {
        st.refresh(item);
    }
}

/// A registration has left the ready list.
fn unlist(st: &mut EpState, item: &'static Epitem) {
    let state = item.at(&st.held);
    state.ready.set(false);
    if item.file().is_some_and(|file| state.is_dull(file)) {
        st.set.remove(item, &st.held);
    }
    item.unpin();
}

/// Takes a registration off the ready list before its turn.
pub fn pass(st: &mut EpState, item: &'static Epitem) {
    if item.at(&st.held).ready.get() {
        st.ready.retain(|other| !std::ptr::eq(*other, item));
        unlist(st, item);
    }
}

/// Fetches the levels of the bits that were not polled, for the next registrations in line, at most so many: an event carries every bit
/// of its mask that is high at the time of the report (W4). Answers with for how many.
fn look_again(st: &mut EpState, most: usize) -> usize {
    // Arrays are made anew for each look, and most looks are at few.
    if most > FEW { look_through::<WINDOW>(st, most) } else { look_through::<FEW>(st, most) }
}

fn look_through<const ROOM: usize>(st: &mut EpState, most: usize) -> usize {
    let mut window = Window::<_, ROOM>::new();
    let number = most.min(ROOM);
    for index in 0..number {
        let item = st.ready[index];
        let is_polled = st.ring.is_none() || item.at(&st.held).slot.get() != 0;
        let wanted = if is_polled { wanted_beside_poll(st, item) } else { wanted_in_ring(st, item) };
        if let Some(watched) = wanted {
            window.add(item, item.via(), watched);
        }
    }
    for (item, found) in window.look() {
        item.set_level(&st.held, found & !NVAL);
    }
    number
}

/// A completion says that there was a wake-up, and nothing of the levels now.
fn wanted_in_ring(st: &EpState, item: &Epitem) -> Option<Bits> {
    let state = item.at(&st.held);
    item.set_level(&st.held, 0);
    let file = item.file().filter(|file| state.alive.get() && !state.spent.get() && shows_at_a_look(file));
    file.map(|file| state.watched(file))
}

/// Whether a look that is taken before its turn shows what is to be reported.
fn shows_at_a_look(file: &File) -> bool {
    file.ops().is_none() && file.kind().fleeting() == 0
}

/// The levels of the last poll, and what it was not asked.
fn wanted_beside_poll(st: &mut EpState, item: &'static Epitem) -> Option<Bits> {
    let state = item.at(&st.held);
    let (polled, asked) = (st.set.revents(item, &st.held), st.set.asked(item, &st.held));
    // What is quiet was not asked for, and is high as far as known.
    let unasked = if state.is_edge() { state.edge.get().quiet() & !asked } else { 0 };
    item.set_level(&st.held, polled | unasked);
    // The number of a registration that has ended can be another file's.
    let file = item.file().filter(|_| state.alive.get())?;
    let watched = state.watched(file);
    // What is not in the poll set was put here by a look of `sample`.
    let found = polled != 0 || state.slot.get() == 0;
    // What was told before the report is no news after it: it is taken in before, and the levels are looked at after that.
    let was_told = found && state.is_edge() && item.has_facts();
    // Left out of the last poll was what is quiet, and what the mask has got since then.
    let left_out = asked & watched != watched;
    if was_told {
        st.refresh(item);
    }
    (found && (was_told || left_out) && shows_at_a_look(file)).then_some(watched)
}

/// The bits to report of a registration whose turn has come; none if its level is gone (W7) or is no edge.
/// Of an instance inside it is looked at whether that is ready, in its turn or not.
fn reportable(st: &mut EpState, item: &'static Epitem, in_turn: bool) -> Bits {
    let state = item.at(&st.held);
    let Some(file) = item.file() else { return 0 };
    let mut passing = None;
    let look = match file.ops() {
        // Its pipe, which a look that passes by goes by, shows nothing.
        Some(ops) if ops.is_instance && !in_turn && item.level(&st.held) == 0 => Look::polled(0),
        Some(ops) => (ops.look)(file, in_turn),
        None if file.kind().fleeting() != 0 => {
            let shown = show_fleeting(file, item, in_turn);
            passing = Some(shown.passing);
            Look::polled(shown.level)
        }
        None => Look::polled(item.level(&st.held)),
    };
    let level = look.level & state.watched(file);
    let bits = level & levels(state.events.get());
    // A level that the look above has taken is shown to no rival, and a second look would not find it.
    let is_exclusive = state.is_exclusive() && file.kind().fleeting() == 0;
    if is_exclusive && bits == 0 {
        // Only a level that wakes without being asked for, which is to go quiet below.
        exclusive::release(file, item);
    } else if is_exclusive && !(state.is_edge() && state.edge.get().fresh(level) == 0) && !claims(st, item, file, bits)
    {
        return 0;
    }
    let state = item.at(&st.held);
    if bits == 0 && file.is_instance() {
        if in_turn {
            // It has to be woken once more.
            state.edge.set(Edge::told(READABLE_INSTANCE));
        }
        return 0;
    }
    if level & WRITABLE == 0 && file.has_edges_beside(state.tracked.get()) && file.kind() == Kind::Tcp {
        observe::lacks_space(file, sys::level(item.via(), WRITABLE), state.tracked.get());
    }
    if !state.is_edge() {
        return bits;
    }
    if st.ring.is_some() {
        // What woke it put it on the ready list, and nothing else did.
        state.edge.set(Edge::told(level));
        // For calls in progress that will tell of it when there is no ring any more.
        state.reported_at.set(file.clock());
        return bits;
    }
    let watched = state.watched(file);
    let mut edge = state.edge.get();
    // A quiet level is assumed to be high, and a registration that shows nothing may not have been looked at.
    let low = if bits == 0 { 0 } else { watched & !level };
    let polled = Polled { by: Looker::Report, high: edge.fresh(level), low, tracked: state.tracked.get() };
    observe::observe(file, item.via(), polled);
    let clock = look.at.unwrap_or_else(|| file.clock());
    let adds = (INTERPOSES && file.kind().is_eventfd()).then(|| sample::calls_that_add(file));
    if level & IN != 0 && adds.is_some_and(|calls| edge.rose_by_itself(calls)) {
        file.note_unseen_add();
    }
    let seen = edge.seen();
    let is_edge =
        edge.report(file.kind(), level, sample::VIEW, || sample::reported(file, item.via(), watched, level, seen));
    if let Some(calls) = adds.filter(|_| is_edge) {
        edge.note_calls(calls);
    }
    if let Some(gone) = passing {
        edge.passed(file.kind(), gone);
    }
    state.edge.set(edge);
    if is_edge {
        state.reported_at.set(clock);
    }
    if is_edge && watched & WRITABLE != 0 {
        observe::note_outgoing(file, item.via());
    }
    if !is_edge && is_exclusive {
        exclusive::release(file, item);
    }
    if is_edge { bits } else { 0 }
}

/// What is reported of a file that shows a change to one look: the one that is taken when its turn has come.
fn show_fleeting(file: &'static File, item: &Epitem, in_turn: bool) -> Shown {
    if in_turn {
        return fleeting::take(file, item.via());
    }
    let level = fleeting::peek(file, item.via()) & !NVAL;
    Shown { level, passing: level & file.kind().fleeting() }
}

/// Whether the number that a registration is polled by was closed behind our back, and names something else now. Looked up at the
/// first report, and then again at one that comes after a while.
fn is_exchanged(item: &Epitem, now_ms: u64, comparisons: &mut Allowance) -> bool {
    item.file().is_some_and(|file| !file.is_still_named_by(item.via(), now_ms, comparisons))
}

/// Whether an exclusive registration may report its level, of which there is some; one that finds none gives up its claim. The
/// level is looked at again once the event is claimed: another instance may have had it, and be done with it, since we polled.
fn claims(st: &mut EpState, item: &'static Epitem, file: &'static File, bits: Bits) -> bool {
    let state = item.at(&st.held);
    if state.newcomer.get() {
        let lasts = file.level(item.via(), bits) & bits != 0;
        state.newcomer.set(lasts && !state.is_edge());
        if !lasts {
            st.refresh(item);
        }
        return lasts;
    }
    if !file.claim().take(item) {
        st.refresh(item);
        return false;
    }
    let lasts = file.level(item.via(), bits) & bits != 0;
    if !lasts {
        exclusive::release(file, item);
    }
    lasts
}

/// What a report does to the registration; true if it stays on the ready list, as level-triggered ones do (W3).
fn reported_as_registered(st: &mut EpState, item: &'static Epitem) -> bool {
    let state = item.at(&st.held);
    let events = state.events.get();
    let again = events & (EDGE | ONESHOT) == 0;
    if !again && state.is_exclusive() && st.lent.len() < st.lent.capacity() {
        item.pin();
        st.lent.push(item);
    }
    if events & ONESHOT != 0 {
        state.spent.set(true);
        st.set.remove(item, &st.held);
    }
    again
}

/// The wait after such a report: whoever came back without having taken anything leaves it to others.
pub fn give_up_claims(st: &mut EpState) {
    while let Some(item) = st.lent.pop() {
        if let Some(file) = item.file() {
            exclusive::release(file, item);
        }
        item.unpin();
    }
}

/// Whether anything on the ready list would be reported by a wait now. The first that would proves it (`__ep_eventpoll_poll` does the
/// same); with `all`, after a poll, the rest is looked at as well. What would not be reported is dropped. Reports nothing and changes nothing that
/// matters but, if this is the turn of the instance, in those inside.
pub fn anything(st: &mut EpState, all: bool, in_turn: bool) -> bool {
    let mut turns = st.ready.len();
    let mut looked = 0;
    let mut any = false;
    let mut passed_over = 0;
    while turns > 0 && (all || !any) {
        if all && looked == 0 {
            looked = look_again(st, turns);
        }
        let Some(item) = st.ready.pop_front() else { break };
        turns -= 1;
        looked = looked.saturating_sub(1);
        if !all {
            look_at(st, item);
        }
        if !would_report(st, item, in_turn) {
            if !in_turn && may_stay(st, item) {
                st.ready.push_back(item);
                passed_over += usize::from(!all);
            } else {
                unlist(st, item);
            }
            continue;
        }
        any = true;
        if all {
            st.ready.push_back(item);
        } else {
            st.ready.push_front(item);
        }
    }
    st.ready.put_before(passed_over);
    any
}

/// Whether a registration stays on the ready list though it would not be reported now: that of an instance does, because whoever gets to
/// it takes out of that one what shows nothing, and may find the instance ready again.
fn may_stay(st: &EpState, item: &'static Epitem) -> bool {
    let state = item.at(&st.held);
    state.alive.get() && !state.spent.get() && item.file().is_some_and(File::is_instance)
}

/// Whether a registration would be reported by a wait now, after a look of its own.
pub fn proves_ready(st: &mut EpState, item: &'static Epitem) -> bool {
    look_at(st, item);
    would_report(st, item, false)
}

fn look_at(st: &EpState, item: &'static Epitem) {
    let state = item.at(&st.held);
    // The number of a registration that has ended can be another file's.
    if let Some(file) = item.file().filter(|_| state.alive.get()) {
        item.set_level(&st.held, file.level(item.via(), state.watched(file)) & !NVAL);
    }
}

fn would_report(st: &mut EpState, item: &'static Epitem, in_turn: bool) -> bool {
    let state = item.at(&st.held);
    if !state.alive.get() || state.spent.get() || state.is_parked() {
        return false;
    }
    let before = state.memory();
    let ready = reportable(st, item, in_turn) != 0;
    if ready {
        let state = item.at(&st.held);
        state.restore(before);
        leave_one_waiting(item, state, item.level(&st.held));
    }
    // Not before: what was told meanwhile is not to be forgotten with the report.
    refresh_edge(st, item);
    ready
}
