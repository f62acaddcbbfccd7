//! Brings an instance in line with a registration that changed: facts from hooks are digested, and
//! the poll set, or the ring, asks for what can be news. Kernel counterpart: none, for there each
//! wake-up runs `ep_poll_callback`.

use crate::backend::watch;
use crate::edge::Facts;
use crate::graph::epitem::Epitem;
use crate::graph::epstate::EpState;
use crate::graph::eventpoll::Eventpoll;
use crate::graph::file::File;

impl EpState {
    /// Brings the poll set in line with a registration: what is asked for it now, after what the witnesses saw.
    pub fn refresh(&mut self, item: &'static Epitem) {
        if self.ring.is_some() {
            if let Some(file) = item.file().filter(|_| item.at(&self.held).alive.get()) {
                self.track(item, file);
                self.hear_of_change(item, file);
            }
            self.refresh_busy(item);
            return self.refresh_in_ring(item);
        }
        debug_assert!(self.poller.is_none());
        let facts = item.take_facts();
        let state = item.at(&self.held);
        let Some(file) = item.file() else { return };
        if !state.alive.get() || state.spent.get() {
            self.set.remove(item, &self.held);
            return;
        }
        if state.is_parked() {
            if facts.is_empty() {
                return;
            }
            watch::take_back(self, item);
        }
        self.track(item, file);
        if facts.contains(Facts::WROTE)
            && item.at(&self.held).is_woken_by_instance(file)
            && item.told_after(item.at(&self.held).reported_at.get())
        {
            // Whether the instance is ready by then is for the look at it to tell.
            self.note_ready(item);
        }
        if facts.contains(Facts::WAKE_ALL) {
            self.note_change(item, file);
        }
        let state = item.at(&self.held);
        if self.outer.is_followed() {
            let mut announced = state.announced();
            announced.digest(file.kind(), state.heard(file), facts, item.told_after(state.announced_at()));
            let woken = announced.take_woken();
            state.set_announced(announced);
            self.note_woken(item, woken);
        }
        let state = item.at(&self.held);
        if state.is_edge() {
            let mut edge = state.edge.get();
            let news = item.told_after(state.reported_at.get());
            edge.digest(file.kind(), state.watched(file), facts, news);
            state.edge.set(edge);
        }
        let is_kept_out = state.is_exclusive() && !state.newcomer.get() && file.claim().is_of_another(item);
        let is_deaf = is_kept_out || state.is_dull(file) && !state.ready.get();
        match self.bits_to_ask(item, file).filter(|_| !is_deaf) {
            Some(bits) if file.is_source() => {
                // No poll finds what is posted.
                if file.source().is_some_and(|source| source.posted() & bits != 0) {
                    self.pressing = true;
                    self.note_ready(item);
                }
            }
            Some(bits) => self.overdue |= !self.set.put(item, &self.held, item.via(), bits),
            None => self.set.remove(item, &self.held),
        }
        if item.at(&self.held).tracked.get() {
            self.note_unease(item);
        }
    }

    /// The same beside a ring, which tells the one registration that it found the change for.
    fn hear_of_change(&mut self, item: &'static Epitem, file: &'static File) {
        if file.kind().fleeting() != 0
            && item.take_facts().contains(Facts::WAKE_ALL)
            && item.told_after(item.at(&self.held).reported_at.get())
        {
            self.note_change(item, file);
        }
    }

    /// A file with fleeting levels woke those that wait: whoever comes to be reported first is shown what changed.
    fn note_change(&mut self, item: &'static Epitem, file: &'static File) {
        if file.kind().fleeting() != 0 && !item.at(&self.held).spent.get() {
            self.pressing = true;
            self.note_ready(item);
        }
    }

    /// A registration of a followed instance was woken, or was not: outer instances are to be told.
    pub fn note_woken(&mut self, item: &'static Epitem, woken: bool) {
        if woken {
            self.outer.has_news = true;
            if item.file().is_some_and(|file| file.space_rechecked(item.via())) {
                let state = item.at(&self.held);
                let mut announced = state.announced();
                announced.lacks_room();
                state.set_announced(announced);
            }
            self.stand_in_line(item);
        }
    }
}

impl Eventpoll {
    /// Brings a registration that changed into force: at once, or by the poller if it sleeps on the set now.
    pub fn apply(&'static self, st: &mut EpState, item: &'static Epitem) {
        if let Some(poller) = st.poller {
            if st.ring.is_some() {
                st.refresh(item);
            } else {
                self.notice(item, Facts::empty());
            }
            poller.kick();
        } else {
            st.refresh(item);
            if let Some(outer) = st.outer.link {
                outer.item_changed(self, st, item);
            }
        }
    }

    /// Takes in what was left in the inbox. Nobody may be in poll on the set.
    pub fn absorb(&self, st: &mut EpState) {
        debug_assert!(st.poller.is_none());
        let passed_by = loop {
            match self.next_posted() {
                Ok(Some(item)) => {
                    st.refresh(item);
                    item.unpin();
                }
                Ok(None) => break false,
                Err(()) => break true,
            }
        };
        let overdue = std::mem::take(&mut st.overdue);
        if self.take_look_at_all() || overdue || passed_by {
            st.set.sweep(&st.held);
            for index in 0..st.interest.len() {
                let item = st.interest[index].get();
                st.refresh(item);
            }
        }
    }
}
