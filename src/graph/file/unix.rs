//! The file of a unix socket: its peer, and the amount that the peer has left unread. Kernel
//! counterpart: `struct unix_sock`.

use super::File;
use crate::sync::atomic::Ordering::{Relaxed, SeqCst};

/// The other end of a unix socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Peer {
    /// Not looked up yet.
    Unknown,
    /// The connection was waiting to be accepted at the last look-up.
    Awaited,
    /// The peer existed at the last look-up, even if it had shut down.
    There,
    /// The peer was closed.
    Gone,
}

/// The view of a unix socket that sends data. The word `state` is the memory of its outgoing queue,
/// `peer` a [`Peer`].
#[doc(alias = "unix_sock")]
#[derive(Clone, Copy, Debug)]
pub struct Unix<'a>(&'a File);

impl File {
    /// The file as a unix socket that sends data, if it is one.
    #[inline]
    pub fn unix(&self) -> Option<Unix<'_>> {
        self.kind().is_unix_data().then_some(Unix(self))
    }
}

impl Unix<'_> {
    /// Records the memory of the outgoing queue, and returns the previous record.
    pub fn note_outgoing(self, memory: u32) -> u32 {
        self.0.state.swap(memory, SeqCst)
    }

    /// Whether the peer has left data unread, as far as known.
    #[inline]
    pub fn awaits_reads(self) -> bool {
        self.0.state.load(Relaxed) != 0
    }

    /// The state of the peer, as far as known.
    pub fn peer(self) -> Peer {
        match self.0.peer.load(Relaxed) {
            1 => Peer::Awaited,
            2 => Peer::There,
            3 => Peer::Gone,
            _ => Peer::Unknown,
        }
    }

    /// Records the state of the peer.
    pub fn set_peer(self, peer: Peer) {
        self.0.peer.store(peer as u8, Relaxed);
    }
}
