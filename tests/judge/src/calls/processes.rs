//! Child processes, and the threads of this one.

use std::ptr::null_mut;

use libc::c_int;

use super::errno;

/// A child that sleeps until it is killed, and its pidfd. It shares the descriptor table, so it
/// keeps no descriptor open.
pub fn sleeping_child() -> Result<(c_int, c_int), i32> {
    let mut pidfd: c_int = -1;
    let flags = libc::CLONE_FILES | libc::CLONE_PIDFD | libc::SIGCHLD;
    // SAFETY: without CLONE_VM the child has its own memory, and only sleeps.
    let pid = unsafe { libc::syscall(libc::SYS_clone, flags, 0, &raw mut pidfd, 0, 0) };
    if pid == 0 {
        loop {
            // SAFETY: sleeps.
            unsafe { libc::pause() };
        }
    }
    if pid < 0 { Err(errno()) } else { Ok((pid as c_int, pidfd)) }
}

/// Kills a child, waits until it has ended, and reaps it. Its end and its removal are an event
/// each; `between` runs between them.
pub fn kill_child(pid: c_int, between: impl FnOnce()) {
    // SAFETY: a child of this process that has not been reaped; zeroes are a valid siginfo.
    unsafe {
        libc::kill(pid, libc::SIGKILL);
        let mut info = std::mem::zeroed();
        libc::waitid(libc::P_PID, pid.cast_unsigned(), &raw mut info, libc::WEXITED | libc::WNOWAIT | libc::__WALL);
    }
    between();
    // SAFETY: as above.
    unsafe { libc::waitpid(pid, null_mut(), libc::__WALL) };
}

/// Runs `work` in a forked child and waits for its end. Returns the result of `work`.
pub fn in_child(work: impl FnOnce() -> bool) -> bool {
    // SAFETY: the child only makes system calls and exits.
    unsafe {
        let pid = libc::fork();
        if pid == 0 {
            libc::_exit(c_int::from(work()));
        }
        let mut status = 0;
        pid > 0 && libc::waitpid(pid, &raw mut status, 0) == pid && libc::WEXITSTATUS(status) != 0
    }
}

/// Whether the process has other threads than this one.
pub fn has_other_threads() -> bool {
    const ALONE: u64 = 3;
    std::fs::metadata("/proc/self/task").is_ok_and(|tasks| std::os::unix::fs::MetadataExt::nlink(&tasks) > ALONE)
}
