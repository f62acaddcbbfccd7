//! Finds the open file that a number names. A number may be closed and reused by a call that no
//! hook sees, so the result is checked. Kernel counterpart: `fdget`, which needs no check.

use libc::{c_int, stat};
use nix::errno::Errno;

use crate::graph::file::File;
use crate::graph::inherited;
use crate::graph::lookup::{enter_first, is_internal, known};
use crate::graph::own_table;
use crate::instance::close;
use crate::lock;
use crate::sys;

/// The description of an open number. Enters it if it is not known.
#[doc(alias = "fdget")]
pub fn file_of(fd: c_int) -> Result<&'static File, Errno> {
    loop {
        if let Some(file) = known(fd) {
            return Ok(file);
        }
        let file = File::create()?;
        match enter_first(file, fd) {
            Ok(()) => return note_twins(file, fd).map(|()| file),
            Err(errno) => {
                file.retire();
                if is_internal(fd) {
                    return Err(Errno::EBADF);
                }
                if errno != Errno::EEXIST {
                    return Err(errno);
                }
            }
        }
    }
}

/// Enters the other numbers of the description that were open when the process started.
fn note_twins(file: &'static File, fd: c_int) -> Result<(), Errno> {
    inherited::other_numbers(fd).try_for_each(|twin| match enter_first(file, twin) {
        Err(Errno::EEXIST) => Ok(()),
        entered => entered,
    })
}

/// Compares the file that is open under a number with the known one, and forgets the number if it
/// was closed and reused unseen. Stores the identity at the first call. True if the number names
/// the same socket or pipe as when it was registered.
pub fn verify(fd: c_int, stat: &stat) -> bool {
    let Some(file) = known(fd) else { return false };
    if own_table::is_borrowed() {
        // A vfork child may have put another file under the number, but not in the parent.
        return false;
    }
    let identity = (stat.st_dev, stat.st_ino);
    let graph = file.graph();
    if !file.is_marked() {
        file.mark(identity);
        return false;
    }
    if !file.is_marked_as(identity) || !(graph.is_unwatched() || file.is_of_kind(fd, stat)) {
        drop(graph);
        if let Some(file) = known(fd) {
            close::forget_unseen(file, file.graph(), fd);
        }
        return false;
    }
    matches!(stat.st_mode & libc::S_IFMT, libc::S_IFSOCK | libc::S_IFIFO)
}

/// Whether a number still names its instance. It is forgotten if it was closed unseen and names
/// another file now.
#[cold]
pub fn is_instance(fd: c_int) -> bool {
    if lock::interrupted() {
        return true;
    }
    let stat = sys::fstat(fd);
    if let Ok(stat) = &stat {
        verify(fd, stat);
    }
    known(fd).is_some_and(|file| {
        let is_other = |stat: &stat| file.is_marked() && !file.is_marked_as((stat.st_dev, stat.st_ino));
        file.eventpoll().is_some() && !stat.as_ref().is_ok_and(is_other)
    })
}
