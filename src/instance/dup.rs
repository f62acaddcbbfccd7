//! Duplicates of descriptors (dup, dup2, dup3, F_DUPFD): the duplicate names the same description
//! (D2, D6).

use libc::c_int;
use nix::errno::Errno;

use crate::backend::hold;
use crate::graph::fdtable;
use crate::graph::internal_fd;
use crate::graph::lookup::{enter, is_internal, known};
use crate::instance::close;
use crate::instance::naming::file_of;
use crate::lock;
use crate::sys;

/// Frees the number that a dup2 asks for: an internal descriptor under it moves to another number.
/// When this returns, no thread sleeps on the number, or is about to use it.
pub fn make_way(fd: c_int) {
    /// A thread that has not responded by then is held up by a signal handler.
    const NAPS: u32 = 500;
    if !is_internal(fd) {
        return;
    }
    if let Some(owner) = internal_fd::move_from(fd) {
        hold::evict_threads();
        owner.await_users(NAPS);
    }
    fdtable::clear(fd);
}

/// Makes sure, before the call, that a duplicate of `old` can be entered. ENOMEM if it cannot.
/// `new` is the number of the duplicate, if it is known yet; if not, [`duplicated`] may still find
/// no memory for it in the table.
pub fn expect_duplicate(old: c_int, new: Option<c_int>) -> Result<(), Errno> {
    if is_internal(old) || lock::interrupted() || (known(old).is_none() && !sys::is_open(old)) {
        return Ok(());
    }
    match file_of(old) {
        Ok(file) => {
            if let Some(Err(Errno::ENOMEM)) = new.map(fdtable::expect) {
                return Err(Errno::ENOMEM);
            }
            file.graph().numbers.reserve()
        }
        Err(Errno::ENOMEM) => Err(Errno::ENOMEM),
        // A number that cannot be watched needs no place.
        Err(_) => Ok(()),
    }
}

/// Enters, after the call, `new` as a number of the description of `old`. Its earlier description
/// must have been forgotten. ENOMEM if the number cannot be entered.
pub fn duplicated(old: c_int, new: c_int) -> Result<(), Errno> {
    if old == new || is_internal(old) || lock::interrupted() {
        return Ok(());
    }
    // The number was free, so if it still has a description here, its close was not seen.
    close::forget(new);
    match file_of(old).and_then(|file| enter(file, new)) {
        Err(Errno::ENOMEM) => Err(Errno::ENOMEM),
        // A number beyond the table stays unknown.
        _ => Ok(()),
    }
}
