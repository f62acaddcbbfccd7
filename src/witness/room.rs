//! Room that a write to a TCP socket meets on its way: there was none, the peer acknowledged some, and the write went on. That wakes those who wait for room,
//! whether the rest of the write takes it up or not. It is so with a write that waits, and with pages, moved by sendfile(2) or splice(2): these the kernel hands
//! over 64 KB at a time, so that a smaller send buffer is full in the middle.

use libc::c_int;

use crate::edge::DEPARTED;
use crate::file::File;
use crate::kind::Kind;
use crate::sample::{self, SendBuffer};
use crate::sys;

/// What the kernel hands over at a time: a pipe of 16 pages.
const ROUND: u32 = 65_536;
/// Fewer bytes do not fill a buffer twice.
const FEW: usize = 4096;

/// A write that is yet to begin.
pub(super) struct Passage {
    file: &'static File,
    fd: c_int,
    before: SendBuffer,
}

impl Passage {
    /// None where a write does not wait for room.
    #[inline]
    pub fn begin(file: &'static File, fd: c_int) -> Option<Passage> {
        if file.kind() == Kind::Tcp && file.waits_for_room() { Passage::look(file, fd, |_| false) } else { None }
    }

    /// None where so many bytes of pages wake nobody on their way.
    #[inline]
    pub fn of_pages(file: &'static File, fd: c_int, asked: usize) -> Option<Passage> {
        if file.kind() != Kind::Tcp || asked < FEW {
            return None;
        }
        Passage::look(file, fd, |buffer| buffer.limit < ROUND)
    }

    #[cold]
    fn look(file: &'static File, fd: c_int, goes_on: fn(SendBuffer) -> bool) -> Option<Passage> {
        if file.waits_for_room() {
            // It may have been told otherwise by an ioctl.
            file.note_blocking(sys::fcntl(fd, libc::F_GETFL, 0).unwrap_or(0));
        }
        let before = sample::send_buffer(fd).filter(|&buffer| goes_on(buffer) || file.waits_for_room())?;
        Some(Passage { file, fd, before })
    }

    /// So many bytes were written.
    #[cold]
    pub fn tell(self, written: isize) {
        if written > 0
            && let Some(after) = sample::send_buffer(self.fd)
            && met_no_room(self.before, after, written as i64)
        {
            self.file.tell(DEPARTED, self.file.begin_call());
        }
    }
}

/// Whether more was written than there was room for, some of which was acknowledged meanwhile.
fn met_no_room(before: SendBuffer, after: SendBuffer, written: i64) -> bool {
    let [held, holds, limit] = [before.queued, after.queued, before.limit].map(i64::from);
    written > limit - held && written > holds - held
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_and_is_not_queued_was_acknowledged() {
        let buffer = |queued| SendBuffer { limit: 32_768, queued };
        assert!(met_no_room(buffer(0), buffer(48_448), 80_384));
        assert!(met_no_room(buffer(0), buffer(0), 40_000), "all of it was");
        assert!(!met_no_room(buffer(0), buffer(48_448), 47_616), "room was met once, and filled up");
        assert!(!met_no_room(buffer(20_000), buffer(0), 10_000), "there was room for it");
    }
}
