//! Arrays of an instance's own that the program reads events in.

use std::alloc::{Layout, alloc};
use std::ptr;

use libc::epoll_event;
use nix::errno::Errno;

use crate::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed};
use crate::sync::atomic::{AtomicPtr, AtomicUsize};

/// How many events an array has room for.
pub const MOST_EVENTS: usize = 1024;

/// The two arrays of an instance, of which one is the program's while the other is filled. Made at the first use, and kept for whatever
/// instance has the record next.
#[derive(Debug)]
pub struct View {
    arrays: [AtomicPtr<epoll_event>; 2],
    turn: AtomicUsize,
}

impl View {
    /// Not used yet.
    pub const fn new() -> View {
        View { arrays: [const { AtomicPtr::new(ptr::null_mut()) }; 2], turn: AtomicUsize::new(0) }
    }

    /// The array whose turn it is to be filled, with room for [`MOST_EVENTS`]. ENOMEM when there is no memory for it.
    pub fn next(&self) -> Result<*mut epoll_event, Errno> {
        let array = &self.arrays[self.turn.fetch_add(1, Relaxed) % 2];
        let there = array.load(Acquire);
        if !there.is_null() {
            return Ok(there);
        }
        let layout = Layout::array::<epoll_event>(MOST_EVENTS).map_err(|_| Errno::ENOMEM)?;
        // SAFETY: the layout is not empty.
        let made = unsafe { alloc(layout) }.cast::<epoll_event>();
        if made.is_null() {
            return Err(Errno::ENOMEM);
        }
        // If another thread was faster, what was made here stays unused.
        Ok(array.compare_exchange(ptr::null_mut(), made, AcqRel, Acquire).map_or_else(|there| there, |_| made))
    }
}
