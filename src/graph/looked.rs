//! The registrations outside of the poll set whose levels the poll of a round has shown, so that
//! their report needs no second look.

use arrayvec::ArrayVec;

use crate::events::Bits;
use crate::graph::epitem::Epitem;
use crate::pool::Short;

/// The most of them. A report of more makes a poll of its own, whose price is shared by many.
pub const MOST: usize = 8;

/// The bits that the poll asked for, and those that it found.
#[derive(Clone, Copy, Debug)]
pub struct Look {
    pub asked: Bits,
    pub found: Bits,
}

/// The registrations, each with the look at it, in the order of the ready list.
#[derive(Debug)]
pub struct Looked {
    looks: ArrayVec<(Short<Epitem>, Look), MOST>,
    /// The place of the next registration in turn.
    next: usize,
}

impl Looked {
    /// None.
    pub const fn new() -> Looked {
        Looked { looks: ArrayVec::new_const(), next: 0 }
    }

    /// Adds a registration that is about to be looked at. There must be room.
    pub fn add(&mut self, item: &'static Epitem, asked: Bits) {
        self.looks.push((Short::of(item), Look { asked, found: 0 }));
    }

    /// Records what the poll has found, in the order in which the registrations were added.
    pub fn record(&mut self, found: impl Iterator<Item = Bits>) {
        for ((_, look), found) in self.looks.iter_mut().zip(found) {
            look.found = found;
        }
    }

    /// The look at the registration whose turn it is, if there was one. Those before it have had
    /// their turn.
    pub fn take(&mut self, item: &'static Epitem) -> Option<Look> {
        let rest = &self.looks[self.next..];
        let place = rest.iter().position(|(looked, _)| std::ptr::eq(looked.get(), item))?;
        self.next += place + 1;
        Some(rest[place].1)
    }

    /// Forgets the looks, because levels may have changed since.
    #[inline]
    pub fn forget(&mut self) {
        self.looks.clear();
        self.next = 0;
    }
}
