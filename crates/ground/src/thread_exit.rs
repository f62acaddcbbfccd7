//! What a thread does when it ends, however it ends: a destructor of a key of pthread's.

use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering::Relaxed;

use libc::c_void;

/// The key; the highest number before start-up, and where the program had used them up.
static KEY: AtomicU32 = AtomicU32::new(u32::MAX);

/// Makes the key. Once, at start-up.
pub fn set_up(destructor: unsafe extern "C" fn(*mut c_void)) {
    let mut key = 0;
    // SAFETY: a valid pointer; the destructor is a function of this library, which is never unloaded.
    if unsafe { libc::pthread_key_create(&raw mut key, Some(destructor)) } == 0 {
        KEY.store(key, Relaxed);
    }
}

/// The destructor runs when the calling thread ends.
pub fn arm() {
    let key = KEY.load(Relaxed);
    if key != u32::MAX {
        // SAFETY: the key was created at start-up; any value but null makes the destructor run.
        unsafe { libc::pthread_setspecific(key, (&raw const KEY).cast()) };
    }
}

/// As [`arm`], but never allocates, and so does nothing where the program had created too many keys
/// of its own: glibc keeps the values of the first 32 in the thread itself.
pub fn arm_without_memory() {
    const WITHIN_THE_THREAD: u32 = 32;
    if KEY.load(Relaxed) < WITHIN_THE_THREAD {
        arm();
    }
}
