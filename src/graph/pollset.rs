//! The array for `poll`, which is updated one entry at a time instead of being built for every
//! wait.
//!
//! Entry 0 is the wake-up descriptor of the polling thread. The kernel writes `revents` into the
//! array while a thread sleeps in poll, so no other thread touches it then: changes go through the
//! instance's inbox (see `eventpoll/inbox.rs`).

use libc::{c_int, pollfd};
use nix::errno::Errno;

use crate::account::Silence;
use crate::events::{Bits, IN};
use crate::graph::epitem::Epitem;
use crate::graph::epstate::Held;
use crate::heap;
use crate::pool::Short;
use crate::sys;

/// The poll set of one instance.
#[derive(Debug)]
pub struct PollSet {
    entries: Vec<pollfd>,
    /// The registration of each entry except the first; index `slot - 1`.
    items: Vec<Short<Epitem>>,
    /// The number of further silent polls after which each entry counts as silent for long.
    patience: Vec<u16>,
    /// Larger arrays to move to, allocated while a thread polled (see [`PollSet::reserve_larger`]).
    larger: (Vec<pollfd>, Vec<Short<Epitem>>, Vec<u16>),
}

const NOBODY: pollfd = pollfd { fd: -1, events: libc::POLLIN, revents: 0 };

impl PollSet {
    /// A set without entries.
    pub const fn new() -> PollSet {
        PollSet {
            entries: Vec::new(),
            items: Vec::new(),
            patience: Vec::new(),
            larger: (Vec::new(), Vec::new(), Vec::new()),
        }
    }

    /// Makes room for `count` registrations, so that a wait never allocates.
    pub fn reserve(&mut self, count: usize) -> Result<(), Errno> {
        if count + 1 < self.capacity() {
            return Ok(());
        }
        self.move_to_larger();
        // One more for the descriptor behind the registrations.
        let more = (count + 2).saturating_sub(self.entries.len());
        self.entries.try_reserve(more).map_err(|_| Errno::ENOMEM)?;
        self.items.try_reserve(more).map_err(|_| Errno::ENOMEM)?;
        self.patience.try_reserve(more).map_err(|_| Errno::ENOMEM)?;
        if self.entries.is_empty() {
            self.entries.push(NOBODY);
        }
        Ok(())
    }

    /// Makes room for `count` registrations while a thread polls: the current arrays must not move,
    /// so larger ones are allocated, to which the entries move when the poll is over.
    pub fn reserve_larger(&mut self, count: usize) -> Result<(), Errno> {
        let at_hand = self.capacity();
        let (entries, items, patience) = &mut self.larger;
        let room = at_hand.max(entries.capacity().min(items.capacity()).min(patience.capacity()));
        if count + 1 < room {
            return Ok(());
        }
        let wanted = (count + 2).max(2 * room);
        entries.try_reserve(wanted).map_err(|_| Errno::ENOMEM)?;
        items.try_reserve(wanted).map_err(|_| Errno::ENOMEM)?;
        patience.try_reserve(wanted).map_err(|_| Errno::ENOMEM)
    }

    /// Leaves the array for good to a thread that may poll it at any time, and continues with a
    /// copy.
    pub fn part_with_array(&mut self) -> Result<(), Errno> {
        let mut copy = Vec::new();
        copy.try_reserve(self.entries.capacity()).map_err(|_| Errno::ENOMEM)?;
        copy.extend_from_slice(&self.entries);
        std::mem::forget(std::mem::replace(&mut self.entries, copy));
        Ok(())
    }

    /// The number of entries that fit, including that of the wake-up descriptor.
    fn capacity(&self) -> usize {
        self.entries.capacity().min(self.items.capacity()).min(self.patience.capacity())
    }

    fn move_to_larger(&mut self) {
        let (entries, items, patience) = &self.larger;
        if entries.capacity().min(items.capacity()).min(patience.capacity()) <= self.capacity() {
            return;
        }
        let (mut entries, mut items, mut patience) = std::mem::take(&mut self.larger);
        entries.append(&mut self.entries);
        items.append(&mut self.items);
        patience.append(&mut self.patience);
        (self.entries, self.items, self.patience) = (entries, items, patience);
    }

    /// Gives unused memory back to the kernel after many registrations have left. The capacity
    /// stays.
    pub fn discard_unused(&mut self) {
        heap::discard(self.entries.spare_capacity_mut());
        heap::discard(self.items.spare_capacity_mut());
        heap::discard(self.patience.spare_capacity_mut());
    }

    /// The number of registrations in the set.
    pub fn len(&self) -> usize {
        self.items.len()
    }

    /// Polls this number for this registration, whether it was in the set or not. False without
    /// memory.
    #[inline]
    pub fn put(&mut self, item: &'static Epitem, held: &Held, fd: c_int, bits: Bits) -> bool {
        let state = item.at(held);
        self.drop_last();
        match state.slot.get() as usize {
            0 => {
                if self.reserve(self.items.len() + 1).is_err() {
                    return false;
                }
                state.slot.set(self.entries.len() as u32);
                self.entries.push(pollfd { fd, events: bits.cast_signed(), revents: 0 });
                // The set refers to it until it is removed, even if it is deleted while a thread
                // polls.
                item.pin();
                self.items.push(Short::of(item));
                self.patience.push(state.patience());
            }
            slot => {
                let entry = &mut self.entries[slot];
                entry.fd = fd;
                entry.events = bits.cast_signed();
            }
        }
        item.set_asked(bits);
        true
    }

    /// Stops polling the registration.
    pub fn remove(&mut self, item: &'static Epitem, held: &Held) {
        let slot = item.at(held).slot.replace(0) as usize;
        if slot == 0 {
            return;
        }
        item.set_asked(0);
        self.drop_last();
        self.entries.swap_remove(slot);
        self.items.swap_remove(slot - 1);
        self.patience.swap_remove(slot - 1);
        if let Some(moved) = self.items.get(slot - 1) {
            moved.get().at(held).slot.set(slot as u32);
        }
        item.unpin();
    }

    /// Stops polling the registrations that were deleted while a thread polled.
    pub fn sweep(&mut self, held: &Held) {
        let mut index = self.items.len();
        while index > 0 {
            index -= 1;
            let item = self.items[index].get();
            if !item.at(held).alive.get() {
                self.remove(item, held);
            }
        }
    }

    /// The whole array, for a poll that the wake-up descriptor `wake` can end.
    pub fn poll_with(&mut self, wake: c_int) -> &mut [pollfd] {
        self.drop_last();
        if let Some(entry) = self.entries.first_mut() {
            entry.fd = wake;
        }
        &mut self.entries
    }

    /// As [`PollSet::poll_with`], with one more descriptor behind the registrations, which
    /// [`PollSet::drop_last`] removes.
    pub fn poll_with_last(&mut self, wake: c_int, last: c_int) -> &mut [pollfd] {
        self.poll_with(wake);
        self.put_behind(last, IN);
        &mut self.entries
    }

    /// Adds a descriptor behind the registrations, for one poll. False if there is no room.
    pub fn put_behind(&mut self, fd: c_int, bits: Bits) -> bool {
        let has_room = self.entries.len() < self.entries.capacity();
        if has_room {
            self.entries.push(pollfd { fd, events: bits.cast_signed(), revents: 0 });
        }
        has_room
    }

    /// The whole array, with the descriptors behind the registrations.
    pub fn with_those_behind(&mut self) -> &mut [pollfd] {
        &mut self.entries
    }

    /// The results of the last poll for the descriptors behind the registrations.
    pub fn revents_behind(&self) -> impl Iterator<Item = Bits> + '_ {
        self.entries.iter().skip(self.items.len() + 1).map(|entry| entry.revents.cast_unsigned())
    }

    /// Whether the last poll found something on the descriptor behind the registrations, or did not
    /// include it.
    pub fn has_last_fired(&self) -> bool {
        self.entries.get(self.items.len() + 1).is_none_or(|last| last.revents != 0 || last.fd < 0)
    }

    /// Clears the result of the last poll for the wake-up descriptor.
    pub fn forget_wake(&mut self) {
        if let Some(entry) = self.entries.first_mut() {
            entry.revents = 0;
        }
    }

    /// Removes the descriptors behind the registrations.
    #[inline]
    pub fn drop_last(&mut self) {
        self.entries.truncate(self.items.len() + 1);
    }

    /// The registrations alone, for a look that needs no wake-up.
    pub fn registrations(&mut self) -> &mut [pollfd] {
        self.entries.get_mut(1..).unwrap_or_default()
    }

    /// The result of the last poll for the wake-up descriptor.
    pub fn wake_revents(&self) -> Bits {
        self.entries.first().map_or(0, |entry| entry.revents.cast_unsigned())
    }

    /// The result of the last poll for a registration; 0 if it was not in the set.
    pub fn revents(&self, item: &'static Epitem, held: &Held) -> Bits {
        match item.at(held).slot.get() as usize {
            0 => 0,
            slot => self.entries[slot].revents.cast_unsigned(),
        }
    }

    /// The bits that the last poll asked for on a registration; 0 if it was not in the set.
    pub fn asked(&self, item: &'static Epitem, held: &Held) -> Bits {
        match item.at(held).slot.get() as usize {
            0 => 0,
            slot => self.entries[slot].events.cast_unsigned(),
        }
    }

    /// Polls one registration, and returns the result; 0 if it is not in the set.
    pub fn look_at(&mut self, item: &'static Epitem, held: &Held) -> Bits {
        let slot = item.at(held).slot.get() as usize;
        match self.entries.get_mut(slot) {
            Some(entry) if slot != 0 => {
                sys::look(std::slice::from_mut(entry));
                entry.revents.cast_unsigned()
            }
            _ => 0,
        }
    }

    /// All registrations in the set, with the bits that are asked for. Valid while a thread polls,
    /// because those bits are not written then.
    pub fn asked_of_all(&self) -> impl Iterator<Item = (&'static Epitem, Bits)> + '_ {
        let behind_wake = self.entries.iter().skip(1);
        self.items.iter().zip(behind_wake).map(|(item, entry)| (item.get(), entry.events.cast_unsigned()))
    }

    /// Clears the results of the last poll.
    pub fn forget(&mut self) {
        self.entries.iter_mut().for_each(|entry| entry.revents = 0);
    }

    /// The first registration after `slot` on which the last poll found something, with its slot
    /// and the result.
    #[inline]
    pub fn next_fired(&self, slot: usize) -> Option<(usize, &'static Epitem, Bits)> {
        let rest = self.entries.get(slot + 1..).unwrap_or_default();
        let at = slot + 1 + rest.iter().position(|entry| entry.revents != 0)?;
        Some((at, self.items[at - 1].get(), self.entries[at].revents.cast_unsigned()))
    }

    /// The array with the results of the last poll.
    pub fn polled(&self) -> &[pollfd] {
        &self.entries
    }

    /// The registration at a slot, the bits that the last poll asked for, and the result.
    pub fn entry(&self, slot: usize) -> Option<(&'static Epitem, Bits, Bits)> {
        let entry = self.entries.get(slot)?;
        Some((self.items.get(slot - 1)?.get(), entry.events.cast_unsigned(), entry.revents.cast_unsigned()))
    }

    /// Counts one more poll for the silent entries, and restarts the count for those that fired.
    #[inline]
    pub fn count_silence(&mut self, held: &Held) -> Silence {
        let mut silence = Silence::default();
        let behind_wake = self.entries.get(1..).unwrap_or_default();
        for ((entry, patience), item) in behind_wake.iter().zip(&mut self.patience).zip(&self.items) {
            if entry.revents == 0 {
                *patience = patience.saturating_sub(1);
                silence.lasting += usize::from(*patience == 0);
            } else {
                let state = item.get().at(held);
                if *patience == 0 {
                    silence.broken += 1;
                    state.lose_patience();
                }
                *patience = state.patience();
            }
        }
        silence
    }

    /// The last registration before `end` that was silent for `polls` polls, with its place. Its
    /// removal moves nothing before that place.
    pub fn silent_for(&self, polls: u16, end: usize, held: &Held) -> Option<(usize, &'static Epitem)> {
        let was_silent = |place: &usize| self.patience[*place] + polls <= self.items[*place].get().at(held).patience();
        (0..end.min(self.items.len())).rev().find(was_silent).map(|place| (place, self.items[place].get()))
    }

    /// The registrations before `end` that may be parked, from the end: all, or those that have
    /// been silent for long. With the place of each; its removal moves nothing before that place.
    pub fn silent(&self, end: usize, all: bool) -> impl Iterator<Item = (usize, &'static Epitem)> + '_ {
        let end = end.min(self.items.len());
        let is_silent = move |place: &usize| all || self.patience[*place] == 0;
        (0..end).rev().filter(is_silent).map(|place| (place, self.items[place].get()))
    }
}
