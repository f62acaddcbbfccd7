//! An index by inode of the descriptions with edges, for calls on another description that affect
//! them: the ends of a pipe, the peer of a unix socket.

use arrayvec::ArrayVec;

use super::identity::known_part;
use super::{FILES, File, MOST_ENDS};
use crate::graph::own_table;
use crate::graph::ranks;
use crate::kind::Kind;
use crate::lock::Lock;
use crate::pool::AtomicShort;
use crate::sync::atomic::AtomicU32;
use crate::sync::atomic::Ordering::{Relaxed, SeqCst};

/// A power of two.
const BUCKETS: usize = 1024;

/// The first description of each bucket. The others are linked through `File::next_in_bucket`.
/// Hooks read it without a lock.
static FIRST: [AtomicShort<File>; BUCKETS] = [const { AtomicShort::none() }; BUCKETS];
/// Held while the chains are changed, and never across a wait.
pub static CHANGES: Lock<()> = Lock::new(ranks::INDEX, ());
/// A sequence count: odd while the chains are changed. A walk at that time may have missed an
/// entry.
static VERSION: AtomicU32 = AtomicU32::new(0);

fn bucket(inode: u64) -> &'static AtomicShort<File> {
    &FIRST[inode as usize % BUCKETS]
}

fn chain(inode: u64) -> impl Iterator<Item = &'static File> {
    std::iter::successors(bucket(inode).get(), |file| file.next_in_bucket.get())
}

impl File {
    /// Whether calls on other descriptions look for those of its kind.
    fn has_others(&self) -> bool {
        matches!(self.kind(), Kind::Pipe | Kind::Fifo | Kind::UnixStream | Kind::UnixSeqpacket | Kind::UnixListener)
    }

    /// Updates the index for the description, which has edges now or no longer has any.
    pub(super) fn index(&'static self) {
        if !self.has_others() && !self.indexed.load(Relaxed) {
            return;
        }
        let _changes = CHANGES.lock();
        // Another thread may have changed this meanwhile, and taken the lock first.
        let wanted = self.has_edges() && self.has_others();
        if self.indexed.swap(wanted, Relaxed) == wanted {
            return;
        }
        VERSION.fetch_add(1, SeqCst);
        let (inode, next) = (self.inode(), self.next_in_bucket.get());
        if wanted {
            self.next_in_bucket.set(bucket(inode).get());
            bucket(inode).set(Some(self));
        } else {
            match chain(inode).find(|file| file.next_in_bucket.get().is_some_and(|next| std::ptr::eq(next, self))) {
                Some(before) => before.next_in_bucket.set(next),
                None => bucket(inode).set(next),
            }
        }
        VERSION.fetch_add(1, SeqCst);
    }

    /// The descriptions with edges that have this inode: a socket, the two ends of a pipe, a FIFO
    /// that is open several times. Finds at most [`MOST_ENDS`].
    pub fn of_inode(inode: u64) -> impl Iterator<Item = &'static File> + Clone {
        let mut found = Found { inode: known_part(inode), files: ArrayVec::new() };
        if own_table::is_unshared() {
            return found.files.into_iter();
        }
        let before = VERSION.load(SeqCst);
        chain(inode).take_while(|_| before.is_multiple_of(2)).for_each(|file| found.note(file));
        if !before.is_multiple_of(2) || VERSION.load(SeqCst) != before {
            found.files.clear();
            FILES.for_each(|file| found.note(file));
        }
        found.files.into_iter()
    }
}

struct Found {
    inode: u64,
    files: ArrayVec<&'static File, MOST_ENDS>,
}

impl Found {
    fn note(&mut self, file: &'static File) {
        if file.has_edges() && file.inode() == self.inode {
            let _ = self.files.try_push(file);
        }
    }
}
