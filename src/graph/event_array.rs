//! The arrays of an instance that `epolyfill_wait_view` fills and the program reads. Kernel
//! counterpart: none.

use std::alloc::{Layout, alloc};
use std::ptr;

use libc::epoll_event;
use nix::errno::Errno;

use crate::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed};
use crate::sync::atomic::{AtomicPtr, AtomicUsize};

/// The most events that fit into an array.
pub const MOST_EVENTS: usize = 1024;

/// The two arrays of an instance: the program reads one while the other is filled. They are
/// allocated at the first use, and stay with the record for the next instance that gets it.
#[derive(Debug)]
pub struct View {
    arrays: [AtomicPtr<epoll_event>; 2],
    turn: AtomicUsize,
}

impl View {
    /// Two arrays without memory.
    pub const fn new() -> View {
        View { arrays: [const { AtomicPtr::new(ptr::null_mut()) }; 2], turn: AtomicUsize::new(0) }
    }

    /// The array to fill next, with room for [`MOST_EVENTS`]. ENOMEM if it cannot be allocated.
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
        // If another thread was faster, this allocation stays unused.
        Ok(array.compare_exchange(ptr::null_mut(), made, AcqRel, Acquire).map_or_else(|there| there, |_| made))
    }
}
