//! The second look of a report: one poll, with a timeout of 0, of the registrations whose turn is
//! next, for the bits that the first poll did not ask for. An event carries every bit of the mask
//! that is high at the time of the report (W4). Kernel counterpart: the poll in `ep_send_events`.

use crate::events::{Bits, NVAL, levels};
use crate::graph::epitem::Epitem;
use crate::graph::epstate::EpState;
use crate::poll_batch::{PollBatch, WINDOW};

/// The number of registrations in a small look, which has smaller arrays to fill.
const FEW: usize = 8;

/// Reads the levels of the next registrations on the ready list, at most `most`. Returns their
/// number.
pub fn look_again(st: &mut EpState, most: usize) -> usize {
    if most > FEW { look_through::<WINDOW>(st, most) } else { look_through::<FEW>(st, most) }
}

fn look_through<const ROOM: usize>(st: &mut EpState, most: usize) -> usize {
    let mut window = PollBatch::<_, ROOM>::new();
    let number = most.min(ROOM);
    for index in 0..number {
        let item = st.ready.list[index];
        let wanted = if st.is_polled(item) { wanted_after_poll(st, item) } else { wanted_after_completion(st, item) };
        if let Some(watched) = wanted {
            window.add(item, item.via(), watched);
        }
    }
    for (item, found) in window.look() {
        item.set_level(&st.held, found & !NVAL);
    }
    number
}

/// The bits to ask for after a completion or a signal. It stands for a wake-up and has no level, so
/// these are all bits, unless the poll of this round has looked at the registration, too.
fn wanted_after_completion(st: &mut EpState, item: &'static Epitem) -> Option<Bits> {
    let state = item.at(&st.held);
    item.set_level(&st.held, 0);
    let file = item.file().filter(|file| state.alive.get() && !state.spent.get() && file.is_polled())?;
    let watched = state.watched(file);
    match st.backend.looked.take(item) {
        Some(look) if look.asked & watched == watched => {
            item.set_level(&st.held, look.found & !NVAL);
            None
        }
        _ => Some(watched),
    }
}

/// Takes the levels of the last poll. Returns the bits to ask for: all of them, if that poll left
/// some out.
fn wanted_after_poll(st: &mut EpState, item: &'static Epitem) -> Option<Bits> {
    let state = item.at(&st.held);
    let (polled, asked) = (st.backend.set.revents(item, &st.held), st.backend.set.asked(item, &st.held));
    // A reported level is not asked for, and counts as high.
    let unasked = if state.is_edge() { state.edge.get().reported() & !asked } else { 0 };
    item.set_level(&st.held, polled | unasked);
    // The number of a registration that has ended may name another file.
    let file = item.file().filter(|_| state.alive.get())?;
    let watched = state.watched(file);
    // `resample` has listed a registration without a place in the poll set.
    let found = polled != 0 || state.slot.get() == 0;
    // Facts from before the report must not be news after it: they are taken in first, and the
    // levels are read after that.
    let was_told = found && state.is_edge() && item.has_facts();
    // Reported bits, and those that were added to the mask since the poll.
    let left_out = asked & watched != watched;
    if was_told {
        st.refresh(item);
    }
    (found && (was_told || left_out) && file.is_polled()).then_some(watched)
}

/// Whether `number` level-triggered registrations have waited for their turn, and all of them are
/// still ready.
pub fn all_still_ready(st: &EpState, number: usize) -> bool {
    let Some(mut waiting) = st.ready.list.waiting(number) else { return false };
    let look = if number > FEW { are_ready::<WINDOW> } else { are_ready::<FEW> };
    (0..number).step_by(if number > FEW { WINDOW } else { FEW }).all(|done| look(st, &mut waiting, number - done))
}

/// As [`all_still_ready`], for at most as many as fit an array.
fn are_ready<const ROOM: usize>(st: &EpState, waiting: &mut dyn Iterator<Item = &'static Epitem>, most: usize) -> bool {
    let mut window = PollBatch::<_, ROOM>::new();
    for item in waiting.take(most.min(ROOM)) {
        let state = item.at(&st.held);
        let is_live = state.alive.get() && !state.spent.get() && !state.is_parked();
        let file = item.file().filter(|file| is_live && file.is_polled());
        let Some(file) = file.filter(|_| !state.is_edge() && !state.is_exclusive()) else { return false };
        window.add(item, item.via(), state.watched(file));
    }
    window.look().all(|(item, found)| {
        let level = found & !NVAL;
        item.set_level(&st.held, level);
        level & levels(item.at(&st.held).events.get()) != 0
    })
}
