//! Space to write: whether a write or a poll has met a full buffer, so that the kernel wakes the
//! waiters once there is space again. Kernel counterpart: SOCK_NOSPACE (`sk_write_space`), and the
//! full ring of a pipe.
//!
//! The state changes with these events:
//!
//! - A write gets EAGAIN or is cut short ([`File::space_refused`]). TCP and pipes: no space. Unix
//!   datagrams: no space if the peer's full queue refused them. Others: space.
//! - A report finds EPOLLOUT low ([`File::space_lacking`]). TCP: no space, as `tcp_poll` sets
//!   SOCK_NOSPACE. Others: no change.
//! - A look for outer instances finds EPOLLOUT low. Pipes: no space. Others: no change.
//! - A look finds EPOLLOUT high ([`File::space_found`]). Pipes: no change. Others: space, and if
//!   there had been none, SPACE_FREED is reported.
//! - The peer reads, or a write is about to begin and EPOLLOUT is high ([`File::space_freed`]):
//!   space, and SPACE_FREED is reported.
//! - Every waiter is woken ([`File::space_rechecked`]). Pipes: no change. Others: as EPOLLOUT is.
//!
//! A pipe stays without space until the next write: a look that finds some is not the wake-up of
//! the other waiters. The looks that lead to these events are in `probe/observe.rs`.

use libc::c_int;

use super::{File, NO_SPACE};
use crate::edge::Facts;
use crate::events::WRITABLE;
use crate::kind::Kind;
use crate::sync::atomic::Ordering::Relaxed;
use crate::sys;

/// The purpose of a look that found no space to write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SpaceLook {
    /// A poll for a report, which the kernel would make as well.
    Report,
    /// A look on behalf of outer instances, which the kernel may not make.
    Outer,
}

impl File {
    /// Whether there was no space when the state was last seen.
    #[doc(alias = "SOCK_NOSPACE")]
    pub fn has_no_space(&self) -> bool {
        self.flags.load(Relaxed) & NO_SPACE != 0
    }

    /// Whether the full queue of a unix datagram socket's peer refused a write: the peer's next
    /// read then wakes this end, whether or not this end has space of its own.
    pub fn has_full_peer(&self) -> bool {
        self.kind() == Kind::UnixDgram && self.has_no_space()
    }

    /// A write got EAGAIN or was cut short, by the peer's full queue or by this end's.
    pub fn space_refused(&self, by_peer: bool) {
        self.set_flag(NO_SPACE, self.kind() == Kind::Tcp || self.kind().is_pipe() || by_peer);
    }

    /// A poll found the writable level low.
    pub fn space_lacking(&self, look: SpaceLook) {
        let sets = match look {
            SpaceLook::Report => self.kind() == Kind::Tcp,
            SpaceLook::Outer => self.kind().is_pipe(),
        };
        if sets {
            self.set_flag(NO_SPACE, true);
        }
    }

    /// Handles a poll that found the writable level high. If there was no space before, the event
    /// that freed it woke every waiter. The first look to find it reports that, because the space
    /// may be gone when the others look. `tracked` is true if the look is one of the
    /// edge-triggered registrations.
    pub fn space_found(&'static self, tracked: bool) {
        if self.has_no_space() && !self.kind().is_pipe() && self.take_no_space() && self.has_other_edges(tracked) {
            self.tell(Facts::SPACE_FREED, self.begin_call());
        }
    }

    /// Space was freed, which woke every waiter.
    pub fn space_freed(&'static self) {
        self.set_flag(NO_SPACE, false);
        self.tell(Facts::SPACE_FREED, self.begin_call());
    }

    /// Handles a wake-up of every waiter, which covers space that was freed before it. True if a
    /// pipe is still full.
    pub fn space_rechecked(&self, fd: c_int) -> bool {
        if !self.has_no_space() {
            return false;
        }
        let is_full = sys::level(fd, WRITABLE) & WRITABLE == 0;
        if self.kind().is_pipe() {
            return is_full;
        }
        self.set_flag(NO_SPACE, is_full);
        false
    }

    /// Clears the state; true for one caller only.
    fn take_no_space(&self) -> bool {
        self.flags.fetch_and(!NO_SPACE, Relaxed) & NO_SPACE != 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(kind: Kind) -> &'static File {
        let file = File::create().expect("memory");
        file.kind.set(kind);
        file
    }

    #[test]
    fn refused_writes_set_it_where_the_kernel_does() {
        for (kind, by_peer, expected) in [
            (Kind::Tcp, false, true),
            (Kind::Pipe, false, true),
            (Kind::UnixDgram, false, false),
            (Kind::UnixDgram, true, true),
            (Kind::UnixStream, false, false),
        ] {
            let file = of(kind);
            file.space_refused(by_peer);
            assert_eq!((kind, file.has_no_space()), (kind, expected));
            assert_eq!(file.has_full_peer(), by_peer);
            file.retire();
        }
    }

    #[test]
    fn a_poll_that_finds_none_sets_it_for_connections_only() {
        for (kind, look, expected) in [
            (Kind::Tcp, SpaceLook::Report, true),
            (Kind::Tcp, SpaceLook::Outer, false),
            (Kind::Pipe, SpaceLook::Report, false),
            (Kind::Pipe, SpaceLook::Outer, true),
            (Kind::Udp, SpaceLook::Report, false),
        ] {
            let file = of(kind);
            file.space_lacking(look);
            assert_eq!((kind, look, file.has_no_space()), (kind, look, expected));
            file.retire();
        }
    }

    #[test]
    fn a_poll_that_finds_some_leaves_a_pipe_as_it_is() {
        for (kind, expected) in [(Kind::Tcp, false), (Kind::Pipe, true)] {
            let file = of(kind);
            file.space_refused(false);
            file.space_found(true);
            assert_eq!((kind, file.has_no_space()), (kind, expected));
            file.space_freed();
            assert!(!file.has_no_space());
            file.retire();
        }
    }
}
