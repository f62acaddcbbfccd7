//! The record of a file that shows a change to a single poll (`probe/fleeting.rs`).

use super::File;
use crate::events::Bits;
use crate::sync::atomic::Ordering::SeqCst;

/// The view of a file with levels that a look takes away. The word `tally` contains the levels that
/// a look took and that were not reported since.
#[derive(Clone, Copy, Debug)]
pub struct Fleeting<'a>(&'a File);

impl File {
    /// The file as one with levels that a look takes away, if it is one.
    #[inline]
    pub fn fleeting(&self) -> Option<Fleeting<'_>> {
        (self.kind().fleeting() != 0).then_some(Fleeting(self))
    }
}

impl Fleeting<'_> {
    /// Keeps levels that a look has taken.
    pub fn keep(self, levels: Bits) {
        self.0.tally.fetch_or(levels.into(), SeqCst);
    }

    /// The levels that are kept.
    pub fn kept(self) -> Bits {
        self.0.tally.load(SeqCst) as Bits
    }

    /// Takes the levels that are kept.
    pub fn take_kept(self) -> Bits {
        self.0.tally.swap(0, SeqCst) as Bits
    }
}
