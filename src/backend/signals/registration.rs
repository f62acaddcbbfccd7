//! A registration whose wake-ups signals report: when it becomes one, its wake-ups, and when it is
//! polled again.

use super::{arm, take_in};
use crate::backend::switch::remember_edge;
use crate::backend::watch;
use crate::edge::{Edge, Facts};
use crate::events::{EXCLUSIVE, IN, INCOMING, NVAL, RDNORM, WRITABLE, levels};
use crate::graph::epitem::{Epitem, State};
use crate::graph::epstate::EpState;
use crate::graph::file::File;
use crate::graph::signal_numbers as numbers;
use crate::kind::Kind;

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
            return self.enter_signals(item, file);
        }
        if !fits(self, state, file) || !numbers::is_armed(item.via()) {
            self.leave_signals(item);
            take_in(None);
            return false;
        }
        if item.take_facts().intersects(Facts::SIGNALLED | Facts::WAKE_ALL) {
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
    /// them and it has reported no edge since it began. False if not.
    fn enter_signals(&mut self, item: &'static Epitem, file: &'static File) -> bool {
        let state = item.at(&self.held);
        let is_fresh = state.edge.get().reported() == 0 && !state.spent.get() && !self.ready.in_turn;
        if !is_fresh || !numbers::is_own(item.via()) {
            return false;
        }
        file.identify(item.via());
        if !fits(self, state, file) || !arm(file, item.via()) {
            return false;
        }
        watch::take_back(self, item);
        self.backend.set.remove(item, &self.held);
        let state = item.at(&self.held);
        state.set_signalled(true);
        self.backend.signalled += 1;
        self.track(item, file);
        item.ask_by_signal();
        item.take_facts();
        self.list_if_ready(item, file);
        true
    }

    /// Looks for a level from before the first signal.
    fn list_if_ready(&mut self, item: &'static Epitem, file: &'static File) {
        let bits = levels(item.at(&self.held).events.get());
        if file.level(item.via(), bits) & !NVAL != 0 {
            self.note_ready(item);
        }
    }

    /// From here on the registration is polled. The caller takes in the signals that are under way;
    /// from now on they are facts.
    pub(in crate::backend) fn leave_signals(&mut self, item: &'static Epitem) {
        if !self.end_by_signal(item) {
            return;
        }
        let before = item.take_facts();
        let facts = before | remember_edge(self, item);
        if facts.intersects(Facts::SIGNALLED | Facts::WAKE_ALL)
            && let Some(file) = item.file()
        {
            self.wake(item, file);
        }
    }

    /// Handles the end of a registration. False if no signals reported its wake-ups.
    pub(in crate::backend) fn end_by_signal(&mut self, item: &'static Epitem) -> bool {
        let was_signalled = item.at(&self.held).set_signalled(false);
        self.backend.signalled -= usize::from(was_signalled);
        was_signalled
    }

    /// Handles a registration that begins anew: it reports what it finds (T6).
    pub(in crate::backend) fn begin_by_signal(&mut self, item: &'static Epitem) {
        if item.at(&self.held).is_signalled()
            && let Some(file) = item.file()
        {
            self.list_if_ready(item, file);
        }
    }
}

/// Whether signals report the wake-ups of a registration exactly. Those for room they do not: a
/// write that is accepted makes the kernel forget to signal it. A peer that stops reading from a
/// unix socket wakes its waiters without a signal, and so does the acknowledgement of an end; the
/// end of the peer has the bits of an arrival.
fn fits(st: &EpState, state: &State, file: &'static File) -> bool {
    let events = state.events.get();
    let wanted = levels(events);
    if !st.items.inner.is_empty() || st.outer.is_observed() || events & EXCLUSIVE != 0 || wanted & WRITABLE != 0 {
        return false;
    }
    let is_shut = file.is_shut(libc::SHUT_RD) || file.is_shut(libc::SHUT_WR);
    let tells_edges = !state.is_edge() || !is_shut && wanted & INCOMING != 0;
    match file.kind() {
        Kind::Tcp | Kind::TcpListener | Kind::Udp => tells_edges,
        Kind::UnixStream | Kind::UnixDgram | Kind::UnixSeqpacket | Kind::UnixListener => {
            !state.is_edge() && !is_shut && wanted & (IN | RDNORM) != 0
        }
        // A new size wakes writers without a signal.
        Kind::Pipe => !state.is_edge() || !file.writes(),
        _ => false,
    }
}
