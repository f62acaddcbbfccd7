//! One look at the levels of a few descriptors.

use libc::{c_int, pollfd};

use crate::events::Bits;
use crate::sys;

/// The usual number of descriptors in one look: more would not make the call per descriptor cheaper.
pub const WINDOW: usize = 64;

/// Descriptors for one look, each on behalf of a `T`; at most `ROOM` of them.
#[derive(Debug)]
pub struct PollBatch<T, const ROOM: usize> {
    set: [pollfd; ROOM],
    whom: [Option<T>; ROOM],
    number: usize,
}

impl<T: Copy, const ROOM: usize> PollBatch<T, ROOM> {
    /// Makes an empty window.
    pub const fn new() -> PollBatch<T, ROOM> {
        PollBatch { set: [pollfd { fd: -1, events: 0, revents: 0 }; ROOM], whom: [None; ROOM], number: 0 }
    }

    /// Whether there is no room for another descriptor.
    pub const fn is_full(&self) -> bool {
        self.number == ROOM
    }

    /// Whether there are no descriptors.
    pub const fn is_empty(&self) -> bool {
        self.number == 0
    }

    /// Adds a descriptor. There must be room.
    pub fn add(&mut self, whom: T, fd: c_int, asked: Bits) {
        self.set[self.number] = pollfd { fd, events: asked.cast_signed(), revents: 0 };
        self.whom[self.number] = Some(whom);
        self.number += 1;
    }

    /// The level of each descriptor, which may be POLLNVAL, in the order in which they were added.
    /// Makes no system call if there are none.
    pub fn look(mut self) -> impl Iterator<Item = (T, Bits)> {
        if self.number > 0 {
            sys::look(&mut self.set[..self.number]);
        }
        let found = self.set.into_iter().map(|entry| entry.revents.cast_unsigned());
        self.whom.into_iter().zip(found).map_while(|(whom, found)| whom.map(|whom| (whom, found)))
    }
}
