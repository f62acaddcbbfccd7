//! The record of a readiness source: what is posted on it, and who uses its number (`api/source.rs`).

use super::File;
use super::ops::{FileOps, Look};
use crate::events::Bits;
use crate::graph::internal_fd;
use crate::kind::Kind;
use crate::sync::atomic::AtomicU32;
use crate::sync::atomic::Ordering::{Relaxed, SeqCst};

/// A source as a file.
pub(super) static SOURCE: FileOps = FileOps { look: look_at_source, on_watch: |_, _| Ok(()), is_instance: false };

fn look_at_source(file: &'static File, _in_turn: bool) -> Look {
    // The time first: a post after it is news after this look.
    let at = file.clock();
    Look { level: file.posted(), at: Some(at), is_uneasy: false }
}

impl File {
    /// Whether it is a source.
    #[inline]
    pub fn is_source(&self) -> bool {
        self.kind() == Kind::Source
    }

    /// Makes the description a readiness source, with nothing posted.
    pub fn become_source(&self) {
        self.kind.store(Kind::Source as u8, Relaxed);
    }

    /// The levels posted on a source.
    #[inline]
    pub fn posted(&self) -> Bits {
        self.outgoing.load(SeqCst) as Bits
    }

    /// Posts levels on a source; answers with those before.
    pub fn raise(&self, levels: Bits) -> Bits {
        self.outgoing.fetch_or(levels.into(), SeqCst) as Bits
    }

    /// How many look at a source, or change it, at this moment.
    pub fn users(&self) -> &AtomicU32 {
        &self.empties
    }

    /// Takes levels off a source; answers with those before.
    pub fn lower(&self, levels: Bits) -> Bits {
        self.outgoing.fetch_and(!u32::from(levels), SeqCst) as Bits
    }

    /// The number of a source is to be another's: waits until nobody uses it as the source's. Not
    /// under a lock.
    pub fn await_source_users(&self) {
        /// A thread that is not done by then is held up by a signal handler.
        const NAPS: u32 = 100;
        if self.is_source() {
            internal_fd::await_none(self.users(), NAPS);
        }
    }
}
