//! A copy of the kernel's ready list of an instance, as far as outer instances can see it. A
//! registration that was woken stays on it, whether its level lasts or not, until a look reaches it
//! and finds no level.
//!
//! It does not determine the reports, as `EpState::ready` does. It exists for followed instances
//! only.

use std::collections::VecDeque;

use nix::errno::Errno;

use crate::graph::epitem::Epitem;
use crate::graph::epstate::Held;

/// The list. `#[doc(alias = "rdllist")]`
#[derive(Debug)]
pub struct WokenList {
    /// The registrations, with the turns in which they joined. A registration that left, or joined
    /// again at the end, has another turn by now.
    places: VecDeque<(&'static Epitem, u32)>,
    /// The turn of the registration that joined last.
    turn: u32,
}

impl WokenList {
    /// An empty list.
    pub const fn new() -> WokenList {
        WokenList { places: VecDeque::new(), turn: 0 }
    }

    /// Makes room for `count` registrations, and as many stale places.
    pub fn reserve(&mut self, count: usize) -> Result<(), Errno> {
        self.places.try_reserve((2 * count).saturating_sub(self.places.len())).map_err(|_| Errno::ENOMEM)
    }

    /// Whether a registration is on the list.
    pub fn has(item: &Epitem, held: &Held) -> bool {
        item.at(held).turn() != 0
    }

    /// Puts a registration at the end of the list, unless it is on the list.
    pub fn join(&mut self, item: &'static Epitem, held: &Held) {
        if WokenList::has(item, held) {
            return;
        }
        if self.places.len() == self.places.capacity() {
            self.compact(held);
        }
        if self.places.len() == self.places.capacity() {
            return;
        }
        self.turn = self.turn.wrapping_add(1).max(1);
        item.at(held).set_turn(self.turn);
        item.pin();
        self.places.push_back((item, self.turn));
    }

    /// Takes a registration off the list. The stale place is removed when a look reaches it.
    pub fn leave(item: &Epitem, held: &Held) {
        item.at(held).set_turn(0);
    }

    /// Handles the report of a registration. A level-triggered one stays, at the end of the list.
    pub fn reported(&mut self, item: &'static Epitem, held: &Held, stays: bool) {
        WokenList::leave(item, held);
        if stays {
            self.join(item, held);
        }
    }

    /// The first registration on the list.
    pub fn first(&mut self, held: &Held) -> Option<&'static Epitem> {
        while let Some(&(item, turn)) = self.places.front() {
            if item.at(held).turn() == turn {
                return Some(item);
            }
            self.places.pop_front();
            item.unpin();
        }
        None
    }

    /// The turn of the registration that joined last.
    pub fn last_turn(&self) -> u32 {
        self.turn
    }

    /// Takes all registrations off the list that joined up to this turn, because a look has passed
    /// them.
    pub fn pass(&mut self, turn: u32, held: &Held) {
        while let Some(item) = self.first(held).filter(|item| item.at(held).turn() <= turn) {
            WokenList::leave(item, held);
        }
    }

    fn compact(&mut self, held: &Held) {
        self.places.retain(|(item, turn)| {
            let stays = item.at(held).turn() == *turn;
            if !stays {
                item.unpin();
            }
            stays
        });
    }

    /// Empties the list.
    pub fn clear(&mut self, held: &Held) {
        for (item, _) in self.places.drain(..) {
            WokenList::leave(item, held);
            item.unpin();
        }
        self.turn = 0;
    }
}
