//! The record of a readiness source: what is posted on it, and who uses its number
//! (`api/source.rs`).

use super::File;
use super::ops::{FileOps, Look};
use crate::events::Bits;
use crate::graph::internal_fd;
use crate::kind::Kind;
use crate::sync::atomic::AtomicU32;
use crate::sync::atomic::Ordering::SeqCst;

/// A source as a file.
pub(super) static SOURCE: FileOps = FileOps { look: look_at_source, on_watch: |_, _| Ok(()), is_instance: false };

fn look_at_source(file: &'static File, _in_turn: bool) -> Look {
    // The time first: a post after it is news after this look.
    let at = file.clock();
    Look { level: Source(file).posted(), at: Some(at), needs_resample: false }
}

impl File {
    /// Whether it is a source.
    #[inline]
    pub fn is_source(&self) -> bool {
        self.kind() == Kind::Source
    }

    /// Makes the description a readiness source, with nothing posted.
    pub fn become_source(&self) {
        self.kind.set(Kind::Source);
    }

    /// The file as a source, if it is one.
    #[inline]
    pub fn source(&self) -> Option<Source<'_>> {
        self.is_source().then_some(Source(self))
    }

    /// The number of a source is to be another's: waits until no call uses it as the source's. Not
    /// under a lock.
    pub fn await_source_users(&self) {
        /// A thread that is not done by then is held up by a signal handler.
        const NAPS: u32 = 100;
        if let Some(source) = self.source() {
            internal_fd::await_none(source.users(), NAPS);
        }
    }
}

/// The file of a source. The word `state` is the levels that are posted, `tally` the number of
/// calls that use it at this moment.
#[derive(Clone, Copy, Debug)]
pub struct Source<'a>(&'a File);

impl<'a> Source<'a> {
    /// The levels that are posted.
    #[inline]
    pub fn posted(self) -> Bits {
        self.0.state.load(SeqCst) as Bits
    }

    /// Posts levels; returns those before.
    pub fn raise(self, levels: Bits) -> Bits {
        self.0.state.fetch_or(levels.into(), SeqCst) as Bits
    }

    /// Takes levels off; returns those before.
    pub fn lower(self, levels: Bits) -> Bits {
        self.0.state.fetch_and(!u32::from(levels), SeqCst) as Bits
    }

    /// How many calls look at it, or change it, at this moment.
    pub fn users(self) -> &'a AtomicU32 {
        &self.0.tally
    }
}
