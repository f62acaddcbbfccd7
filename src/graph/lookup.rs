//! Lookups of a number in the calling thread, and the entry of a number for a description.

use libc::c_int;
use nix::errno::Errno;

use crate::graph::fdtable::{self, Entry};
use crate::graph::file::{File, Graph};
use crate::graph::own_table;
use crate::lock;

/// Returns the description with this number; `None` for unwatched and internal numbers.
#[inline]
pub fn known(fd: c_int) -> Option<&'static File> {
    match fdtable::get(fd)? {
        Entry::File(file) if !own_table::is_unshared() => Some(file),
        _ => None,
    }
}

/// Whether the number is that of an internal descriptor.
#[inline]
pub fn is_internal(fd: c_int) -> bool {
    matches!(fdtable::get(fd), Some(Entry::Internal)) && !own_table::is_unshared()
}

/// Enters a number for a description. ENOSPC beyond the table, ENOMEM without memory.
pub fn enter(file: &'static File, fd: c_int) -> Result<(), Errno> {
    enter_if(file, fd, |_| true)
}

/// Like `enter`, if the description is the right one. EBADF otherwise.
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

/// Like `enter`, for a number that has no entry. EEXIST if another thread has entered it meanwhile.
pub fn enter_first(file: &'static File, fd: c_int) -> Result<(), Errno> {
    let mut graph = file.graph();
    graph.numbers.reserve()?;
    fdtable::set_first(fd, file)?;
    graph.numbers.push(fd);
    Ok(())
}

/// Whether the library follows calls of this thread at this moment: their numbers are those of the
/// graph, and the graph's locks can be taken.
pub fn follows_calls() -> bool {
    !lock::interrupted() && !own_table::is_borrowed()
}
