//! The reporter's process: it is no child of the program, belongs to another session, and keeps no
//! descriptor but its own.

use crate::failure::{Failure, reason};
use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl, open};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::signal::{SigHandler, SigSet, SigmaskHow, Signal, signal, sigprocmask};
use nix::sys::stat::Mode;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd, RawFd};

/// A copy of a descriptor that is none of the standard ones, and that no program inherits.
pub fn own(fd: impl AsFd) -> Result<OwnedFd, Errno> {
    let copy = fcntl(fd, FcntlArg::F_DUPFD_CLOEXEC(3))?;
    // SAFETY: the kernel has just made it.
    Ok(unsafe { OwnedFd::from_raw_fd(copy) })
}

/// A descriptor of a process, which becomes readable when that ends.
pub fn process(pid: i32) -> Result<OwnedFd, Errno> {
    // SAFETY: only numbers.
    let fd = Errno::result(unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) })?;
    // SAFETY: the kernel has just made it.
    own(unsafe { OwnedFd::from_raw_fd(fd as RawFd) })
}

/// The highest number that a descriptor of this process can have.
pub fn highest_number() -> RawFd {
    getrlimit(Resource::RLIMIT_NOFILE).ok().and_then(|(soft, _)| RawFd::try_from(soft).ok()).unwrap_or(RawFd::MAX) - 1
}

/// Lets this process have as many descriptors as it may.
pub fn raise_descriptor_limit() {
    if let Ok((_, hard)) = getrlimit(Resource::RLIMIT_NOFILE) {
        let _ = setrlimit(Resource::RLIMIT_NOFILE, hard, hard);
    }
}

/// Runs `work` in a process that is not a child of this one, with these descriptors and /dev/null
/// as the standard ones.
pub fn detached(descriptors: &[RawFd], work: impl FnOnce()) -> Result<(), Failure> {
    let failed = |errno| Failure::own(format!("the reporter cannot be started: {}", reason(errno)));
    // Not fork(2): the end of the process in between must not be a SIGCHLD, which would stay
    // pending for the program if the launcher was started with that signal blocked.
    // SAFETY: without flags it is a fork, and this process has one thread.
    let between = Errno::result(unsafe { libc::syscall(libc::SYS_clone, 0, 0, 0, 0, 0) }).map_err(failed)?;
    if between == 0 {
        // SAFETY: this process has one thread.
        let status = unsafe {
            libc::setsid();
            match libc::fork() {
                0 => {
                    retire(descriptors);
                    work();
                    0
                }
                -1 => Errno::last_raw(),
                _ => 0,
            }
        };
        // SAFETY: neither process returns into the launcher, nor runs its exit handlers.
        unsafe { libc::_exit(status) };
    }
    let mut status = 0;
    // SAFETY: `status` is valid. Without an exit signal only __WALL waits for it.
    let waited = unsafe { libc::waitpid(between as i32, &raw mut status, libc::__WALL) };
    match Errno::result(waited) {
        // The caller of the launcher ignores SIGCHLD.
        Err(Errno::ECHILD) => Ok(()),
        Err(errno) => Err(failed(errno)),
        Ok(_) if libc::WEXITSTATUS(status) != 0 => Err(failed(Errno::from_raw(libc::WEXITSTATUS(status)))),
        Ok(_) => Ok(()),
    }
}

/// Closes descriptors that this process has inherited.
fn close_all(first: RawFd, last: RawFd) {
    // SAFETY: nothing of this process refers to these descriptors.
    if unsafe { libc::syscall(libc::SYS_close_range, first, last, 0) } == 0 {
        return;
    }
    // Before Linux 5.9, or where a filter refuses it.
    let open = std::fs::read_dir("/proc/self/fd").into_iter().flatten().flatten();
    let numbers: Vec<RawFd> = open.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect();
    for fd in numbers.into_iter().filter(|fd| (first..=last).contains(fd)) {
        // SAFETY: as above; that of the directory is closed already, which does not matter.
        unsafe { libc::close(fd) };
    }
}

/// Gives up what belongs to the program. Signals that end a group of processes, or are meant for
/// the program, do not end the reporter, which ends by itself after the program.
fn retire(descriptors: &[RawFd]) {
    for number in [Signal::SIGHUP, Signal::SIGINT, Signal::SIGQUIT, Signal::SIGTERM, Signal::SIGPIPE] {
        // SAFETY: no handler is installed.
        let _ = unsafe { signal(number, SigHandler::SigIgn) };
    }
    let _ = sigprocmask(SigmaskHow::SIG_SETMASK, Some(&SigSet::empty()), None);
    let _ = std::env::set_current_dir("/");
    let mut kept: Vec<RawFd> = descriptors.to_vec();
    kept.sort_unstable();
    let mut first = 3;
    for fd in kept.into_iter().chain([RawFd::MAX]) {
        if fd > first {
            close_all(first, fd - 1);
        }
        first = fd.saturating_add(1);
    }
    if let Ok(null) = open("/dev/null", OFlag::O_RDWR | OFlag::O_CLOEXEC, Mode::empty()) {
        for standard in 0..3 {
            // SAFETY: it replaces an inherited descriptor, which nothing else in here uses.
            unsafe { libc::dup2(null.as_raw_fd(), standard) };
        }
        if null.as_raw_fd() < 3 {
            std::mem::forget(null);
        }
    }
}
