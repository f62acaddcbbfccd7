//! The ranks of the locks, in the order in which threads acquire them. `docs/architecture.md`
//! explains each lock. `FORK_ORDER` in `life/process.rs` is the order in which a fork takes them,
//! which is the same.

use crate::lock::Rank;

/// The links between instances.
pub const LINKS: Rank = Rank::new(0);
/// The numbers and the registrations of one description.
pub const GRAPH: Rank = Rank::new(1);
/// The state of an instance. The lock of an inner instance may be taken while that of an outer one
/// is held.
pub const INSTANCE: Rank = Rank::new(2).nesting();
/// The notes that other threads leave for a watcher.
pub const MAIL: Rank = Rank::new(3);
/// The index of descriptions by inode.
pub const INDEX: Rank = Rank::new(4);
/// The marker of the process's descriptor table.
pub const MARKER: Rank = Rank::new(5);
/// The recorder of facts, which is taken alone.
#[cfg(feature = "see")]
pub const RECORDER: Rank = Rank::new(0);
