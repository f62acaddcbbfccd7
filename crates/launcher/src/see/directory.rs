//! The private directory of the records of a run.

use crate::failure::{Failure, name, reason};
use epolyfill_facts::layout;
use nix::unistd::mkdtemp;
use std::path::{Path, PathBuf};

/// The longest path that the library takes.
const MOST_PATH: usize = 200;

/// Makes a directory that only this user can enter: in $TMPDIR, or else in memory, or else in /tmp.
/// With the facts a record is large.
pub fn make(facts: bool) -> Result<PathBuf, Failure> {
    let given = std::env::var_os("TMPDIR").map(PathBuf::from).filter(|given| given.is_absolute());
    let candidates = given.into_iter().chain(["/dev/shm", "/tmp"].map(PathBuf::from));
    let mut last = None;
    for parent in candidates {
        if !has_room(&parent, facts) {
            continue;
        }
        match mkdtemp(&parent.join("epolyfill-XXXXXX")) {
            Ok(directory) if directory.as_os_str().len() <= MOST_PATH => return Ok(directory),
            Ok(directory) => remove(&directory),
            Err(errno) => last = Some((parent, errno)),
        }
    }
    Err(Failure::own(match last {
        Some((parent, errno)) => {
            format!("no directory for the records can be made in {}: {}; set TMPDIR", name(&parent), reason(errno))
        }
        None => "there is no room for the records in /dev/shm or /tmp; set TMPDIR".to_owned(),
    }))
}

/// Whether there is room for the records of some processes.
fn has_room(parent: &Path, facts: bool) -> bool {
    const RECORDS: u64 = 16;
    /// The ring of facts, as the library makes it.
    const FACTS: u64 = 8 << 20;
    let record = layout::RING as u64 + if facts { FACTS } else { 0 };
    let Ok(found) = nix::sys::statvfs::statvfs(parent) else {
        return true; // mkdtemp reports why.
    };
    found.blocks_available().saturating_mul(found.fragment_size()) >= RECORDS * record
}

/// Removes the directory with its records.
pub fn remove(directory: &Path) {
    // An empty one needs no descriptor, of which there may be none. What cannot be removed now will
    // not be removed later either.
    if std::fs::remove_dir(directory).is_err() {
        let _ = std::fs::remove_dir_all(directory);
    }
}
