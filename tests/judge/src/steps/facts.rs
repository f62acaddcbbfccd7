//! Facts that steps note, by which differences are listed.

use crate::calls::Outcome;
use crate::kernel;
use crate::kinds::Kind;
use crate::known::Fact;
use crate::world::{Desc, World};

/// The number of datagrams that the library counts.
pub const COUNTED: u32 = 512;

impl World<'_> {
    /// Notes an arrival at an MPTCP connection.
    pub(super) fn note_news(&mut self, file: Option<usize>) {
        file.into_iter().for_each(|file| self.note(file, Fact::Arrived));
    }

    /// Notes a signal, or a new mask, either of which wakes every signalfd.
    pub(super) fn note_signal(&mut self) {
        for file in 0..self.files.len() {
            if self.files[file].kind == Kind::Signalfd {
                self.note(file, Fact::Arrived);
            }
        }
    }

    /// Counts sent datagrams. Calls that move pages can turn one into several, and the count of
    /// unread ones must not be too low.
    pub(super) fn sent_datagrams(&mut self, desc: Desc, n: usize, how: i64) {
        let step = self.step;
        if let Some(peer) = self.files[desc.file].peer {
            let peer = &mut self.files[peer];
            peer.facts[Fact::Arrived as usize] = step;
            peer.got_empty |= n == 0;
            peer.datagrams += match how {
                5 => 2,
                6 | 7 => 1 + (n / 4096) as u32,
                _ => 1,
            };
            if peer.datagrams > COUNTED {
                peer.facts[Fact::Uncounted as usize] = step;
            }
        }
    }

    /// Notes a splice into a socket, or a write after one. A UDP socket may hold it back for more
    /// data (MSG_MORE) until the next datagram is sent, or fails.
    pub(super) fn note_splice(&mut self, desc: Desc, outcome: Outcome) {
        let before = std::mem::replace(&mut self.files[desc.file].held_back, false);
        self.note(desc.file, Fact::Spliced);
        self.files[desc.file].held_back = self.kind(desc) == Kind::Udp && !before && outcome.is_ok();
    }

    /// Notes an error that is pending on a datagram socket, or a hang-up: these are beside the
    /// count of unread datagrams.
    pub(super) fn note_error(&mut self, desc: Desc) {
        if matches!(self.kind(desc), Kind::Udp | Kind::UnixDgram) && kernel::level(desc.fd, 0) != 0 {
            self.note(desc.file, Fact::ErrorPending);
        }
    }

    /// Notes a transfer out of a pipe without a copy. The remaining bytes may be the rest of an
    /// earlier buffer.
    pub(super) fn note_piece(&mut self, desc: Desc, outcome: Outcome) {
        let took = outcome.is_ok_and(|n| n > 0);
        if took && self.kind(desc).is_pipe() && kernel::level(desc.fd, libc::POLLIN) & libc::POLLIN != 0 {
            self.note_queue(desc.file, Fact::Piece);
        }
    }

    /// Notes that the exclusive registrations of a description, or of any, have changed since the
    /// last sweep.
    pub(super) fn exclusive_changed(&mut self, file: Option<usize>) {
        let registrations = &self.registrations;
        let affected: Vec<usize> = registrations
            .iter()
            .filter(|one| one.is_exclusive() && file.is_none_or(|file| one.file == file))
            .map(|one| one.file)
            .collect();
        for file in affected {
            self.exclusive_entry(file).changed = true;
        }
    }

    /// Several exclusive registrations of a description compete.
    pub(super) fn note_contest(&mut self, file: usize) {
        if self.exclusive_on(file) > 1 {
            let all = self.registrations.iter_mut();
            all.filter(|one| one.alive && one.is_exclusive() && one.file == file).for_each(|one| one.contested = true);
        }
    }
}
