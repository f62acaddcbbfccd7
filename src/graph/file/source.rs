//! The record of a readiness source: the levels posted on it, and the calls that use its number
//! (`api/source.rs`).

use super::File;
use super::ops::{FileOps, Look};
use crate::events::Bits;
use crate::graph::internal_fd;
use crate::kind::Kind;
use crate::sync::atomic::AtomicU32;
use crate::sync::atomic::Ordering::SeqCst;

/// The operations of a source as a file.
pub(super) static SOURCE: FileOps = FileOps { look: look_at_source, on_watch: |_, _| Ok(()), is_instance: false };

fn look_at_source(file: &'static File, _in_turn: bool) -> Look {
    // The time is read first: a post after it is news after this look.
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

    /// Waits until no call uses the number of a source, which is about to become another file's.
    /// The caller holds no lock.
    pub fn await_source_users(&self) {
        /// If a thread takes longer than this, a signal handler holds it up.
        const NAPS: u32 = 100;
        if let Some(source) = self.source() {
            internal_fd::await_none(source.users(), NAPS);
        }
    }
}

/// The view of a source. The word `state` contains the posted levels, `tally` the number of calls
/// that use it at this moment.
#[derive(Clone, Copy, Debug)]
pub struct Source<'a>(&'a File);

impl<'a> Source<'a> {
    /// The posted levels.
    #[inline]
    pub fn posted(self) -> Bits {
        self.0.state.load(SeqCst) as Bits
    }

    /// Posts levels, and returns the previous ones.
    pub fn raise(self, levels: Bits) -> Bits {
        self.0.state.fetch_or(levels.into(), SeqCst) as Bits
    }

    /// Takes levels off, and returns the previous ones.
    pub fn lower(self, levels: Bits) -> Bits {
        self.0.state.fetch_and(!u32::from(levels), SeqCst) as Bits
    }

    /// The number of calls that look at it, or change it, at this moment.
    pub fn users(self) -> &'a AtomicU32 {
        &self.0.tally
    }
}
