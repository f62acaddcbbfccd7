//! The file of an eventfd: the calls that add to it. Kernel counterpart: `struct eventfd_ctx`.

use super::{ADDED_UNSEEN, File};
use crate::INTERPOSES;
use crate::facts;
use crate::sync::atomic::Ordering::{Relaxed, SeqCst};

/// The view of an eventfd. The word `tally` is the number of calls that added to it, or may have.
#[doc(alias = "eventfd_ctx")]
#[derive(Clone, Copy, Debug)]
pub struct Eventfd<'a>(&'a File);

impl File {
    /// The file as an eventfd, if it is one.
    #[inline]
    pub fn eventfd(&self) -> Option<Eventfd<'_>> {
        self.kind().is_eventfd().then_some(Eventfd(self))
    }

    /// Whether the file is an eventfd to which another process or the kernel may add.
    #[inline]
    pub fn is_shared_eventfd(&self) -> bool {
        self.eventfd().is_some_and(|eventfd| facts::has_forked() || !INTERPOSES || eventfd.is_added_to_unseen())
    }
}

impl Eventfd<'_> {
    /// The number of calls that were seen to add to it, or may have.
    pub fn adds(self) -> u32 {
        self.0.tally.load(SeqCst)
    }

    /// Records that a call begins that adds to it.
    pub fn begin_add(self) {
        self.0.tally.fetch_add(1, SeqCst);
    }

    /// Whether it was found that something adds to it without a call that a hook sees.
    pub fn is_added_to_unseen(self) -> bool {
        self.0.flags.load(Relaxed) & ADDED_UNSEEN != 0
    }

    /// Records that something adds to it without a call that a hook sees.
    pub fn note_unseen_add(self) {
        self.0.flags.fetch_or(ADDED_UNSEEN, Relaxed);
    }
}
