//! The registrations of one watcher thread, which polls them.

use std::ptr;

use libc::pollfd;
use nix::errno::Errno;

use super::{Shard, asked, fired};
use crate::graph::epitem::{Epitem, Home, NO_SHARD, State};
use crate::graph::epstate::EpState;
use crate::graph::eventpoll::Eventpoll;
use crate::lock::Guard;
use crate::pool::Short;
use crate::probe::fleeting;
use crate::shards;
use crate::sleep::{LONGEST_TICK_NS, TICK_NS};
use crate::sync::atomic::Ordering::Relaxed;
use crate::sys;

/// The poll set of a shard.
#[derive(Debug)]
pub(super) struct Set {
    number: u16,
    pub(super) entries: Vec<pollfd>,
    pub(super) items: Vec<Short<Epitem>>,
}

impl Set {
    /// Makes a set with room for all registrations that the shard may get.
    pub(super) fn new(number: u16) -> Result<Set, Errno> {
        let mut set = Set { number, entries: Vec::new(), items: Vec::new() };
        set.entries.try_reserve_exact(shards::size(number) + 1).map_err(|_| Errno::ENOMEM)?;
        set.items.try_reserve_exact(shards::size(number)).map_err(|_| Errno::ENOMEM)?;
        set.entries.push(pollfd { fd: -1, events: libc::POLLIN, revents: 0 });
        Ok(set)
    }

    /// Reads the notes, and acts on each only as far as the registration itself confirms it.
    pub(super) fn read_mail(&mut self, shard: &'static Shard) {
        loop {
            let Some(item) = shard.mail.lock().take() else { break };
            let place = self.items.iter().position(|other| ptr::eq(other.get(), item));
            let asked = item.eventpoll().and_then(|ep| {
                let st = ep.lock();
                let state = item.at(&st.held);
                let here = state.alive.get() && state.home() == Home::Parked(self.number);
                if !here {
                    self.let_go(item, state);
                }
                here.then(|| asked(&st, item))
            });
            match (place, asked) {
                (Some(place), Some(bits)) => {
                    self.entries[place + 1] = pollfd { fd: item.via(), events: bits.cast_signed(), revents: 0 };
                }
                (Some(place), None) => self.remove(place),
                // Threads that park at the same time can fill a shard beyond its size.
                (None, Some(_)) if self.items.len() == shards::size(self.number) => {
                    if let Some(ep) = item.eventpoll() {
                        self.hand_back(ep, &mut ep.lock(), item);
                    }
                }
                (None, Some(bits)) => {
                    item.pin();
                    self.entries.push(pollfd { fd: item.via(), events: bits.cast_signed(), revents: 0 });
                    self.items.push(Short::of(item));
                }
                (None, None) => {}
            }
            item.unpin();
        }
        self.count_load(shard);
    }

    /// Sleeps until something happens. A thread that has no wake-up descriptor, because no number
    /// was free, wakes up now and then to look around. So does a thread with more entries than the
    /// kernel lets it poll (`tick` is its pause).
    pub(super) fn poll(&mut self, tick: &mut u64) {
        let longest = (self.entries[0].fd < 0).then_some(LONGEST_TICK_NS);
        let slept = sys::ppoll_raw(&mut self.entries, longest);
        if !slept.is_err_and(sys::is_too_long) {
            *tick = TICK_NS;
            return;
        }
        let found = sys::ppoll_in_pieces(&mut self.entries, |piece| sys::ppoll_raw(piece, Some(*tick)));
        *tick = if found == Ok(0) { (*tick * 2).min(LONGEST_TICK_NS) } else { TICK_NS };
    }

    pub(super) fn remove(&mut self, place: usize) {
        self.entries.swap_remove(place + 1);
        self.items.swap_remove(place).get().unpin();
    }

    /// Counts the registrations that are here, and those that are on their way here.
    pub(super) fn count_load(&self, shard: &'static Shard) {
        let mail = shard.mail.lock();
        shard.load.store(self.items.len() as u32 + mail.count, Relaxed);
    }

    /// Hands registrations that fired back to their instances. All those of one instance go back
    /// under one acquisition of its lock, because otherwise the waiting thread would wake up only
    /// to wait for the lock.
    pub(super) fn hand_back_fired(&mut self, shard: &'static Shard) {
        let mut place = self.items.len();
        let mut held: Option<(&'static Eventpoll, Guard<'_, EpState>)> = None;
        while place > 0 {
            place -= 1;
            let found = std::mem::take(&mut self.entries[place + 1].revents);
            if found == 0 {
                continue;
            }
            let item = self.items[place].get();
            fleeting::found_on(item, found.cast_unsigned());
            if let Some(ep) = item.eventpoll() {
                let mut guard = match held.take() {
                    Some((other, guard)) if ptr::eq(other, ep) => guard,
                    other => {
                        drop(other);
                        let mut guard = ep.lock();
                        guard.backend.account.woken();
                        guard
                    }
                };
                self.hand_back(ep, &mut guard, item);
                held = Some((ep, guard));
            }
            self.remove(place);
        }
        drop(held);
        self.count_load(shard);
    }

    /// Records that this thread is not in poll and will not poll the registration again. Does
    /// nothing if there is another note about it, which would be missed if the registration went to
    /// another watcher next. Notes are left under the instance's lock, which is held here.
    fn let_go(&self, item: &Epitem, state: &State) {
        if state.shard() == self.number && !item.is_noted() {
            state.set_shard(NO_SHARD);
        }
    }

    fn hand_back(&self, ep: &'static Eventpoll, st: &mut EpState, item: &'static Epitem) {
        let state = item.at(&st.held);
        // Read before the registration is released, because its home depends on the shard.
        let is_at_home = state.alive.get() && state.home() == Home::Parked(self.number);
        self.let_go(item, state);
        if !is_at_home {
            return;
        }
        state.set_parked(false);
        state.lose_patience();
        st.backend.parked -= 1;
        st.backend.account.handed_back();
        st.stats.unparks += 1;
        fired(ep, st, item);
    }
}
