//! How a forked child is known that came of a fork without handlers, an inline `clone`.
//!
//! A word that is 1 in the process that the records belong to and in its vfork children, and 0 in
//! such a child, because the kernel empties its page there (MADV_WIPEONFORK).

use std::ptr;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release, SeqCst};
use std::sync::atomic::{AtomicPtr, AtomicU32};

use crate::sys;

/// Null before start-up, and where the kernel cannot empty pages.
static MARK: AtomicPtr<AtomicU32> = AtomicPtr::new(ptr::null_mut());
/// Makes the records such a child's own; null before start-up.
static TAKE_OVER: AtomicPtr<()> = AtomicPtr::new(ptr::null_mut());

/// The least that can be mapped.
const BYTES: usize = 1;

/// Sets the mark; `take_over` runs in a child that is without it, before it does anything else.
/// Once, at start-up.
pub fn set_up(take_over: fn()) {
    TAKE_OVER.store(take_over as *mut (), SeqCst);
    if let Ok(page) = sys::map(BYTES) {
        if sys::wipe_on_fork(page, BYTES).is_ok() {
            MARK.store(page.cast(), Release);
            renew();
        } else {
            // SAFETY: nobody knows of the page.
            unsafe { sys::unmap(page, BYTES) };
        }
    }
}

fn mark() -> Option<&'static AtomicU32> {
    // SAFETY: null, or a page that is never unmapped.
    unsafe { MARK.load(Acquire).as_ref() }
}

/// The records are the calling process's own from here on.
pub fn renew() {
    if let Some(mark) = mark() {
        mark.store(1, SeqCst);
    }
}

/// Whether the mark is gone.
pub fn is_gone() -> bool {
    mark().is_some_and(|mark| mark.load(SeqCst) == 0)
}

/// In a child without the mark: makes the records its own, as the handlers of fork would have.
/// Everything else is left alone. Called wherever the records are entered.
#[inline]
pub fn settle() {
    if mark().is_some_and(|mark| mark.load(Relaxed) == 0) {
        take_over();
    }
}

#[cold]
fn take_over() {
    let work = TAKE_OVER.load(Acquire);
    if !work.is_null() {
        // SAFETY: the pointer is that of a function of this type.
        unsafe { std::mem::transmute::<*mut (), fn()>(work)() };
    }
}
