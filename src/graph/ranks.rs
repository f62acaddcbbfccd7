//! The ranks of the locks, from the first to be taken to the last. `docs/architecture.md` says why
//! each exists, `FORK_ORDER` in `life/process.rs` is the same order as a fork takes them.

use crate::lock::Rank;

/// The links between instances.
pub const LINKS: Rank = Rank::new(0);
/// The numbers and the registrations of one description.
pub const GRAPH: Rank = Rank::new(1);
/// What a wait works on. An outer instance's may be held when an inner one's is taken.
pub const INSTANCE: Rank = Rank::new(2).nesting();
/// What other threads leave to a watcher.
pub const MAIL: Rank = Rank::new(3);
/// The index of descriptions by inode.
pub const INDEX: Rank = Rank::new(4);
/// The marker of the process's descriptor table.
pub const MARKER: Rank = Rank::new(5);
