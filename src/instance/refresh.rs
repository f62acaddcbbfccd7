//! Brings an instance in line with a registration that changed: facts from hooks are digested, and
//! the poll set, or the ring, asks for the bits that can be news. Kernel counterpart: none, because
//! there each wake-up runs `ep_poll_callback`.

use crate::backend::watch;
use crate::edge::Facts;
use crate::graph::epitem::Epitem;
use crate::graph::epstate::EpState;
use crate::graph::eventpoll::Eventpoll;
use crate::graph::file::File;

impl EpState {
    /// Brings the poll set in line with a registration: takes in the facts that hooks reported, and
    /// asks poll for the bits that can be news after them.
    pub fn refresh(&mut self, item: &'static Epitem) {
        if self.item_changed(item) {
            return;
        }
        debug_assert!(self.queue.poller.is_none());
        let facts = item.take_facts();
        let state = item.at(&self.held);
        let Some(file) = item.file() else { return };
        if !state.alive.get() || state.spent.get() {
            self.backend.set.remove(item, &self.held);
            return;
        }
        if state.is_parked() {
            if facts.is_empty() {
                return;
            }
            watch::take_back(self, item);
        }
        self.track(item, file);
        self.take_wakeups(item, file, facts);
        self.digest(item, file, facts);
        if self.item_digested(item, file) {
            return;
        }
        self.ask_poll(item, file);
        if item.at(&self.held).tracked.get() {
            self.note_resample(item);
        }
    }

    /// Takes in the facts that put a registration on the ready list, as the kernel's wake-up does,
    /// whatever its level is by now.
    fn take_wakeups(&mut self, item: &'static Epitem, file: &'static File, facts: Facts) {
        let state = item.at(&self.held);
        if facts.contains(Facts::WROTE) && state.is_woken_by_instance(file) && item.told_after(state.reported_at.get())
        {
            self.note_ready(item);
        }
        if facts.contains(Facts::WAKE_ALL) {
            self.note_change(item, file);
        }
        if facts.contains(Facts::SIGNALLED) && item.is_asked_by_signal() {
            if self.ready.in_turn {
                item.tell(Facts::SIGNALLED, file.clock());
            } else {
                self.wake(item, file);
            }
        }
    }

    /// Takes the facts into the memories of edges.
    #[inline]
    fn digest(&mut self, item: &'static Epitem, file: &'static File, facts: Facts) {
        if self.outer.is_followed() {
            let state = item.at(&self.held);
            let mut announced = state.announced();
            announced.digest(file.kind(), state.outer_watched(file), facts, item.told_after(state.announced_at()));
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
    }

    /// Polls for the bits that can be news. The posted level of a source is compared with them
    /// here, because no poll finds it.
    #[inline]
    fn ask_poll(&mut self, item: &'static Epitem, file: &'static File) {
        let state = item.at(&self.held);
        let cannot_wake = self.is_kept_out(item, file) || state.misses_wakeups(file) && !state.ready.get();
        match self.bits_to_ask(item, file).filter(|_| !cannot_wake) {
            Some(bits) if file.is_source() => {
                if file.source().is_some_and(|source| source.posted() & bits != 0) {
                    self.ready.pressing = true;
                    self.note_ready(item);
                }
            }
            Some(bits) => self.recheck.overdue |= !self.backend.set.put(item, &self.held, item.via(), bits),
            None => self.backend.set.remove(item, &self.held),
        }
        if item.is_asked_by_signal() {
            item.set_asked(0);
        }
    }

    /// Reports to the outer instances that a registration of a followed instance was woken, if
    /// `woken` is true.
    pub fn note_woken(&mut self, item: &'static Epitem, woken: bool) {
        if woken {
            self.outer.has_news = true;
            if item.file().is_some_and(|file| file.space_rechecked(item.via())) {
                let state = item.at(&self.held);
                let mut announced = state.announced();
                announced.lacks_room();
                state.set_announced(announced);
            }
            self.list_as_woken(item);
        }
    }
}

impl Eventpoll {
    /// Applies a changed registration: at once, or through the poller if it sleeps on the set now.
    pub fn apply(&'static self, st: &mut EpState, item: &'static Epitem) {
        if let Some(poller) = st.queue.poller {
            if st.is_set_slept_on() {
                self.notice(item, Facts::empty());
            } else {
                st.refresh(item);
            }
            poller.wake_up();
        } else {
            st.refresh(item);
            if let Some(outer) = st.outer.link {
                outer.item_changed(self, st, item);
            }
        }
    }

    /// Takes in the inbox. No thread may be in poll on the set.
    pub fn absorb(&self, st: &mut EpState) {
        debug_assert!(st.queue.poller.is_none());
        self.note_look();
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
        let overdue = std::mem::take(&mut st.recheck.overdue);
        if self.take_look_at_all() || overdue || passed_by {
            st.backend.set.sweep(&st.held);
            for index in 0..st.items.interest.len() {
                let item = st.items.interest[index].get();
                st.refresh(item);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::instance::testing::{ET, EXCLUSIVE, Epoll, Fd, IN, ONESHOT, pipe, post, source};
    use crate::sys;

    /// The bits that the next poll asks for; 0 outside the poll set.
    fn asked(ep: &Epoll, fd: &Fd) -> u16 {
        let item = ep.item(fd);
        let st = ep.lock();
        st.backend.set.asked(item, &st.held)
    }

    #[test]
    fn a_reported_edge_is_not_polled_for_until_a_read_finds_nothing() {
        // W4: a level that stays high is not an edge again.
        let (ep, [end, other]) = (Epoll::new(), pipe());
        ep.add(&end, IN | ET);
        sys::write(other.0, b"a").expect("a pipe with room");
        assert_eq!(ep.wait(), [(IN, end.0)]);
        assert_eq!(asked(&ep, &end) & IN as u16, 0);
        end.file().tell(Facts::READ_EAGAIN, end.file().begin_call());
        ep.ep.absorb(&mut ep.lock());
        assert_eq!(asked(&ep, &end) & IN as u16, IN as u16);
    }

    #[test]
    fn a_spent_one_shot_is_not_polled() {
        // W5: not even for EPOLLERR and EPOLLHUP.
        let (ep, [end, other]) = (Epoll::new(), pipe());
        ep.add(&end, IN | ONESHOT);
        sys::write(other.0, b"a").expect("a pipe with room");
        assert_eq!(ep.wait(), [(IN, end.0)]);
        let item = ep.item(&end);
        assert_eq!(item.at(&ep.lock().held).slot.get(), 0);
    }

    #[test]
    fn a_deleted_registration_is_not_polled() {
        // T10.
        let (ep, [end, _other]) = (Epoll::new(), pipe());
        ep.add(&end, IN);
        assert_eq!(ep.lock().backend.set.len(), 1);
        ep.control(libc::EPOLL_CTL_DEL, &end, 0).expect("a registration");
        assert_eq!(ep.lock().backend.set.len(), 0);
    }

    #[test]
    fn a_claim_of_another_instance_keeps_an_exclusive_registration_out_of_the_poll() {
        // X1.
        let (one, other, [end, tail]) = (Epoll::new(), Epoll::new(), pipe());
        one.add(&end, IN | EXCLUSIVE);
        other.add(&end, IN | EXCLUSIVE);
        sys::write(tail.0, b"a").expect("a pipe with room");
        assert_eq!(one.wait(), [(IN, end.0)]);
        let item = other.item(&end);
        other.lock().refresh(item);
        assert_eq!(other.lock().backend.set.len(), 0);
    }

    #[test]
    fn a_posted_level_is_found_without_a_poll() {
        let (ep, a) = (Epoll::new(), source());
        ep.add(&a, IN);
        post(&a, IN);
        ep.ep.absorb(&mut ep.lock());
        assert_eq!(ep.lock().ready.list.len(), 1);
        assert_eq!(ep.lock().backend.set.len(), 0);
    }
}
