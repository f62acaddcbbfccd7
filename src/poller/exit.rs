//! The end of a thread that has a ring ends the requests of the ring, also where the thread is
//! killed: what they hold is free when the process can be waited for, as it is where the kernel's
//! epoll has it (D4).
//!
//! By itself the kernel ends them some milliseconds later, from a work queue. But a request on a
//! ring it cancels in the thread that exits, before that lets go of its descriptors, and goes on
//! with what is linked to it. So a ring has a request on another one, the thread's *anchor*, which
//! never completes. Linked to it are a look at the *gate*, and the cancellation of everything else.
//! That takes a time that grows with the square of their number: where they are many the gate is
//! closed, and those whose release somebody may wait for get a link of their own each.

use libc::c_int;
use nix::errno::Errno;

use super::request::data_of;
use super::ring::{Params, Ring};
use super::uring::Uring;
use crate::descriptors;
use crate::epitem::Epitem;
use crate::epstate::Held;
use crate::events::PRI;
use crate::kind::Kind;
use crate::sync::atomic::AtomicI32;
use crate::sync::atomic::Ordering::Relaxed;
use crate::sys;
use crate::waitq::Sleeper;

/// The user data of the request that is there while the gate is open.
pub(super) const GATE: u64 = 2;
/// What a registration's user data has beside its address in its own link.
pub(super) const LINK: u64 = 4;
/// The most requests that are ended one by one, which takes a millisecond at worst.
pub(super) const FEW: usize = 512;

const _: () = assert!(align_of::<Epitem>() > LINK as usize);

/// What a ring has for the end of its thread.
#[derive(Debug)]
pub(super) struct Exit {
    /// The number that is polled in the gate; -1 while it is closed.
    gate: c_int,
    /// Whether there ever were registrations with a link of their own.
    has_links: bool,
}

impl Exit {
    /// Links the end of all requests of the ring to the anchor of `own`. The first thing that is
    /// asked of the ring.
    pub(super) fn prepare(ring: &mut Ring, fd: &AtomicI32, own: &Sleeper) -> Result<Exit, Errno> {
        ring.cancel_at_exit(fd, anchor(own)?, GATE)?;
        Ok(Exit { gate: -1, has_links: false })
    }
}

/// The ring that the thread's other rings have a request on, made at the first use.
fn anchor(own: &Sleeper) -> Result<c_int, Errno> {
    match own.anchor.load(Relaxed) {
        number @ 0.. => Ok(number),
        _ => descriptors::adopt_internal(sys::io_uring_setup(1, &mut Params::default())?, &own.anchor),
    }
}

/// Whether somebody may wait for the release of what it is: for a port, a name, a lock, or the end
/// of what comes once. On the other side of a connection or a pipe there is nobody who would know.
const fn is_awaited(kind: Kind) -> bool {
    use Kind::{Eventfd, EventfdSemaphore, Inotify, Pidfd, Pipe, Signalfd, Tcp, Timerfd, UnixSeqpacket, UnixStream};
    let is_private = matches!(kind, Eventfd | EventfdSemaphore | Inotify | Pidfd | Signalfd | Timerfd);
    !is_private && !matches!(kind, Pipe | Tcp | UnixSeqpacket | UnixStream)
}

/// Whether a registration's description is awaited. Most of what is private to a process shares one
/// inode, and need not be told apart.
fn needs_link(item: &Epitem) -> bool {
    let has_inode = || sys::fstat(item.via()).is_ok_and(|stat| stat.st_mode & libc::S_IFMT != 0);
    item.file().is_some_and(|file| match file.kind() {
        Kind::Unidentified => has_inode() && is_awaited(file.identify(item.via())),
        kind => is_awaited(kind),
    })
}

impl Uring {
    /// Opens the gate while there are few requests, and closes it when they become many.
    pub(super) fn mind_gate(&mut self, fd: &AtomicI32, held: &Held) {
        let is_open = self.exit.gate >= 0;
        let few = self.asked.len() <= if is_open { FEW } else { FEW / 2 };
        let gate = if few { self.owner.wake_fd().max(-1) } else { -1 };
        if gate == self.exit.gate {
            return;
        }
        if is_open {
            self.attempt(|ring| ring.cancel(fd, GATE));
        }
        if gate >= 0 {
            // Nothing ever has that.
            self.attempt(|ring| ring.poll_once(fd, gate, PRI, GATE));
        } else {
            for place in 0..self.asked.len() {
                let item = self.asked[place];
                if let Some(request) = item.at(held).request().filter(|request| request.lives.get()) {
                    self.link(fd, item, request.turn.get());
                }
            }
        }
        self.exit.gate = gate;
    }

    /// A request was made. Where the gate is closed it gets a link of its own, if it is to have
    /// one.
    pub(super) fn link_if_many(&mut self, fd: &AtomicI32, item: &'static Epitem, turn: u16) {
        if self.exit.gate < 0 && self.asked.len() > FEW / 2 {
            self.link(fd, item, turn);
        }
    }

    fn link(&mut self, fd: &AtomicI32, item: &'static Epitem, turn: u16) {
        if needs_link(item)
            && let Ok(anchor) = anchor(self.owner)
        {
            self.exit.has_links = true;
            let data = data_of(item, turn);
            self.attempt(|ring| ring.cancel_one_at_exit(fd, anchor, data, data | LINK));
        }
    }

    /// A request was cancelled: so is its link, if it has one.
    pub(super) fn unlink(&mut self, fd: &AtomicI32, item: &'static Epitem, turn: u16) {
        if self.exit.has_links && needs_link(item) {
            self.attempt(|ring| ring.cancel(fd, data_of(item, turn) | LINK));
        }
    }
}
