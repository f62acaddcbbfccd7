//! Counters of the descriptions with edge-triggered registrations, which a transfer call checks
//! first.

use crate::sync::atomic::AtomicU32;
use crate::sync::atomic::Ordering::{Relaxed, SeqCst};

use super::File;
use crate::kind::Kind;

/// The most descriptions of one inode that are found.
pub const MOST_ENDS: usize = 8;

/// The number of descriptions with edge-triggered registrations.
static WITH_EDGES: AtomicU32 = AtomicU32::new(0);
/// How often a description got the first one of its own.
#[unsafe(link_section = ".data.wait")]
static BEGUN: AtomicU32 = AtomicU32::new(0);
/// The number of pipes among them.
static PIPES_WITH_EDGES: AtomicU32 = AtomicU32::new(0);
/// The number of FIFOs among them.
static FIFOS_WITH_EDGES: AtomicU32 = AtomicU32::new(0);
/// The number of signalfds among them.
static SIGNALFDS_WITH_EDGES: AtomicU32 = AtomicU32::new(0);

impl File {
    /// Whether a hook has a registration to report to.
    #[inline]
    pub fn has_edges(&self) -> bool {
        self.edges.load(Relaxed) != 0
    }

    /// As long as this number stays the same, no description without edge-triggered registrations
    /// gets one.
    #[inline]
    pub fn edges_begun() -> u32 {
        BEGUN.load(SeqCst)
    }

    /// Whether a registration other than this one waits for edges of the description.
    #[inline]
    pub fn has_other_edges(&self, tracked: bool) -> bool {
        self.edges.load(Relaxed) > u32::from(tracked)
    }

    /// Counts edge-triggered registrations. The kind must be known.
    pub fn count_edges(&'static self, more: bool) {
        let change = |counter: &AtomicU32| match more {
            true => counter.fetch_add(1, SeqCst),
            false => counter.fetch_sub(1, SeqCst).wrapping_sub(1),
        };
        if change(&self.edges) == 0 {
            if more {
                BEGUN.fetch_add(1, SeqCst);
            }
            change(&WITH_EDGES);
            // From here on hooks see reads, or no longer see them.
            self.forget_position();
            match self.kind() {
                Kind::Pipe => _ = change(&PIPES_WITH_EDGES),
                Kind::Fifo => {
                    change(&PIPES_WITH_EDGES);
                    change(&FIFOS_WITH_EDGES);
                }
                Kind::Signalfd => _ = change(&SIGNALFDS_WITH_EDGES),
                _ => {}
            }
            self.index();
        }
    }

    /// Whether a registration waits for edges of a pipe.
    #[inline]
    pub fn any_pipe_edges() -> bool {
        PIPES_WITH_EDGES.load(Relaxed) != 0
    }

    /// Whether a registration waits for edges of a FIFO.
    #[inline]
    pub fn any_fifo_edges() -> bool {
        FIFOS_WITH_EDGES.load(Relaxed) != 0
    }

    /// Whether a registration waits for edges of a signalfd.
    #[inline]
    pub fn any_signal_edges() -> bool {
        SIGNALFDS_WITH_EDGES.load(Relaxed) != 0
    }

    /// Whether a registration waits for edges of any description.
    #[inline]
    pub fn any_edges() -> bool {
        WITH_EDGES.load(Relaxed) != 0
    }
}
