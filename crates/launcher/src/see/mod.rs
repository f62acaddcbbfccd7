//! Seeing what an event loop does: `--audit`. The library records each process of the program in a
//! file (`layout` in `crates/facts`), and the reporter, a process of its own, reads that.
//!
//! | module | content |
//! |---|---|
//! | `launch` | what the program is started with |
//! | `spawn` | the reporter's process |
//! | `directory` | the directory of the records |
//! | `reporter` | follows all processes to their end |
//! | `followed` | one process |
//! | `record` | its record, for reading |
//! | `audit` | what is shown, and when; the sums |
//! | `site` | names of places in the program |
//! | `wording` | findings in words |
//! | `text` | findings as text |
//! | `history` | what happened, in bounded memory |
//! | `timeline`, `report` | the history as a trace and as a page |

mod audit;
mod directory;
mod followed;
#[allow(dead_code)] // Until --timeline and --report are here.
mod history;
pub mod launch;
mod record;
#[allow(dead_code)]
mod report;
mod reporter;
mod site;
mod spawn;
#[cfg(test)]
mod synthetic;
mod text;
#[allow(dead_code)]
mod timeline;
mod wording;
mod words;
