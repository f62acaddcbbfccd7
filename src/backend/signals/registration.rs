//! A registration whose wake-ups signals report: when it becomes one, its wake-ups, and when it is
//! polled again.

use super::{arm, take_in, take_in_all_but_others};
use crate::backend::switch::{remember_edge, take_over};
use crate::backend::watch;
use crate::count::LastCount;
use crate::edge::{Edge, Facts};
use crate::events::{Bits, EXCLUSIVE, IN, INCOMING, NVAL, OUT, RDNORM, WRITABLE, WRNORM, levels};
use crate::graph::epitem::{Epitem, State};
use crate::graph::epstate::EpState;
use crate::graph::file::{File, SpaceLook};
use crate::graph::signal_numbers as numbers;
use crate::kind::Kind;
use crate::probe::observe;

/// The bits of room that a connection shows.
const ROOM: Bits = OUT | WRNORM;

impl EpState {
    /// Puts a registration on the ready list whose description sent a signal.
    pub(super) fn woken_by_signal(&mut self, item: &'static Epitem) {
        if item.at(&self.held).is_signalled()
            && let Some(file) = item.file()
        {
            self.wake(item, file);
        }
    }

    /// Takes in a change of a registration, or a fact about it. False if it is polled.
    pub(in crate::backend) fn changed_by_signal(&mut self, item: &'static Epitem) -> bool {
        let Some(file) = item.file() else { return false };
        let state = item.at(&self.held);
        if !state.alive.get() {
            return false;
        }
        if !state.is_signalled() {
            return Self::begins_with_signals(state) && self.enter_signals(item, file);
        }
        let watches_room = watches_room(state);
        let lacks_room = watches_room && item.has_fact(Facts::NO_SPACE);
        let may_stay = numbers::is_armed(item.via()) && numbers::may_send(item.via());
        if lacks_room || !may_stay || !fits(self, state, file) {
            self.leave_now(item);
            return false;
        }
        let facts = item.take_facts();
        let has_room = watches_room && facts.intersects(makes_room(file)) && item.told_after(state.reported_at.get());
        if has_room || facts.intersects(Facts::SIGNALLED | Facts::WAKE_ALL) {
            self.wake(item, file);
        }
        true
    }

    /// Puts a registration on the ready list after a wake-up of its description.
    pub fn wake(&mut self, item: &'static Epitem, file: &'static File) {
        let state = item.at(&self.held);
        if state.alive.get() && !state.spent.get() {
            state.edge.set(Edge::anew(file.is_closing()));
            self.note_ready(item);
        }
    }

    /// From here on signals report the wake-ups of the registration, if its description can send
    /// them and no level that it has reported is high as far as is known. False if not.
    pub(super) fn enter_signals(&mut self, item: &'static Epitem, file: &'static File) -> bool {
        let edge = item.at(&self.held).edge.get();
        // A part of what was reported may have been taken: then a high level is no edge by itself.
        let is_counted = matches!(edge.last_count(), LastCount::Count(_));
        let waits_for_room = is_counted && watches_room(item.at(&self.held));
        if edge.reported() != 0 || waits_for_room || !self.may_enter(item, file) {
            return false;
        }
        if watches_room(item.at(&self.held)) {
            // From here on hooks report a write that is refused.
            self.track(item, file);
            if file.level(item.via(), ROOM) & ROOM == 0 {
                return false;
            }
            file.space_found(item.at(&self.held).tracked.get());
        }
        if !self.begin_signals(item, file) {
            return false;
        }
        self.track(item, file);
        if is_counted {
            take_over(self, item);
            return self.stays_with_signals(item);
        }
        let refused = item.take_facts() & Facts::NO_SPACE;
        if !refused.is_empty() {
            item.tell(refused, file.clock());
        }
        self.list_if_ready(item, file);
        self.stays_with_signals(item)
    }

    /// Whether the description still sends signals, after its registration has begun to wait for them
    /// and its facts were taken. Another thread may have made it send no more meanwhile, because of a
    /// late one: then the registration is polled.
    fn stays_with_signals(&mut self, item: &'static Epitem) -> bool {
        let is_armed = numbers::is_armed(item.via());
        if !is_armed {
            self.leave_now(item);
        }
        is_armed
    }

    /// Goes back to signals after a report that there is room again, or after a rest of the
    /// description, when the poll set and the counts hold no edge of the registration. False if not.
    pub(in crate::backend) fn return_to_signals(&mut self, item: &'static Epitem, file: &'static File) -> bool {
        let state = item.at(&self.held);
        let lacks_room = watches_room(state) && (state.edge.get().reported() & ROOM == 0 || file.has_no_space());
        if lacks_room || !state.is_edge() || state.ready.get() || state.needs_resample(file) {
            return false;
        }
        if !self.may_enter(item, file) {
            return false;
        }
        if !self.begin_signals(item, file) {
            return false;
        }
        take_over(self, item);
        let state = item.at(&self.held);
        if !state.ready.get() {
            self.reported_by_signal(item, file, state.edge.get().reported());
        }
        self.stays_with_signals(item)
    }

    /// Whether signals can report the wake-ups of a registration that is polled.
    fn may_enter(&self, item: &'static Epitem, file: &'static File) -> bool {
        let state = item.at(&self.held);
        if state.spent.get() || self.ready.in_turn || !numbers::may_send(item.via()) || !self.may_use_signals() {
            return false;
        }
        file.identify(item.via());
        fits(self, state, file)
    }

    /// Takes the registration out of the poll set. False if its description cannot send signals.
    fn begin_signals(&mut self, item: &'static Epitem, file: &'static File) -> bool {
        if numbers::is_armed(item.via()) {
            // The pending signals are of edges that poll has shown, or that the next look shows.
            take_in(None);
        }
        if !arm(file, item.via()) {
            return false;
        }
        watch::take_back(self, item);
        self.backend.set.remove(item, &self.held);
        item.at(&self.held).set_signalled(true);
        self.count_signalled();
        item.ask_by_signal();
        true
    }

    /// Looks for a level from before the first signal.
    fn list_if_ready(&mut self, item: &'static Epitem, file: &'static File) -> Bits {
        let bits = levels(item.at(&self.held).events.get());
        let level = file.level(item.via(), bits) & !NVAL;
        if level != 0 {
            self.note_ready(item);
        }
        level
    }

    /// Takes in the level that a report of the registration finds. While there is no room it is
    /// polled, as after a write that was refused.
    pub fn reported_by_signal(&self, item: &'static Epitem, file: &'static File, level: Bits) {
        let state = item.at(&self.held);
        if !state.is_signalled() || !watches_room(state) {
            return;
        }
        if level & ROOM != 0 {
            file.space_found(state.tracked.get());
        } else {
            file.space_lacking(SpaceLook::Report);
            item.tell(Facts::NO_SPACE, file.clock());
        }
    }

    /// From here on the registration is polled. An arrival that may have sent no signal, or one that
    /// another thread has in hand, is not counted, so then a high level is reported once more.
    pub(in crate::backend) fn leave_now(&mut self, item: &'static Epitem) {
        let sent_all = numbers::is_armed(item.via());
        self.leave_signals(item);
        let others_take = take_in_all_but_others();
        if (others_take || !sent_all)
            && let Some(file) = item.file()
        {
            self.wake(item, file);
        }
    }

    /// From here on the registration is polled. The caller takes in the signals that are under way;
    /// from now on they are facts.
    pub(super) fn leave_signals(&mut self, item: &'static Epitem) {
        if !self.end_by_signal(item) {
            return;
        }
        let Some(file) = item.file() else { return };
        if item.at(&self.held).edge.get().reported() != 0 {
            // The look that follows is not a report to the registrations that are polled.
            observe::peer_read(file, item.via());
        }
        let before = item.take_facts();
        let facts = before | remember_edge(self, item);
        if facts.intersects(Facts::SIGNALLED | Facts::WAKE_ALL) {
            self.wake(item, file);
        }
        let state = item.at(&self.held);
        let of_room = facts & (Facts::NO_SPACE | makes_room(file) | Facts::FREED_AFTER_NO_SPACE);
        if state.is_edge() && !of_room.is_empty() {
            let mut edge = state.edge.get();
            edge.digest(file.kind(), state.watched(file), of_room, item.told_after(state.reported_at.get()));
            state.edge.set(edge);
        }
    }

    /// Handles the end of a registration. False if no signals reported its wake-ups.
    pub(in crate::backend) fn end_by_signal(&mut self, item: &'static Epitem) -> bool {
        let was_signalled = item.at(&self.held).set_signalled(false);
        if was_signalled {
            self.count_off();
        }
        was_signalled
    }

    /// Handles a registration that begins anew: it reports what it finds (T6).
    pub(in crate::backend) fn begin_by_signal(&mut self, item: &'static Epitem) {
        if item.at(&self.held).is_signalled()
            && let Some(file) = item.file()
        {
            self.track(item, file);
            let level = self.list_if_ready(item, file);
            self.reported_by_signal(item, file, level);
        }
    }
}

/// Whether a registration waits for edges of room. A signal for room is sent only if no write was
/// accepted after the one that was refused. So the registration is polled from a refused write until
/// it has reported that there is room again.
fn watches_room(state: &State) -> bool {
    state.is_edge() && levels(state.events.get()) & ROOM != 0
}

/// The facts after which there is an edge of room without a signal. A datagram that was sent frees
/// its buffer. The kernel signals that only after a refused write.
fn makes_room(file: &File) -> Facts {
    if file.kind() == Kind::Udp { Facts::SPACE_FREED | Facts::WROTE } else { Facts::SPACE_FREED }
}

/// Whether a registration with this mask can wait for signals, on some kind of file.
pub fn may_keep(events: u32) -> bool {
    levels(events) & (IN | RDNORM) != 0 && events & EXCLUSIVE == 0
}

/// Whether signals report the wake-ups of a registration exactly. Those for room they do for edges
/// of TCP and UDP, see [`watches_room`]. A peer that stops reading from a unix socket wakes its
/// waiters without a signal, and so does the acknowledgement of an end; the end of the peer has the
/// bits of an arrival.
fn fits(st: &EpState, state: &State, file: &'static File) -> bool {
    let events = state.events.get();
    let wanted = levels(events);
    if !st.items.inner.is_empty() || st.outer.is_observed() || events & EXCLUSIVE != 0 {
        return false;
    }
    if wanted & WRITABLE != 0 && !(matches!(file.kind(), Kind::Tcp | Kind::Udp) && watches_room(state)) {
        return false;
    }
    let is_shut = file.is_shut(libc::SHUT_RD) || file.is_shut(libc::SHUT_WR);
    let tells_edges = !state.is_edge() || !is_shut && wanted & INCOMING != 0;
    match file.kind() {
        Kind::Tcp | Kind::TcpListener | Kind::Udp => tells_edges,
        Kind::UnixStream | Kind::UnixDgram | Kind::UnixSeqpacket | Kind::UnixListener => {
            !is_shut && wanted & (IN | RDNORM) != 0
        }
        // A new size wakes writers without a signal.
        Kind::Pipe => !state.is_edge() || !file.writes(),
        _ => false,
    }
}
