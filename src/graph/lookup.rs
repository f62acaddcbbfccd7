//! What a number names in the calling thread, and how a number is entered for a description.

use libc::c_int;
use nix::errno::Errno;

use crate::graph::fdtable::{self, Entry};
use crate::graph::file::{File, Graph};
use crate::graph::own_table;
use crate::lock;

/// The description known under the number; none for unwatched and internal ones.
#[inline]
pub fn known(fd: c_int) -> Option<&'static File> {
    match fdtable::get(fd)? {
        Entry::File(file) if !own_table::is_apart() => Some(file),
        _ => None,
    }
}

/// Whether the number is one of ours.
#[inline]
pub fn is_internal(fd: c_int) -> bool {
    matches!(fdtable::get(fd), Some(Entry::Internal)) && !own_table::is_apart()
}

/// Enters a number for a description. ENOSPC beyond the table, ENOMEM without memory.
pub fn enter(file: &'static File, fd: c_int) -> Result<(), Errno> {
    enter_if(file, fd, |_| true)
}

/// The same, if the description is what it is taken for. EBADF otherwise.
pub fn enter_if(file: &'static File, fd: c_int, is_right: impl FnOnce(&Graph) -> bool) -> Result<(), Errno> {
    let mut graph = file.graph();
    if !is_right(&graph) {
        return Err(Errno::EBADF);
    }
    graph.numbers.reserve()?;
    fdtable::set(fd, Entry::File(file))?;
    graph.numbers.push(fd);
    Ok(())
}

/// The same for a number that is not known. EEXIST if another thread made it known meanwhile.
pub fn enter_first(file: &'static File, fd: c_int) -> Result<(), Errno> {
    let mut graph = file.graph();
    graph.numbers.reserve()?;
    fdtable::set_first(fd, file)?;
    graph.numbers.push(fd);
    Ok(())
}

/// Whether calls of this thread, in this moment, are followed: they name what the graph does, and its locks can be taken.
pub fn follows_calls() -> bool {
    !lock::interrupted() && !own_table::is_borrowed()
}
