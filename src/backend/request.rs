//! The request of a registration in the ring, and the meaning of its completions.

use libc::c_int;

use crate::edge::Edge;
use crate::events::{Bits, IN, PRI, levels};
use crate::graph::epitem::{Epitem, State};
use crate::graph::epstate::{EpState, Held};
use crate::graph::ring_state::{Request, Uring};
use crate::io_uring::{Completion, FEWEST_COMPLETIONS};
use crate::kind::Kind;
use crate::probe::fleeting;
use crate::sync::atomic::AtomicI32;

/// The user data of the request on the thread's wake-up descriptor. The user data of other requests
/// contains a registration's address.
pub(super) const WAKE: u64 = 1;
/// The low bits of the user data are the address, the high ones the turn of the request.
const ADDRESS_BITS: u32 = 48;
const ADDRESSES: u64 = (1 << ADDRESS_BITS) - 1;

impl Uring {
    fn end(&mut self, item: &'static Epitem, state: &State, held: &Held) {
        let Some(request) = state.request() else { return };
        let living = request.living.get() - 1;
        request.living.set(living);
        if living == 0 {
            let place = request.place.get() as usize;
            self.asked.swap_remove(place);
            if let Some(moved) = self.asked.get(place).and_then(|moved| moved.at(held).request()) {
                moved.place.set(place as u32);
            }
            item.unpin();
        }
    }

    /// Removes the requests of the last `most` registrations that have one. One that is just being
    /// completed may stay.
    pub(super) fn remove_some(&mut self, most: usize, fd: &AtomicI32, held: &Held) {
        for place in self.asked.len().saturating_sub(most)..self.asked.len() {
            let item = self.asked[place];
            if let Some(request) = item.at(held).request() {
                let turn = request.turn.get();
                self.attempt(|ring| ring.remove_poll(fd, data_of(item, turn)));
                self.unlink(fd, item, turn);
            }
        }
    }

    fn cancel(&mut self, fd: &AtomicI32, item: &'static Epitem, turn: u16) {
        self.attempt(|ring| ring.cancel(fd, data_of(item, turn)));
        self.unlink(fd, item, turn);
    }

    fn ask(&mut self, fd: &AtomicI32, item: &'static Epitem, state: &State, mask: Bits) {
        let Some(request) = state.request() else { return };
        if request.lives.take() {
            self.cancel(fd, item, request.turn.get());
            self.ending += 1;
        }
        request.mask.set(mask);
        if mask != 0 {
            request.turn.set(request.turn.get().wrapping_add(1));
            self.attempt(|ring| ring.poll(fd, item.via(), asked_for(item, mask), data_of(item, request.turn.get())));
            self.link_if_many(fd, item, request.turn.get());
            self.doomed |= is_beyond(item, mask);
            self.begin(item, request);
        }
    }

    fn begin(&mut self, item: &'static Epitem, request: &Request) {
        request.lives.set(true);
        if request.living.get() == 0 {
            item.pin();
            request.place.set(self.asked.len() as u32);
            self.asked.push(item);
        }
        request.living.set(request.living.get() + 1);
    }

    /// Requests one completion of an exclusive registration.
    pub(super) fn ask_exclusively(&mut self, fd: &AtomicI32, item: &'static Epitem, state: &State) {
        let Some(request) = state.request() else { return };
        let mask = levels(state.events.get());
        request.mask.set(mask);
        let turn = request.turn.get().wrapping_add(1);
        request.turn.set(turn);
        self.attempt(|ring| ring.poll_exclusively(fd, item.via(), asked_for(item, mask), data_of(item, turn)));
        self.link_if_many(fd, item, turn);
        self.begin(item, request);
    }

    /// Removes the request of an exclusive registration, if it has one. If a wake-up was faster, the
    /// completion reports it.
    pub(super) fn withdraw(&mut self, fd: &AtomicI32, item: &'static Epitem, state: &State) {
        let Some(request) = state.request().filter(|request| request.mask.replace(0) != 0) else { return };
        let turn = request.turn.get();
        if request.lives.get() {
            self.attempt(|ring| ring.remove_poll(fd, data_of(item, turn)));
            self.ending += 1;
        }
        self.unlink(fd, item, turn);
    }
}

/// Returns the registration and the turn to which a completion belongs.
pub(super) fn owner_of(done: &Completion) -> (&'static Epitem, u16) {
    // SAFETY: the address is that of a registration, which lives as long as the request.
    let item = unsafe { &*std::ptr::with_exposed_provenance((done.user_data & ADDRESSES) as usize) };
    (item, (done.user_data >> ADDRESS_BITS) as u16)
}

pub(super) fn data_of(item: &'static Epitem, turn: u16) -> u64 {
    let address = std::ptr::from_ref(item).expose_provenance() as u64;
    debug_assert!(address & !ADDRESSES == 0);
    address | u64::from(turn) << ADDRESS_BITS
}

impl EpState {
    /// Lists a registration whose request is, or may be, out of date.
    pub fn list_due(&mut self, item: &'static Epitem) {
        if let Some(uring) = &mut self.backend.ring
            && item.at(&self.held).request().is_some_and(|request| !request.due.replace(true))
        {
            item.pin();
            uring.due.push(item);
        }
    }

    /// Updates the requests of the registrations that are due, up to as many as have room for their
    /// completions in the ring.
    pub(super) fn hand_over(&mut self, fd: &AtomicI32) {
        const MOST: usize = FEWEST_COMPLETIONS / 2;
        let Some(uring) = &mut self.backend.ring else { return };
        uring.update_gate(fd, &self.held);
        let mut due = std::mem::take(&mut uring.due);
        for item in due.drain(..due.len().min(MOST)) {
            let state = item.at(&self.held);
            let Some(request) = state.request() else { continue };
            request.due.set(false);
            let is_wrong = request.wrong.take();
            if is_wrong || !is_asked(state) {
                // Masks that alternate are requested together.
                let kept = if is_wrong || needs_exactly(state) { 0 } else { request.mask.get() };
                uring.ask(fd, item, state, wanted(state) | kept);
            }
            item.unpin();
        }
        uring.due = due;
    }

    /// Handles a completion of a registration's request, which may have been cancelled since.
    pub(super) fn completed(&mut self, item: &'static Epitem, turn: u16, done: Completion, tells: bool) {
        let state = item.at(&self.held);
        let Some(request) = state.request() else { return };
        let is_current = request.lives.get() && request.turn.get() == turn;
        let is_withdrawn = is_current && request.mask.get() == 0;
        if is_current {
            let ends = if done.is_last() { request.ends.get().saturating_add(1) } else { 0 };
            request.ends.set(ends);
        }
        if let Some(uring) = &mut self.backend.ring
            && done.is_last()
        {
            if is_current {
                request.lives.set(false);
            }
            if is_withdrawn || !is_current {
                uring.ending = uring.ending.saturating_sub(1);
            }
            item.pin();
            uring.end(item, state, &self.held);
        }
        let found = Bits::try_from(done.result);
        // Of several registrations each is woken, the latest first; and the request of one that has
        // ended takes a level from the others.
        let is_told = found.is_ok_and(|found| fleeting::found_with_others(item, found));
        if is_current && state.alive.get() {
            if let (Err(_), false, Some(uring)) = (found, is_withdrawn, &mut self.backend.ring) {
                uring.doomed = true;
            }
            let is_met = found.is_ok_and(|found| found & levels(state.events.get()) != 0);
            let news = is_met && !is_told && !state.spent.get();
            let in_vain = !is_met && !state.is_exclusive() && request.mask.get() != wanted(state);
            request.wrong.set(request.wrong.get() || in_vain);
            if news && (tells || !state.is_edge()) {
                let shut = item.file().is_some_and(|file| file.is_closing());
                state.edge.set(Edge::anew(shut));
                self.note_ready(item);
            }
            if in_vain {
                self.list_due(item);
            }
            self.refresh_in_ring(item);
        }
        if done.is_last() {
            item.unpin();
        }
    }

    /// Updates the ring after a change of a registration.
    pub(super) fn refresh_in_ring(&mut self, item: &'static Epitem) {
        if !is_asked(item.at(&self.held)) {
            self.list_due(item);
        }
    }

    /// From now on the registration is polled by another number than `gone`. Its request on the
    /// file stays, unless the old number no longer named the file when the request was made.
    pub(super) fn redirect_in_ring(&mut self, item: &'static Epitem, gone: c_int) {
        if self.backend.ring.is_some() && !item.file().is_some_and(|file| file.is_named_by(gone)) {
            if let Some(request) = item.at(&self.held).request() {
                request.wrong.set(true);
            }
            self.list_due(item);
        }
    }

    /// Handles a registration that begins anew: it reports what it finds, whatever the ring
    /// reported before (T6). If its request is made anew, that happens by itself.
    pub(super) fn begin_in_ring(&mut self, item: &'static Epitem) {
        if self.backend.ring.is_some() {
            let state = item.at(&self.held);
            if let Some(request) = state.request() {
                request.ends.set(0);
            }
            if is_asked(state) {
                self.note_ready(item);
            }
        }
    }
}

/// Whether the request is as it should be. A request ends by itself if the ring is full of
/// completions, and if the file has no wait queue that could wake it up, as with a terminal that
/// was hung up. In the latter case it is pointless to make it again and again.
fn is_asked(state: &State) -> bool {
    const POINTLESS: u8 = 3;
    if state.is_exclusive() && state.alive.get() {
        // The request is made for each sleep (see `backend/exclusive.rs`).
        return true;
    }
    let Some(Request { mask, lives, ends, .. }) = state.request() else { return false };
    let (mask, wanted) = (mask.get(), wanted(state));
    let covers = mask == wanted || (!needs_exactly(state) && mask & wanted == wanted);
    covers && (lives.get() || mask == 0 || ends.get() >= POINTLESS)
}

/// Whether the request must not ask for more than the mask. A completion is an edge; and a
/// registration that waits for nothing must not hold its file. For other registrations the level is
/// looked at, so a request for more bits does no harm until it completes in vain.
fn needs_exactly(state: &State) -> bool {
    !state.alive.get() || state.is_edge() || is_polled(state)
}

/// Whether a registration is in the poll set, and needs no request.
fn is_polled(state: &State) -> bool {
    state.slot.get() != 0
}

/// Returns the bits that the kernel watches for. io_uring misses wake-ups for a request with
/// EPOLLPRI alone. The wake-ups of sockets always have EPOLLIN beside it.
fn asked_for(item: &Epitem, mask: Bits) -> Bits {
    // The completion must report the levels that it takes away.
    let mask = mask | item.file().map_or(0, |file| file.kind().fleeting());
    let is_socket = || item.file().is_some_and(|file| file.identify(item.via()).may_be_socket());
    if mask & PRI != 0 && mask & IN == 0 && is_socket() { mask | IN } else { mask }
}

/// Whether wake-ups would be missed: a change of a terminal's state wakes with EPOLLPRI alone.
fn is_beyond(item: &Epitem, mask: Bits) -> bool {
    mask & PRI != 0 && item.file().is_some_and(|file| file.identify(item.via()) == Kind::Tty)
}

/// The bits that the request should have. A spent one-shot may keep its request, whose completions
/// mean nothing.
fn wanted(state: &State) -> Bits {
    match () {
        () if !state.alive.get() || is_polled(state) || state.is_exclusive() => 0,
        () if state.spent.get() => state.request().map_or(0, |request| request.mask.get()),
        () => levels(state.events.get()),
    }
}
