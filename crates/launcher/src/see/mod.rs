//! Seeing what an event loop does: `--audit`, `-c`, `-t`, `--timeline`, `--report`. The library records each process of the program in a
//! file (`layout` in `crates/facts`), and the reporter, a process of its own, reads that.
//!
//! | module | content |
//! |---|---|
//! | `wishes` | what the command line wants |
//! | `chaos` | `--chaos`: waits that end otherwise than usual |
//! | `launch` | what the program is started with |
//! | `parent` | the launcher as the program's parent |
//! | `spawn` | the reporter's process |
//! | `directory` | the directory of the records |
//! | `reporter` | follows all processes to their end |
//! | `followed` | one process |
//! | `record` | its record, for reading |
//! | `mapper` | which process that is |
//! | `audit` | what is shown, and when; the sums |
//! | `site` | names of places in the program |
//! | `wording` | findings in words |
//! | `suppress` | findings that are not to be shown |
//! | `output` | where findings are shown; in which form: `text`, `json`, `sarif` |
//! | `strace` | the audit of a text of strace(1) |
//! | `summary` | the counts of `-c` |
//! | `stream` | what takes the facts |
//! | `peers` | descriptors in words |
//! | `history` | what happened, in bounded memory |
//! | `trace` | the calls as strace prints them |
//! | `why` | a running process that was not prepared: `--why`, `--counts` |
//! | `timeline`, `report` | the history as a trace and as a page |

mod audit;
pub mod chaos;
mod directory;
mod followed;
mod history;
mod json;
pub mod launch;
mod mapper;
mod object;
mod output;
pub mod parent;
mod peers;
mod record;
mod report;
mod reporter;
mod sarif;
mod site;
mod spawn;
pub mod strace;
mod stream;
mod summary;
mod suppress;
#[cfg(test)]
mod synthetic;
mod text;
mod timeline;
mod trace;
pub mod why;
mod wishes;
mod wording;
mod words;

pub use wishes::{FORMATS, Format, Seeing, Style};
