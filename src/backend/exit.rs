//! The exit of a thread ends the requests of its rings, even if the thread is killed: the files
//! that they hold are released by the time that the process can be waited for, as with the kernel's
//! epoll (D4).
//!
//! By itself the kernel cancels them from a work queue, some milliseconds later. But the exiting
//! thread, before it closes its descriptors, cancels requests that poll another ring, and then runs
//! the requests that are linked to them. So each ring has a poll request on a second ring of the
//! thread, its *anchor*, which never completes. Linked to that request are a poll of the *gate* and
//! the cancellation of all other requests. The time that this takes grows with the square of their
//! number. So when there are many requests the gate is closed, and each file whose release a
//! program may wait for gets a link of its own. After the first of those links the gate stays
//! closed, because cancelling a link would cancel its request.

use libc::c_int;
use nix::errno::Errno;

use super::request::data_of;
use crate::events::PRI;
use crate::graph::epitem::Epitem;
use crate::graph::epstate::Held;
use crate::graph::eventpoll::descriptor;
use crate::graph::ring_state::{Exit, Uring};
use crate::graph::waitq::Sleeper;
use crate::io_uring::{self, Ring};
use crate::kind::Kind;
use crate::sync::atomic::AtomicI32;
use crate::sys;

/// The user data of the request that exists while the gate is open.
pub(super) const GATE: u64 = 2;
/// Set in the user data of a registration's own link, in addition to its address.
pub(super) const LINK: u64 = 4;
/// The most requests that are cancelled one by one, which takes at most a millisecond.
pub(super) const FEW: usize = 512;

const _: () = assert!(align_of::<Epitem>() > LINK as usize);

/// Links the cancellation of all requests of the ring to the anchor of `own`. This is the first
/// request of the ring.
pub(super) fn prepare(ring: &mut Ring, fd: &AtomicI32, own: &'static Sleeper) -> Result<Exit, Errno> {
    ring.cancel_at_exit(fd, anchor(own)?, GATE)?;
    Ok(Exit { gate: -1, has_links: false })
}

/// The ring that the thread's other rings poll, created at the first use.
fn anchor(own: &'static Sleeper) -> Result<c_int, Errno> {
    if own.anchor.is_there() {
        return Ok(own.anchor.number());
    }
    own.anchor.adopt(sys::io_uring_setup(1, &mut io_uring::no_params())?)
}

/// Whether a program may wait for the release of a file of this kind: for a port, a name, a lock or
/// a terminal. For a connection or a pipe, the other end merely sees the end some milliseconds
/// late.
const fn is_awaited(kind: Kind) -> bool {
    use Kind::{Eventfd, EventfdSemaphore, Inotify, Pidfd, Pipe, Signalfd, Tcp, Timerfd, UnixSeqpacket, UnixStream};
    let is_private = matches!(kind, Eventfd | EventfdSemaphore | Inotify | Pidfd | Signalfd | Timerfd);
    !is_private && !matches!(kind, Pipe | Tcp | UnixSeqpacket | UnixStream)
}

/// Whether a program may wait for the release of a registration's description. Most files that are
/// private to a process share one inode, and need not be identified; nor need pipes, which have a
/// device of their own.
fn needs_link(item: &Epitem) -> bool {
    let has_inode = || sys::fstat(item.via()).is_ok_and(|stat| stat.st_mode & libc::S_IFMT != 0);
    item.file().is_some_and(|file| match file.kind() {
        Kind::Unidentified if file.is_marked_as_on(descriptor::device_of_pipes()) => false,
        Kind::Unidentified => has_inode() && is_awaited(file.identify(item.via())),
        kind => is_awaited(kind),
    })
}

impl Uring {
    /// Opens the gate while there are few requests, and closes it when there are many.
    pub(super) fn update_gate(&mut self, fd: &AtomicI32, held: &Held) {
        let is_open = self.exit.gate >= 0;
        let few = !self.exit.has_links && self.asked.len() <= if is_open { FEW } else { FEW / 2 };
        let gate = if few { self.owner.wake_fd().max(-1) } else { -1 };
        if gate == self.exit.gate {
            return;
        }
        if is_open {
            self.attempt(|ring| ring.cancel(fd, GATE));
        }
        if gate >= 0 {
            // EPOLLPRI never occurs on this descriptor.
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

    /// Gives a submitted request a link of its own if the gate is closed and the kind of its file
    /// needs one.
    pub(super) fn link_if_many(&mut self, fd: &AtomicI32, item: &'static Epitem, turn: u16) {
        if self.exit.gate < 0 && (self.exit.has_links || self.asked.len() > FEW / 2) {
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

    /// Cancels the link of a cancelled request, if it has one.
    pub(super) fn unlink(&mut self, fd: &AtomicI32, item: &'static Epitem, turn: u16) {
        if self.exit.has_links && needs_link(item) {
            self.attempt(|ring| ring.cancel(fd, data_of(item, turn) | LINK));
        }
    }
}
