//! Which descriptors are ready, told by epoll or by a plain poll loop: the only thing in which the demo's runs differ.
//!
//! The epoll calls are libc's symbols, as in any C program, so the dynamic linker binds them to whatever was preloaded.

use std::fmt::Display;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::time::Duration;

/// After this long without an event something was lost: there is always a token or a message on its way.
const PATIENCE: Duration = Duration::from_secs(3);

/// As many events as one epoll_wait takes, and as event loops take them.
const BATCH: usize = 64;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trigger {
    Level,
    Edge,
}

pub trait Readiness: Sized {
    fn new() -> Result<Self, String>;

    /// Watches a descriptor for input. The key comes back when there is some, or when the other end is gone.
    fn watch(&mut self, fd: &impl AsRawFd, key: usize, trigger: Trigger) -> Result<(), String>;

    fn forget(&mut self, fd: &impl AsRawFd) -> Result<(), String>;

    /// Waits until something is ready, and replaces `ready` by the keys of what is. Fails when nothing comes for a long time.
    fn wait(&mut self, ready: &mut Vec<usize>) -> Result<(), String>;
}

/// An error as the sentence of a failure.
pub fn failed<E: Display>(what: &'static str) -> impl FnOnce(E) -> String {
    move |error| format!("{what}: {error}")
}

/// epoll, whoever provides it.
pub struct Epoll {
    fd: OwnedFd,
    events: [libc::epoll_event; BATCH],
}

impl Epoll {
    fn control(&self, operation: libc::c_int, fd: &impl AsRawFd, mut event: libc::epoll_event) -> Result<(), String> {
        // SAFETY: the event is valid for the call, and is not kept.
        let result = unsafe { libc::epoll_ctl(self.fd.as_raw_fd(), operation, fd.as_raw_fd(), &mut event) };
        checked(result).map_err(failed("epoll_ctl")).map(|_| ())
    }
}

impl Readiness for Epoll {
    fn new() -> Result<Self, String> {
        // SAFETY: no argument is a pointer.
        let fd = checked(unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) }).map_err(failed("epoll_create1"))?;
        Ok(Self {
            // SAFETY: the call has just made this descriptor for us.
            fd: unsafe { OwnedFd::from_raw_fd(fd) },
            events: [libc::epoll_event { events: 0, u64: 0 }; BATCH],
        })
    }

    fn watch(&mut self, fd: &impl AsRawFd, key: usize, trigger: Trigger) -> Result<(), String> {
        let edge = match trigger {
            Trigger::Level => 0,
            Trigger::Edge => libc::EPOLLET,
        };
        let event = libc::epoll_event { events: (libc::EPOLLIN | libc::EPOLLRDHUP | edge) as u32, u64: key as u64 };
        self.control(libc::EPOLL_CTL_ADD, fd, event)
    }

    fn forget(&mut self, fd: &impl AsRawFd) -> Result<(), String> {
        let event = libc::epoll_event { events: 0, u64: 0 };
        self.control(libc::EPOLL_CTL_DEL, fd, event)
    }

    fn wait(&mut self, ready: &mut Vec<usize>) -> Result<(), String> {
        let (fd, patience) = (self.fd.as_raw_fd(), PATIENCE.as_millis() as libc::c_int);
        let count = retried(|| {
            // SAFETY: the buffer has room for as many events as the call is told.
            unsafe { libc::epoll_wait(fd, self.events.as_mut_ptr(), BATCH as _, patience) }
        });
        let count = some(count.map_err(failed("epoll_wait"))?)?;
        ready.clear();
        ready.extend(self.events[..count].iter().map(|event| event.u64 as usize));
        Ok(())
    }
}

/// A plain poll loop, as a program without epoll has it. It knows levels only.
pub struct Poll {
    set: Vec<libc::pollfd>,
    keys: Vec<usize>,
}

impl Readiness for Poll {
    fn new() -> Result<Self, String> {
        let (set, keys) = (Vec::new(), Vec::new());
        Ok(Self { set, keys })
    }

    fn watch(&mut self, fd: &impl AsRawFd, key: usize, _: Trigger) -> Result<(), String> {
        let (events, revents) = (libc::POLLIN | libc::POLLRDHUP, 0);
        let fd = fd.as_raw_fd();
        self.set.push(libc::pollfd { fd, events, revents });
        self.keys.push(key);
        Ok(())
    }

    fn forget(&mut self, fd: &impl AsRawFd) -> Result<(), String> {
        let fd = fd.as_raw_fd();
        let index = self.set.iter().position(|entry| entry.fd == fd);
        let index = index.ok_or("poll: the descriptor is not in the set")?;
        self.set.swap_remove(index);
        self.keys.swap_remove(index);
        Ok(())
    }

    fn wait(&mut self, ready: &mut Vec<usize>) -> Result<(), String> {
        let (length, patience) = (self.set.len(), PATIENCE.as_millis() as libc::c_int);
        let count = retried(|| {
            // SAFETY: the set has as many entries as the call is told.
            unsafe { libc::poll(self.set.as_mut_ptr(), length as _, patience) }
        });
        some(count.map_err(failed("poll"))?)?;
        ready.clear();
        let entries = self.set.iter().zip(&self.keys);
        ready.extend(entries.filter_map(|(entry, key)| (entry.revents != 0).then_some(*key)));
        Ok(())
    }
}

fn checked(result: libc::c_int) -> io::Result<libc::c_int> {
    match result {
        -1 => Err(io::Error::last_os_error()),
        result => Ok(result),
    }
}

fn retried(mut call: impl FnMut() -> libc::c_int) -> io::Result<libc::c_int> {
    loop {
        match checked(call()) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            other => return other,
        }
    }
}

fn some(count: libc::c_int) -> Result<usize, String> {
    match usize::try_from(count) {
        Ok(1..) => Ok(count as usize),
        _ => Err(format!("no event came in {} s", PATIENCE.as_secs())),
    }
}
