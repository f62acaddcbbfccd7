//! Exclusive registrations of an instance with a ring (X1): of the processes whose threads sleep, a
//! wake-up chooses one.
//!
//! The kernel's epoll passes a wake-up on if no thread waits on the instance. A request with
//! EPOLLEXCLUSIVE takes it, whatever the ring's thread does meanwhile, so a thread that is busy, or
//! dies, would keep the event from the others. So the request exists only while the thread sleeps.
//! It is submitted before the sleep, completes at once if the level is high by then, and is removed
//! after the sleep, before the program continues. Otherwise the registration is polled beside the
//! ring, as a busy one is (`busy.rs`).
//!
//! A thread that is stopped in its sleep takes one wake-up nevertheless. So every thread that
//! sleeps on such requests looks at the levels each second ([`EpState::sleeps_exclusively`]).

use crate::graph::epitem::{Epitem, State};
use crate::graph::epstate::EpState;
use crate::graph::eventpoll::Eventpoll;
use crate::graph::file::File;
use crate::graph::parts::Items;
use crate::sync::atomic::AtomicI32;

use super::uring;

/// The most exclusive registrations of an instance with a ring. Each of them costs two requests for
/// each sleep.
const MOST: usize = 16;

/// Whether an exclusive registration has to be polled. A request that is made anew for each sleep
/// reports levels and no edges, and a level that a look takes away cannot be left to others.
pub fn needs_poll(state: &State, file: &File) -> bool {
    state.is_edge() || file.kind().fleeting() != 0
}

/// Whether a ring can serve the exclusive registrations.
pub(super) fn are_fit(items: &Items) -> bool {
    items.exclusives_to_poll == 0 && items.exclusives.len() <= MOST
}

/// Removes the requests after a sleep, and takes in the wake-ups that came before.
pub(super) fn withdraw(ep: &'static Eventpoll, st: &mut EpState) {
    if !st.items.exclusives.is_empty() {
        st.withdraw_exclusives(ep.ring_fd.cell());
        uring::lap(ep, st);
    }
}

impl EpState {
    /// Whether a sleep may miss the level of an exclusive registration, because a thread that does
    /// not run was chosen.
    #[inline]
    pub fn sleeps_exclusively(&self) -> bool {
        self.backend.ring.is_some() && !self.items.exclusives.is_empty()
    }

    fn withdraw_exclusives(&mut self, fd: &AtomicI32) {
        let Some(uring) = &mut self.backend.ring else { return };
        for item in &self.items.exclusives {
            uring.withdraw(fd, item.get(), item.get().at(&self.held));
        }
    }

    /// Removes the requests of exclusive registrations, and polls these instead.
    pub(super) fn poll_exclusives(&mut self, fd: &AtomicI32) {
        self.withdraw_exclusives(fd);
        for index in 0..self.items.exclusives.len() {
            self.refresh_exclusive(self.items.exclusives[index].get());
        }
    }

    /// Before a sleep, requests the wake-ups of the exclusive registrations that were polled.
    pub(super) fn request_exclusives(&mut self, fd: &AtomicI32) {
        let Some(uring) = &mut self.backend.ring else { return };
        for item in self.items.exclusives.iter().map(|item| item.get()) {
            let state = item.at(&self.held);
            if state.slot.get() != 0 {
                let asked = self.backend.set.asked(item, &self.held);
                self.backend.set.remove(item, &self.held);
                uring.ask_exclusively(fd, item, state);
                item.set_asked(asked);
            }
        }
    }

    /// Handles a change of an exclusive registration: it is polled unless another instance of the
    /// process has the event. While the thread sleeps, it does this when it wakes up.
    pub(super) fn refresh_exclusive(&mut self, item: &'static Epitem) {
        let state = item.at(&self.held);
        if !state.is_exclusive() || self.queue.poller.is_some() {
            return;
        }
        let file = item.file().filter(|file| state.alive.get() && !self.is_kept_out(item, file));
        match file.and_then(|file| self.bits_to_ask(item, file)) {
            Some(bits) if self.backend.set.put(item, &self.held, item.via(), bits) => {}
            Some(_) => {
                if let Some(uring) = &mut self.backend.ring {
                    uring.doomed = true;
                }
            }
            None => self.backend.set.remove(item, &self.held),
        }
    }
}
