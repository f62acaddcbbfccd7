//! Work at the end of a thread, however it ends: the destructor of a pthread key.

use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering::Relaxed;

use libc::c_void;

/// The key; the highest number before start-up, and if the program had used up all keys.
static KEY: AtomicU32 = AtomicU32::new(u32::MAX);

/// Makes the key. Once, at start-up.
pub fn set_up(destructor: unsafe extern "C" fn(*mut c_void)) {
    let mut key = 0;
    // SAFETY: a valid pointer; the destructor is a function of this library, which is never
    // unloaded.
    if unsafe { libc::pthread_key_create(&raw mut key, Some(destructor)) } == 0 {
        KEY.store(key, Relaxed);
    }
}

/// Makes the destructor run when the calling thread ends.
pub fn arm() {
    let key = KEY.load(Relaxed);
    if key != u32::MAX {
        // SAFETY: the key was created at start-up; any value but null makes the destructor run.
        unsafe { libc::pthread_setspecific(key, (&raw const KEY).cast()) };
    }
}

/// Does the same as [`arm`] but never allocates, and so does nothing if the program had created too
/// many keys of its own: glibc keeps the values of the first 32 in the thread itself.
pub fn arm_without_memory() {
    const WITHIN_THE_THREAD: u32 = 32;
    if KEY.load(Relaxed) < WITHIN_THE_THREAD {
        arm();
    }
}
