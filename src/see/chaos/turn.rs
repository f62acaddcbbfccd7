//! One control call at a time, of the program or of a perturbed wait. So an event that goes back
//! cannot overwrite a MOD of the program.
//!
//! It is no lock of the library: the library's own locks are taken under it, and a signal handler
//! may make a control call in a thread that holds it, which then needs none.

use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};

use crate::lock;
use crate::sys;

/// The id of the thread whose turn it is, or 0.
static OWNER: AtomicU32 = AtomicU32::new(0);
/// Others wait.
const CONTENDED: u32 = 1 << 31;

/// It is this thread's turn.
#[derive(Debug)]
pub struct Turn {
    is_own: bool,
}

impl Turn {
    /// Waits for the turn. In a signal handler that interrupted its holder, or that interrupted the
    /// library, there is nothing to wait for.
    pub fn take() -> Turn {
        let me = sys::gettid().cast_unsigned();
        let is_own = !lock::interrupted() && OWNER.load(Relaxed) & !CONTENDED != me;
        if !is_own {
            return Turn { is_own };
        }
        let mut wanted = me;
        while let Err(owner) = OWNER.compare_exchange(0, wanted, Acquire, Relaxed) {
            // Others may wait, too.
            wanted = me | CONTENDED;
            let contended = owner | CONTENDED;
            if owner == contended || OWNER.compare_exchange(owner, contended, Relaxed, Relaxed).is_ok() {
                sys::futex_wait(&OWNER, contended, None);
            }
        }
        Turn { is_own }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        if self.is_own && OWNER.swap(0, Release) & CONTENDED != 0 {
            sys::futex_wake(&OWNER, 1);
        }
    }
}

/// Frees the turn in a forked child: its holder was a thread of the parent.
pub fn free() {
    OWNER.store(0, Release);
}
