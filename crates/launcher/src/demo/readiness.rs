//! Which descriptors are ready, as epoll or poll reports it: the only thing in which the demo's
//! runs differ.
//!
//! The epoll calls are libc's symbols, as in any C program, so the dynamic linker binds them to the
//! library if that is preloaded.

use nix::errno::Errno;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

/// In milliseconds. There is always a message on its way, so after this long without an event one
/// was lost.
const PATIENCE: libc::c_int = 3000;

/// As many events as one epoll_wait takes, and as event loops take them.
const BATCH: usize = 64;

pub enum Readiness {
    Epoll(OwnedFd),
    /// A key is an index of the set.
    Poll(Vec<libc::pollfd>),
}

impl Readiness {
    pub fn epoll() -> Result<Self, String> {
        // SAFETY: no argument is a pointer.
        let fd = Errno::result(unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) });
        let fd = fd.map_err(|errno| format!("epoll_create1: {}", errno.desc()))?;
        // SAFETY: the call has just made this descriptor.
        Ok(Self::Epoll(unsafe { OwnedFd::from_raw_fd(fd) }))
    }

    /// Watches a descriptor for input, level-triggered, and edge-triggered if epoll is asked to.
    /// Keys count up from 0.
    pub fn watch(&mut self, fd: &impl AsRawFd, key: usize, edge: bool) -> Result<(), String> {
        match self {
            Self::Epoll(epoll) => {
                let events = libc::EPOLLIN | if edge { libc::EPOLLET } else { 0 };
                let mut event = libc::epoll_event { events: events as u32, u64: key as u64 };
                // SAFETY: the event is valid for the call, and is not kept.
                let result =
                    unsafe { libc::epoll_ctl(epoll.as_raw_fd(), libc::EPOLL_CTL_ADD, fd.as_raw_fd(), &raw mut event) };
                Errno::result(result).map_err(|errno| format!("epoll_ctl: {}", errno.desc()))?;
            }
            Self::Poll(set) => set.push(libc::pollfd { fd: fd.as_raw_fd(), events: libc::POLLIN, revents: 0 }),
        }
        Ok(())
    }

    /// Forgets a descriptor that is about to be closed. epoll forgets it by itself.
    pub fn forget(&mut self, key: usize) {
        if let Self::Poll(set) = self {
            set[key].fd = -1;
        }
    }

    /// Waits until something is ready, and replaces `ready` by its keys.
    pub fn wait(&mut self, ready: &mut Vec<usize>) -> Result<(), String> {
        ready.clear();
        match self {
            Self::Epoll(epoll) => {
                let mut events = [libc::epoll_event { events: 0, u64: 0 }; BATCH];
                let count = retried(|| {
                    // SAFETY: the array has room for as many events as the call is told.
                    unsafe { libc::epoll_wait(epoll.as_raw_fd(), events.as_mut_ptr(), BATCH as _, PATIENCE) }
                })?;
                ready.extend(events[..count].iter().map(|event| event.u64 as usize));
            }
            Self::Poll(set) => {
                retried(|| {
                    // SAFETY: the set has as many entries as the call is told.
                    unsafe { libc::poll(set.as_mut_ptr(), set.len() as _, PATIENCE) }
                })?;
                ready.extend(set.iter().enumerate().filter_map(|(key, entry)| (entry.revents != 0).then_some(key)));
            }
        }
        Ok(())
    }
}

fn retried(mut wait: impl FnMut() -> libc::c_int) -> Result<usize, String> {
    loop {
        match Errno::result(wait()) {
            Err(Errno::EINTR) => {}
            Err(errno) => return Err(format!("the wait failed: {}", errno.desc())),
            Ok(0) => return Err(format!("no event came in {} s", PATIENCE / 1000)),
            Ok(count) => return Ok(count as usize),
        }
    }
}
