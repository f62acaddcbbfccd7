//! Facts about the process: whether it has threads, whether it has forked, how many descriptors it
//! may have.

use std::sync::atomic::Ordering::{Relaxed, SeqCst};
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicPtr, AtomicUsize};

use libc::c_char;

use crate::sys;

/// The process that owns the library's records. A vfork child shares its memory but is another
/// process (D5).
static OWNER: AtomicI32 = AtomicI32::new(0);
/// This process has forked, or is a forked child.
static EVER_FORKED: AtomicBool = AtomicBool::new(false);
/// A thread is about to fork, and takes the locks one after the other.
static FORKING: AtomicBool = AtomicBool::new(false);
/// The soft limit of descriptors at start-up.
static LIMIT: AtomicUsize = AtomicUsize::new(1024);
/// glibc's `__libc_single_threaded`; null if libc has none.
#[unsafe(link_section = ".data.wait")]
static SINGLE_THREADED: AtomicPtr<c_char> = AtomicPtr::new(std::ptr::null_mut());

/// Reads the limit of descriptors, capped at `most`, and looks up glibc's variable. Called once, at
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

/// Makes the calling process the owner of the records.
pub fn own() {
    OWNER.store(sys::getpid(), Relaxed);
}

/// Notes that the process has forked, or is a forked child.
pub fn note_fork() {
    EVER_FORKED.store(true, Relaxed);
}

/// Notes that a thread takes the locks one after the other in order to fork, or has released them.
pub fn set_forking(forking: bool) {
    FORKING.store(forking, SeqCst);
}

/// Whether a thread is about to fork, and takes the locks one after the other.
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

/// Whether open file descriptions of this process may also be open in another one.
pub fn has_forked() -> bool {
    EVER_FORKED.load(Relaxed)
}

/// Whether the calling process is not the owner of the records. The answer changes nothing.
pub fn is_another() -> bool {
    sys::getpid() != OWNER.load(Relaxed)
}
