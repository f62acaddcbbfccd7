//! Recognizes a child of a fork without handlers, such as an inline `clone`.
//!
//! The mark is a word that is 1 in the process that owns the records and in its vfork children. In
//! such a child it is 0, because the kernel clears its page there (MADV_WIPEONFORK).

use std::ptr;
use std::sync::OnceLock;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release, SeqCst};
use std::sync::atomic::{AtomicPtr, AtomicU32};

use crate::sys;

/// Null before start-up, and if the kernel lacks MADV_WIPEONFORK.
#[unsafe(link_section = ".data.wait")]
static MARK: AtomicPtr<AtomicU32> = AtomicPtr::new(ptr::null_mut());
/// The function that makes such a child the owner of the records; none before start-up.
static TAKE_OVER: OnceLock<fn()> = OnceLock::new();

/// The smallest mapping.
const BYTES: usize = 1;

/// Sets the mark; `take_over` runs in a child without it, before the child does anything else.
/// Called once, at start-up.
pub fn set_up(take_over: fn()) {
    let _ = TAKE_OVER.set(take_over);
    if let Ok(page) = sys::map(BYTES) {
        if sys::wipe_on_fork(page, BYTES).is_ok() {
            MARK.store(page.cast(), Release);
            renew();
        } else {
            // SAFETY: nothing refers to the page.
            unsafe { sys::unmap(page, BYTES) };
        }
    }
}

fn mark() -> Option<&'static AtomicU32> {
    // SAFETY: null, or a page that is never unmapped.
    unsafe { MARK.load(Acquire).as_ref() }
}

/// Sets the mark again, in a process that now owns the records.
pub fn renew() {
    if let Some(mark) = mark() {
        mark.store(1, SeqCst);
    }
}

/// Whether there is a mark, so that a child of such a fork is recognized.
pub fn is_set_up() -> bool {
    mark().is_some()
}

/// Whether the mark is gone.
pub fn is_gone() -> bool {
    mark().is_some_and(|mark| mark.load(SeqCst) == 0)
}

/// Makes a child without the mark the owner of the records, as the handlers of fork would have
/// done. In any other process it does nothing. Called at every entry to the records.
#[inline]
pub fn settle() {
    if mark().is_some_and(|mark| mark.load(Relaxed) == 0) {
        take_over();
    }
}

#[cold]
fn take_over() {
    if let Some(work) = TAKE_OVER.get() {
        work();
    }
}
