//! The report of a wait: the ready list, each registration in its turn, into the program's array.
//! Kernel counterpart: `ep_send_events`.

use libc::epoll_event;
use nix::errno::Errno;

use crate::backend::uring;
use crate::events::{Bits, EDGE, NVAL, ONESHOT};
use crate::graph::epitem::{Epitem, Memory, State};
use crate::graph::epstate::EpState;
use crate::graph::exclusive;
use crate::graph::file::{Allowance, File};
use crate::instance::item_poll;
use crate::instance::second_look::{self, look_again};
use crate::instance::vanished::Vanished;
use crate::instance::wait::Buffer;
use crate::sys;
use crate::uaccess;

/// Puts the registrations that the last poll found on the ready list.
pub fn collect(st: &mut EpState) -> Vanished {
    let mut vanished = Vanished::none();
    st.now_ms = sys::coarse_ms();
    uring::sweep(st, |item| vanished.note(item));
    let poll = st.ready.list.begin_poll();
    let mut slot = 0;
    while let Some((at, item, bits)) = st.backend.set.next_fired(slot) {
        slot = at;
        if bits & NVAL != 0 {
            if item.at(&st.held).alive.get() {
                vanished.note(item);
            }
            continue;
        }
        st.note_ready(item);
    }
    st.ready.list.end_poll(poll);
    let silence = st.backend.set.count_silence(&st.held);
    st.poll_taken_in(silence);
    vanished
}

/// Reports the ready registrations, oldest first (W3). Returns the number of events. EFAULT if
/// there is an event and the array cannot be written; nothing is lost then (W1).
#[doc(alias = "ep_send_events")]
pub fn deliver(st: &mut EpState, buffer: Buffer, vanished: &mut Vanished) -> Result<usize, Errno> {
    st.ready.pressing = false;
    let reported = report(st, buffer, st.ready.list.len(), 0, vanished);
    st.backend.looked.forget();
    reported
}

/// Reports the registrations that have waited longest for their turn, without a poll of all:
/// registrations that became ready since the last poll are behind them on the list. `None` unless
/// they fill the array, and are all level-triggered and still ready.
pub fn deliver_waiting(st: &mut EpState, buffer: Buffer, vanished: &mut Vanished) -> Option<Result<usize, Errno>> {
    let is_plain = !st.tells_edges() && !st.outer.is_observed() && !st.ready.pressing;
    if !is_plain || !second_look::all_still_ready(st, buffer.max) {
        return None;
    }
    st.now_ms = sys::coarse_ms();
    st.stats.polled(buffer.max);
    Some(report(st, buffer, buffer.max, buffer.max, vanished))
}

/// Gives the next `turns` registrations on the ready list their turn, until the array is full. The
/// levels of the first `looked` are known.
fn report(
    st: &mut EpState,
    buffer: Buffer,
    turns: usize,
    looked: usize,
    vanished: &mut Vanished,
) -> Result<usize, Errno> {
    st.ready.in_turn = true;
    let reported = report_in_turn(st, buffer, turns, looked, vanished);
    st.ready.in_turn = false;
    reported
}

fn report_in_turn(
    st: &mut EpState,
    buffer: Buffer,
    mut turns: usize,
    mut looked: usize,
    vanished: &mut Vanished,
) -> Result<usize, Errno> {
    let polled = looked == 0;
    let mut reported = 0;
    let mut passed = 0;
    let last_woken = st.ready.woken.last_turn();
    while turns > 0 && reported < buffer.max {
        if looked == 0 {
            looked = look_again(st, turns.min(buffer.max - reported));
        }
        let Some(item) = st.ready.list.pop_front() else { break };
        turns -= 1;
        looked -= 1;
        let before = item.at(&st.held).memory();
        let bits = event_bits(st, item, before, vanished);
        if bits == 0 {
            st.stats.stale += 1;
            refresh_edge(st, item);
            unlist(st, item);
            continue;
        }
        let event = epoll_event { events: u32::from(bits), u64: item.at(&st.held).data.get() };
        // SAFETY: `reported < max`, and the caller of the wait vouches for an array of `max`
        // events.
        if let Err(errno) = unsafe { uaccess::write(buffer.events.add(reported), event) } {
            undo(st, item, before);
            if let Some(fleeting) = item.file().and_then(File::fleeting) {
                fleeting.keep(bits);
            }
            st.ready.list.push_front(item);
            if polled {
                leave_waiting(st);
            }
            return if reported > 0 { Ok(reported) } else { Err(errno) };
        }
        reported += 1;
        passed = passed.max(item.at(&st.held).turn());
        end_turn(st, item, before, polled);
    }
    st.ready.woken.pass(if reported < buffer.max { last_woken } else { passed }, &st.held);
    if polled && turns > 0 {
        leave_waiting(st);
    }
    Ok(reported)
}

/// The bits to report of a registration in its turn; 0 if it was deleted, is spent or parked, has
/// nothing to report, or is polled by a number that names another file now.
#[inline]
fn event_bits(st: &mut EpState, item: &'static Epitem, before: Memory, vanished: &mut Vanished) -> Bits {
    let state = item.at(&st.held);
    if !state.alive.get() || state.spent.get() || state.is_parked() {
        return 0;
    }
    let bits = item_poll::reportable(st, item, true);
    if bits != 0 && is_exchanged(item, st.now_ms, &mut st.comparisons) {
        // The level is that of the other file.
        undo(st, item, before);
        vanished.note(item);
        return 0;
    }
    bits
}

/// Whether the number that a registration is polled by was closed unseen and names another file
/// now. That takes a system call, so it is checked at the first report, and then once in a while.
fn is_exchanged(item: &Epitem, now_ms: u64, comparisons: &mut Allowance) -> bool {
    item.file().is_some_and(|file| !file.is_still_named_by(item.via(), now_ms, comparisons))
}

/// Restores the state of a registration from before its report.
fn undo(st: &mut EpState, item: &'static Epitem, before: Memory) {
    item.at(&st.held).restore(before);
    st.refresh(item);
}

/// Moves a registration whose event is in the array to the tail of the ready list, or takes it off.
#[inline]
fn end_turn(st: &mut EpState, item: &'static Epitem, before: Memory, polled: bool) {
    st.stats.events += 1;
    if item.at(&st.held).is_edge() {
        let is_told = st.tells_edges_of(item);
        st.stats.edge(is_told, before.evidence());
    }
    refresh_edge(st, item);
    st.item_reported(item);
    let stays = stays_listed(st, item);
    if st.outer.is_followed() {
        st.ready.woken.reported(item, &st.held, stays);
    }
    match stays {
        true if polled => st.ready.list.push_back(item),
        true => st.ready.list.push_again(item),
        false => unlist(st, item),
    }
}

/// Whether a reported registration stays on the ready list, as level-triggered ones do (W3). A
/// one-shot is spent (W5).
fn stays_listed(st: &mut EpState, item: &'static Epitem) -> bool {
    let state = item.at(&st.held);
    let events = state.events.get();
    let stays = events & (EDGE | ONESHOT) == 0;
    if !stays && state.is_exclusive() && st.items.lent.len() < st.items.lent.capacity() {
        item.pin();
        st.items.lent.push(item);
    }
    if events & ONESHOT != 0 {
        state.spent.set(true);
        st.backend.set.remove(item, &st.held);
    }
    stays
}

/// Releases the claims of exclusive registrations that were reported and did not stay on the ready
/// list. Called by the next wait: data that the program has not taken by then is left to other
/// instances (X1).
pub fn give_up_claims(st: &mut EpState) {
    while let Some(item) = st.items.lent.pop() {
        if let Some(file) = item.file() {
            exclusive::release(file, item);
        }
        item.unpin();
    }
}

/// Re-arms the reported levels of the registrations that the last poll found and whose turn is still
/// to come.
pub fn leave_waiting(st: &mut EpState) {
    if st.items.edges == 0 || st.tells_edges() {
        return;
    }
    for index in 0..st.ready.list.len() {
        let item = st.ready.list[index];
        let found = st.backend.set.revents(item, &st.held) & !NVAL;
        if found != 0 && leave_one_waiting(item, item.at(&st.held), found) {
            st.refresh(item);
        }
    }
}

/// As [`leave_waiting`], for one registration with `level`. True if poll must be asked for other
/// bits from here on.
pub fn leave_one_waiting(item: &Epitem, state: &State, level: Bits) -> bool {
    let file = item.file().filter(|file| state.is_edge() && !file.is_instance());
    file.is_some_and(|file| {
        let mut edge = state.edge.get();
        let woken = edge.waits(level & state.watched(file));
        state.edge.set(edge);
        woken
    })
}

/// Asks poll for other bits after the report of an edge-triggered registration. Takes in facts that
/// were reported meanwhile.
pub fn refresh_edge(st: &mut EpState, item: &'static Epitem) {
    if item.at(&st.held).is_edge() && !st.tells_edges_of(item) {
        st.refresh(item);
    }
}

/// Updates a registration that has left the ready list.
pub fn unlist(st: &mut EpState, item: &'static Epitem) {
    let state = item.at(&st.held);
    state.ready.set(false);
    if item.file().is_some_and(|file| state.misses_wakeups(file)) {
        st.backend.set.remove(item, &st.held);
    }
    item.unpin();
}

/// Takes a registration off the ready list before its turn.
pub fn pass(st: &mut EpState, item: &'static Epitem) {
    if item.at(&st.held).ready.get() {
        st.ready.list.retain(|other| !std::ptr::eq(*other, item));
        unlist(st, item);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::instance::testing::{ET, Epoll, IN, ONESHOT, OUT, clear, post, source};

    #[test]
    fn ready_registrations_take_turns_in_the_order_in_which_they_became_ready() {
        // W3: a reported level-triggered item goes to the tail.
        let ep = Epoll::new();
        let [a, b, c] = [source(), source(), source()];
        for source in [&a, &b, &c] {
            ep.add(source, IN);
        }
        for source in [&b, &a, &c] {
            post(source, IN);
        }
        ep.learn();
        assert_eq!(ep.report(2), [(IN, b.0), (IN, a.0)]);
        assert_eq!(ep.report(2), [(IN, c.0), (IN, b.0)]);
    }

    #[test]
    fn an_edge_is_reported_once() {
        // W4: once per wake-up of the file, not per level.
        let (ep, a) = (Epoll::new(), source());
        ep.add(&a, IN | ET);
        post(&a, IN);
        assert_eq!(ep.wait(), [(IN, a.0)]);
        assert_eq!(ep.wait(), []);
    }

    #[test]
    fn a_listed_registration_without_an_edge_is_dropped() {
        // E2: a look that finds the same level again is not a wake-up.
        let (ep, a) = (Epoll::new(), source());
        ep.add(&a, IN | ET);
        post(&a, IN);
        assert_eq!(ep.wait(), [(IN, a.0)]);
        let item = ep.item(&a);
        ep.lock().note_ready(item);
        assert_eq!(ep.report(1), []);
    }

    #[test]
    fn an_arrival_is_an_edge_while_an_older_one_is_unread() {
        // E1.
        let (ep, a) = (Epoll::new(), source());
        ep.add(&a, IN | ET);
        post(&a, IN);
        assert_eq!(ep.wait(), [(IN, a.0)]);
        post(&a, IN);
        assert_eq!(ep.wait(), [(IN, a.0)]);
    }

    #[test]
    fn an_event_has_every_bit_of_the_mask_that_is_high() {
        // W4: not only the bit that woke it.
        let (ep, a) = (Epoll::new(), source());
        ep.add(&a, IN | OUT | ET);
        post(&a, OUT);
        assert_eq!(ep.wait(), [(OUT, a.0)]);
        post(&a, IN);
        assert_eq!(ep.wait(), [(IN | OUT, a.0)]);
    }

    #[test]
    fn a_one_shot_is_reported_once_until_it_is_modified() {
        // W5.
        let (ep, a) = (Epoll::new(), source());
        ep.add(&a, IN | ONESHOT);
        post(&a, IN);
        assert_eq!(ep.wait(), [(IN, a.0)]);
        post(&a, IN);
        assert_eq!(ep.wait(), []);
        ep.modify(&a, IN | ONESHOT);
        assert_eq!(ep.wait(), [(IN, a.0)]);
    }

    #[test]
    fn a_level_that_is_gone_by_its_turn_is_dropped() {
        // W7.
        let (ep, a) = (Epoll::new(), source());
        ep.add(&a, IN);
        post(&a, IN);
        ep.learn();
        assert_eq!(ep.lock().ready.list.len(), 1);
        clear(&a, IN);
        assert_eq!(ep.report(1), []);
        assert!(ep.lock().ready.list.is_empty());
        assert_eq!(ep.stats().stale, 1);
    }

    #[test]
    fn an_event_that_cannot_be_written_is_not_lost() {
        // W1: EFAULT, and the next wait reports it.
        let (ep, a) = (Epoll::new(), source());
        ep.add(&a, IN | ET);
        post(&a, IN);
        ep.learn();
        let nowhere = Buffer { events: std::ptr::null_mut(), max: 1 };
        assert_eq!(ep.report_to(nowhere), Err(Errno::EFAULT));
        assert_eq!(ep.report(1), [(IN, a.0)]);
    }
}
