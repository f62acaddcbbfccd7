//! The process and its threads: their numbers, and what they share.

use libc::c_int;
use syscalls::{Sysno, syscall};

/// getpid(2), and not a value that libc or the library has cached.
pub fn getpid() -> i32 {
    // SAFETY: no arguments.
    unsafe { syscall!(Sysno::getpid) }.unwrap_or(0) as i32
}

/// gettid(2).
pub fn gettid() -> i32 {
    // SAFETY: no arguments.
    unsafe { syscall!(Sysno::gettid) }.unwrap_or(0) as i32
}

/// Whether this process has a thread with this id.
pub fn is_thread(tid: i32) -> bool {
    // SAFETY: signal 0 is never delivered.
    let answer = unsafe { syscall!(Sysno::tgkill, getpid(), tid, 0) };
    !answer.is_err_and(|errno| errno.into_raw() == libc::ESRCH)
}

/// Whether the process has other threads; `None` if the kernel refuses the call. It tries to
/// unshare something that only a process with a single thread may unshare, which changes nothing
/// there.
pub fn has_company() -> Option<bool> {
    // SAFETY: no memory is passed.
    match unsafe { syscall!(Sysno::unshare, libc::CLONE_THREAD) } {
        Ok(_) => Some(false),
        Err(errno) => (errno.into_raw() == libc::EINVAL).then_some(true),
    }
}

/// kcmp(2): whether two descriptors of the calling thread refer to one open file description;
/// `None` if the kernel refuses the call.
pub fn same_description(a: c_int, b: c_int) -> Option<bool> {
    const KCMP_FILE: c_int = 0;
    let tid = gettid();
    // SAFETY: no memory is passed.
    unsafe { syscall!(Sysno::kcmp, tid, tid, KCMP_FILE, a, b) }.ok().map(|order| order == 0)
}

/// kcmp(2): whether the calling thread shares its descriptor table with another thread; `None` if
/// the kernel refuses the call.
pub fn shares_table_with(tid: i32) -> Option<bool> {
    const KCMP_FILES: c_int = 2;
    // SAFETY: no memory is passed.
    unsafe { syscall!(Sysno::kcmp, gettid(), tid, KCMP_FILES, 0, 0) }.ok().map(|order| order == 0)
}
