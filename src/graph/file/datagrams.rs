//! The file of a datagram socket: the empty datagrams that a count has stepped over.

use super::File;
use crate::kind::Arrivals;
use crate::sync::atomic::Ordering::SeqCst;

/// The view of a socket whose datagrams are counted one by one. The word `tally` is the number of
/// empty datagrams in the queue that a count has stepped over, and that it will not see again.
#[derive(Clone, Copy, Debug)]
pub struct Datagrams<'a>(&'a File);

impl File {
    /// The file as a socket whose datagrams are counted one by one, if it is one.
    #[inline]
    pub fn datagrams(&self) -> Option<Datagrams<'_>> {
        (self.kind().arrivals() == Arrivals::Datagrams).then_some(Datagrams(self))
    }
}

impl Datagrams<'_> {
    /// The number of empty datagrams that a count has seen and that are still queued.
    pub fn empties(self) -> u32 {
        self.0.tally.load(SeqCst)
    }

    /// Records that a count saw an empty datagram.
    pub fn saw_empty(self) {
        self.0.tally.fetch_add(1, SeqCst);
    }

    /// Records that empty datagrams were taken. Forgets only those that a count has seen.
    pub fn took_empty(self, number: u64) {
        let number = u32::try_from(number).unwrap_or(u32::MAX);
        let taken = |seen: u32| (seen > 0).then(|| seen.saturating_sub(number));
        let _ = self.0.tally.fetch_update(SeqCst, SeqCst, taken);
    }
}
