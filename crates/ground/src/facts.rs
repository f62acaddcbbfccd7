//! What is known of the process: whether it has threads, whether it has forked, how many descriptors it may have.

use std::sync::atomic::Ordering::{Relaxed, SeqCst};
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicPtr, AtomicUsize};

use libc::c_char;

use crate::sys;

/// The process that the library's records belong to. A vfork child shares our memory but is another process (D5).
static OWNER: AtomicI32 = AtomicI32::new(0);
/// This process has forked, or is a forked child.
static EVER_FORKED: AtomicBool = AtomicBool::new(false);
/// A thread is about to fork, and takes the locks one by one.
static FORKING: AtomicBool = AtomicBool::new(false);
/// The soft limit of descriptors at start-up.
static LIMIT: AtomicUsize = AtomicUsize::new(1024);
/// glibc's `__libc_single_threaded`; null where there is none.
static SINGLE_THREADED: AtomicPtr<c_char> = AtomicPtr::new(std::ptr::null_mut());

/// Reads the limit of descriptors, of which no more than `most` count, and looks for glibc's variable. Once, at
/// start-up: dlsym may allocate.
pub fn read(most: usize) {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: plain calls of libc with valid pointers.
    unsafe {
        if libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) == 0 {
            LIMIT.store(usize::try_from(limit.rlim_cur).unwrap_or(usize::MAX).min(most), Relaxed);
        }
        SINGLE_THREADED.store(libc::dlsym(libc::RTLD_DEFAULT, c"__libc_single_threaded".as_ptr()).cast(), Relaxed);
    }
}

/// The records belong to the calling process from here on.
pub fn own() {
    OWNER.store(sys::getpid(), Relaxed);
}

/// The process has forked, or is a forked child.
pub fn note_fork() {
    EVER_FORKED.store(true, Relaxed);
}

/// A thread takes the locks one by one, to fork, or has let go of them.
pub fn set_forking(forking: bool) {
    FORKING.store(forking, SeqCst);
}

/// Whether a thread is about to fork, and takes the locks one by one.
pub fn is_forking() -> bool {
    FORKING.load(SeqCst)
}

/// The soft limit of descriptors.
pub fn descriptor_limit() -> usize {
    LIMIT.load(Relaxed)
}

/// Whether the process has, or had, more than one thread.
pub fn has_threads() -> bool {
    // SAFETY: the pointer is null or glibc's variable, which lives as long as the process.
    unsafe { SINGLE_THREADED.load(Relaxed).as_ref() }.is_none_or(|single| *single == 0)
}

/// Whether descriptions of this process may be another's, too.
pub fn has_forked() -> bool {
    EVER_FORKED.load(Relaxed)
}

/// Whether the caller is in another process than the one that the records belong to; nothing is settled.
pub fn is_another() -> bool {
    sys::getpid() != OWNER.load(Relaxed)
}
