//! `--chaos` and `--chaos-hunt`: waits that end otherwise than usual, and which of them matter. The
//! library perturbs (`src/see/chaos`), by the plans of `crates/chaos`.
//!
//! | module | content |
//! |---|---|
//! | `plan` | the argument of `--chaos` |
//! | `log` | what was perturbed |
//! | `session` | one run, with the launcher as the parent |
//! | `hunt` | many runs |
//! | `once` | one of them |
//! | `shrink` | the smallest set of decisions that makes the difference |

mod hunt;
mod log;
mod once;
mod plan;
mod session;
mod shrink;

use std::ffi::OsString;
use std::path::PathBuf;

pub use hunt::run as hunt;
pub use plan::check;
pub use session::Session;

/// What the command line wants of chaos.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Chaos {
    /// The argument of `--chaos`.
    pub plan: Option<OsString>,
    /// The file for the log.
    pub log: Option<OsString>,
    /// The argument of `--chaos-hunt`.
    pub runs: Option<OsString>,
    /// One run of a hunt, which writes its log here.
    pub scratch: Option<PathBuf>,
}

impl Chaos {
    /// Whether waits are to be perturbed.
    pub fn is_wanted(&self) -> bool {
        self.plan.is_some() || self.runs.is_some()
    }
}
