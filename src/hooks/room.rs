//! Room that a write to a TCP socket meets on its way: there was none, the peer acknowledged some,
//! and the write went on. That wakes the waiters for space, whether or not the rest of the write
//! uses it up. It is so with a write that waits, and with pages, moved by sendfile(2) or splice(2):
//! these the kernel hands over 64 KB at a time, and goes on with the rest if the send buffer is
//! full in the middle.

use libc::c_int;

use crate::edge::Facts;
use crate::graph::file::{File, Tcp};
use crate::kind::Kind;
use crate::probe::observe;
use crate::probe::sample::{self, SendBuffer};
use crate::sys;

/// Fewer bytes of pages do not fill a buffer twice.
const FEW: usize = 4096;
/// A send buffer is small where what it holds counts for much more than its bytes.
const SMALL: i64 = 65_536;

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
        if file.tcp().is_some_and(Tcp::blocks) { Passage::of_waiting(file, fd) } else { None }
    }

    #[cold]
    fn of_waiting(file: &'static File, fd: c_int) -> Option<Passage> {
        // FIONBIO may have changed it.
        let tcp = file.tcp()?;
        tcp.note_status_flags(sys::fcntl(fd, libc::F_GETFL, 0).unwrap_or(0));
        if tcp.blocks() { Passage::look(file, fd, |_| true) } else { None }
    }

    /// None if moving so many bytes of pages wakes no waiter on the way.
    #[inline]
    pub fn of_pages(file: &'static File, fd: c_int, asked: usize) -> Option<Passage> {
        if file.kind() != Kind::Tcp || asked < FEW {
            return None;
        }
        Passage::look(file, fd, |room| room < asked as i64)
    }

    #[cold]
    fn look(file: &'static File, fd: c_int, is_met: impl FnOnce(i64) -> bool) -> Option<Passage> {
        let before = sample::send_buffer(fd)?;
        is_met(room(before)).then_some(Passage { file, fd, before })
    }

    /// So many bytes were written.
    #[cold]
    fn tell(self, written: isize) {
        let written = written as i64;
        if written <= 0 || written <= room(self.before) {
            return;
        }
        let Some(after) = sample::send_buffer(self.fd) else { return };
        if went_on(self.before, after, written) {
            self.file.tell(Facts::SPACE_FREED, self.file.begin_call());
        } else {
            // It met none, and the room that comes for it later is an edge.
            observe::refused_write(self.file, self.fd, self.file.begin_call());
        }
    }
}

/// Makes the write, and reports the space that it met on its way.
#[inline]
pub(super) fn passing(passage: Option<Passage>, write: impl FnOnce() -> isize) -> isize {
    let written = write();
    if let Some(passage) = passage {
        passage.tell(written);
    }
    written
}

fn room(buffer: SendBuffer) -> i64 {
    i64::from(buffer.limit) - i64::from(buffer.queued)
}

/// Whether enough of a full buffer was acknowledged during the write to wake the waiters for space:
/// a third of it. Where the buffer is small, what is queued counts for so much more than its bytes
/// that whatever was acknowledged may have been enough.
fn went_on(before: SendBuffer, after: SendBuffer, written: i64) -> bool {
    const ENOUGH: i64 = 8;
    let acknowledged = written + i64::from(before.queued) - i64::from(after.queued);
    let limit = i64::from(before.limit);
    acknowledged > if limit < SMALL { 0 } else { limit / ENOUGH }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_and_is_not_queued_was_acknowledged() {
        let small = |queued| SendBuffer { limit: 32_768, queued };
        assert!(went_on(small(0), small(48_448), 80_384));
        assert!(went_on(small(0), small(0), 40_000), "all of it was");
        assert!(!went_on(small(0), small(48_448), 47_616), "it filled up");
        let large = |queued| SendBuffer { limit: 400_000, queued };
        assert!(went_on(large(300_000), large(200_000), 150_000));
        assert!(!went_on(large(300_000), large(410_000), 150_000), "too little to wake anybody");
    }
}
