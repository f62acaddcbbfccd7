//! Who would be on the kernel's ready list of an instance, as far as outer instances can tell: a registration that was woken stays in
//! line, whether any level is left of it or not, until somebody gets to it and finds none.
//!
//! Not what is to be reported, which is `EpState::ready`. Kept for followed instances only.

use std::collections::VecDeque;

use nix::errno::Errno;

use crate::graph::epitem::Epitem;
use crate::graph::epstate::Held;

/// The line. `#[doc(alias = "rdllist")]`
#[derive(Debug)]
pub struct Line {
    /// The registrations with the turns in which they joined. Who left, or joined again behind, has another turn by now.
    places: VecDeque<(&'static Epitem, u32)>,
    /// The turn of whoever joined last.
    turn: u32,
}

impl Line {
    /// Nobody.
    pub const fn new() -> Line {
        Line { places: VecDeque::new(), turn: 0 }
    }

    /// Makes room for `count` registrations, and as many places that were left.
    pub fn reserve(&mut self, count: usize) -> Result<(), Errno> {
        self.places.try_reserve((2 * count).saturating_sub(self.places.len())).map_err(|_| Errno::ENOMEM)
    }

    /// Whether a registration is in line.
    pub fn has(item: &Epitem, held: &Held) -> bool {
        item.at(held).turn() != 0
    }

    /// A registration goes to the end of the line, unless it is in it.
    pub fn join(&mut self, item: &'static Epitem, held: &Held) {
        if Line::has(item, held) {
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

    /// A registration leaves the line. Its place is taken out when somebody gets there.
    pub fn leave(item: &Epitem, held: &Held) {
        item.at(held).set_turn(0);
    }

    /// A registration was reported, and stays in line if it is level-triggered: at its end.
    pub fn reported(&mut self, item: &'static Epitem, held: &Held, stays: bool) {
        Line::leave(item, held);
        if stays {
            self.join(item, held);
        }
    }

    /// The first in line.
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

    /// The turn of whoever joined last.
    pub fn last_turn(&self) -> u32 {
        self.turn
    }

    /// Everybody who joined up to this turn was gone past, and leaves.
    pub fn pass(&mut self, turn: u32, held: &Held) {
        while let Some(item) = self.first(held).filter(|item| item.at(held).turn() <= turn) {
            Line::leave(item, held);
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

    /// Lets go of everybody.
    pub fn clear(&mut self, held: &Held) {
        for (item, _) in self.places.drain(..) {
            Line::leave(item, held);
            item.unpin();
        }
        self.turn = 0;
    }
}
