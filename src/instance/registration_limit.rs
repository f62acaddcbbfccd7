//! The number of registrations, and its limit (T9). Kernel counterpart: `epoll_watches` of a user,
//! and `max_user_watches`.

use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;

use nix::errno::Errno;

use crate::sys;

/// The registrations of this process.
#[doc(alias = "epoll_watches")]
static REGISTRATIONS: AtomicU64 = AtomicU64::new(0);
static LIMIT: AtomicU64 = AtomicU64::new(u64::MAX);

/// Reads the system's limit for a user; there is none if it cannot be read. Called at the first
/// instance, before the program enters a sandbox.
pub fn read() {
    let mut buffer = [0; 32];
    let text = sys::read_file(b"/proc/sys/fs/epoll/max_user_watches\0", &mut buffer).ok();
    if let Some(limit) = text.and_then(|text| std::str::from_utf8(text.trim_ascii()).ok()?.parse().ok()) {
        LIMIT.store(limit, Relaxed);
    }
}

/// Returns ENOSPC at the limit.
pub fn check() -> Result<(), Errno> {
    if REGISTRATIONS.load(Relaxed) < LIMIT.load(Relaxed) { Ok(()) } else { Err(Errno::ENOSPC) }
}

/// Counts an added registration.
pub fn count() {
    REGISTRATIONS.fetch_add(1, Relaxed);
}

/// Counts a removed registration.
pub fn uncount() {
    REGISTRATIONS.fetch_sub(1, Relaxed);
}
