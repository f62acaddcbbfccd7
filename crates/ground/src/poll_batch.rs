//! One look at the levels of a few descriptors.

use arrayvec::ArrayVec;
use libc::{c_int, pollfd};

use crate::events::Bits;
use crate::sys;

/// The usual number of descriptors in one look: more would not make the call per descriptor cheaper.
pub const WINDOW: usize = 64;

/// Descriptors for one look, each on behalf of a `T`; at most `ROOM` of them.
#[derive(Debug)]
pub struct PollBatch<T, const ROOM: usize> {
    set: ArrayVec<pollfd, ROOM>,
    whom: ArrayVec<T, ROOM>,
}

impl<T: Copy, const ROOM: usize> PollBatch<T, ROOM> {
    /// Makes an empty window.
    pub const fn new() -> PollBatch<T, ROOM> {
        PollBatch { set: ArrayVec::new_const(), whom: ArrayVec::new_const() }
    }

    /// Whether there is no room for another descriptor.
    pub const fn is_full(&self) -> bool {
        self.set.is_full()
    }

    /// Whether there are no descriptors.
    pub const fn is_empty(&self) -> bool {
        self.set.is_empty()
    }

    /// Adds a descriptor. There must be room.
    pub fn add(&mut self, whom: T, fd: c_int, asked: Bits) {
        self.set.push(pollfd { fd, events: asked.cast_signed(), revents: 0 });
        self.whom.push(whom);
    }

    /// The level of each descriptor, which may be POLLNVAL, in the order in which they were added.
    /// Makes no system call if there are none.
    pub fn look(mut self) -> impl Iterator<Item = (T, Bits)> {
        if !self.is_empty() {
            sys::look(&mut self.set);
        }
        self.whom.into_iter().zip(self.set.into_iter().map(|entry| entry.revents.cast_unsigned()))
    }
}
