//! The file of a datagram socket: the empty datagrams that a count has stepped over, and corked
//! data.

use super::{CORKED, File};
use crate::kind::{Arrivals, Kind};
use crate::sync::atomic::Ordering::{Relaxed, SeqCst};

/// The file of a socket whose datagrams are counted one by one. The word `tally` is the number of
/// empty datagrams in the queue that a count has stepped over: it will not see them again.
#[derive(Clone, Copy, Debug)]
pub struct Datagrams<'a>(&'a File);

/// The file of a UDP socket.
#[derive(Clone, Copy, Debug)]
pub struct Udp<'a>(&'a File);

impl File {
    /// The file as a socket whose datagrams are counted one by one, if it is one.
    #[inline]
    pub fn datagrams(&self) -> Option<Datagrams<'_>> {
        (self.kind().arrivals() == Arrivals::Datagrams).then_some(Datagrams(self))
    }

    /// The file as a UDP socket, if it is one.
    #[inline]
    pub fn udp(&self) -> Option<Udp<'_>> {
        (self.kind() == Kind::Udp).then_some(Udp(self))
    }
}

impl Datagrams<'_> {
    /// Empty datagrams that a count has seen and nobody has taken yet.
    pub fn empties(self) -> u32 {
        self.0.tally.load(SeqCst)
    }

    /// A count saw an empty datagram.
    pub fn saw_empty(self) {
        self.0.tally.fetch_add(1, SeqCst);
    }

    /// Empty datagrams were taken. Only those that a count has seen are forgotten.
    pub fn took_empty(self, number: u64) {
        let number = u32::try_from(number).unwrap_or(u32::MAX);
        let taken = |seen: u32| (seen > 0).then(|| seen.saturating_sub(number));
        let _ = self.0.tally.fetch_update(SeqCst, SeqCst, taken);
    }
}

impl Udp<'_> {
    /// Whether data that was spliced into the socket is corked there until more comes.
    #[inline]
    pub fn is_corked(self) -> bool {
        self.0.flags.load(Relaxed) & CORKED != 0
    }

    /// Notes whether data is corked.
    pub fn note_corked(self, corked: bool) {
        self.0.set_flag(CORKED, corked);
    }
}
