//! The file of a TCP connection: the position of its readers in the stream, whether it has begun,
//! and whether its writes block. Its error queue is in `errors.rs`. Kernel counterpart: `struct
//! tcp_sock`.

use libc::c_int;

use super::{BLOCKS, File, PLACED, SHUT, URGENT};
use crate::kind::Kind;
use crate::sync::atomic::Ordering::{Relaxed, SeqCst};
use crate::tcp::{self, TcpState};

/// A value in place of a `Peer`: the connection begins with the first write (TCP_FASTOPEN_CONNECT),
/// or has begun and is not established yet.
const DEFER_CONNECT: u8 = 4;

/// The view of a TCP connection. The word `state` is that of its error queue, `peer` whether it is
/// put off.
#[doc(alias = "tcp_sock")]
#[derive(Clone, Copy, Debug)]
pub struct Tcp<'a>(pub(super) &'a File);

impl File {
    /// The file as a TCP connection, if it is one.
    #[inline]
    pub fn tcp(&self) -> Option<Tcp<'_>> {
        (self.kind() == Kind::Tcp).then_some(Tcp(self))
    }

    /// Forgets the position in the stream, because bytes were or will be taken without being
    /// counted.
    pub(super) fn forget_position(&self) {
        self.flags.fetch_and(!PLACED, SeqCst);
    }
}

impl Tcp<'_> {
    /// The number of bytes that were taken from the stream since its beginning; `None` if that is
    /// unknown. Too low if another process took some.
    pub fn position(self) -> Option<u64> {
        (self.0.flags.load(SeqCst) & (PLACED | URGENT) == PLACED).then(|| self.0.consumed())
    }

    /// Records the readers' position in the stream at the time when read-like calls of this process
    /// had taken `consumed` bytes.
    pub fn set_position(self, place: u64, consumed: u64) {
        if self.0.flags.fetch_or(PLACED, SeqCst) & PLACED == 0 {
            self.0.consume(place.wrapping_sub(consumed));
        }
    }

    /// Records that urgent data came: from here on the position in the stream is unknown.
    pub fn note_urgent(self) {
        self.0.flags.fetch_or(URGENT, SeqCst);
    }

    /// Forgets the position in the stream, because bytes were or will be taken without being
    /// counted.
    pub fn forget_position(self) {
        self.0.forget_position();
    }

    /// Whether the connection begins with the first write, as far as known.
    #[inline]
    pub fn defers_connect(self) -> bool {
        self.0.peer.load(Relaxed) == DEFER_CONNECT
    }

    /// Records whether the connection begins with the first write.
    pub fn set_defer_connect(self, defers_connect: bool) {
        self.0.peer.store(if defers_connect { DEFER_CONNECT } else { 0 }, Relaxed);
    }

    /// Handles a call that connects or disconnects, and led to this state: the shutdowns of an
    /// earlier connection are over, and its bytes do not count.
    pub fn begin_anew(self, state: Option<TcpState>) {
        self.forget_position();
        if matches!(state, Some(tcp::CLOSE | tcp::SYN_SENT | tcp::ESTABLISHED)) {
            self.0.flags.fetch_and(!SHUT, Relaxed);
        }
    }
    /// Whether a write blocks if there is no space, as far as known.
    #[inline]
    pub fn blocks(self) -> bool {
        self.0.flags.load(Relaxed) & BLOCKS != 0
    }

    /// Records the status flags (F_SETFL) of the description.
    pub fn note_status_flags(self, flags: c_int) {
        self.0.set_flag(BLOCKS, flags & libc::O_NONBLOCK == 0);
    }
}
