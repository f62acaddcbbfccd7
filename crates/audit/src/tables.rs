//! The mirror's tables by number and by thread. Every fact looks something up in them, mostly the
//! same thing several times, so neither of them hashes for that.

use alloc::vec::Vec;
use core::cell::Cell;

use epolyfill_facts::NO_FD;
use hashbrown::HashMap;

use crate::mirror::{FileId, NoMemory, Thread};

/// Numbers from here on are hashed.
const DENSE: usize = 1 << 16;

/// The file that each number names.
#[derive(Debug, Default)]
pub(crate) struct Numbers {
    /// The file of each low number, plus 1; 0 for none.
    low: Vec<u32>,
    high: HashMap<i32, FileId>,
}

fn low(fd: i32) -> Option<usize> {
    usize::try_from(fd).ok().filter(|at| *at < DENSE)
}

impl Numbers {
    pub fn get(&self, fd: i32) -> Option<FileId> {
        match low(fd) {
            Some(at) => self.low.get(at).and_then(|id| id.checked_sub(1)).map(|id| id as FileId),
            None => self.high.get(&fd).copied(),
        }
    }

    /// Makes room, so that [`Numbers::insert`] cannot fail.
    pub fn reserve(&mut self, fd: i32) -> Result<(), NoMemory> {
        let Some(at) = low(fd) else { return self.high.try_reserve(1).map_err(|_| NoMemory) };
        let missing = (at + 1).saturating_sub(self.low.len());
        self.low.try_reserve(missing).map_err(|_| NoMemory)?;
        self.low.resize(self.low.len() + missing, 0);
        Ok(())
    }

    /// Sets the file of a number for which there is room.
    pub fn insert(&mut self, fd: i32, id: FileId) {
        match low(fd) {
            Some(at) => {
                if let Some(place) = self.low.get_mut(at) {
                    *place = u32::try_from(id + 1).unwrap_or(0);
                }
            }
            None => {
                self.high.insert(fd, id);
            }
        }
    }

    pub fn remove(&mut self, fd: i32) -> Option<FileId> {
        let known = self.get(fd)?;
        match low(fd) {
            Some(at) => self.low.get_mut(at).map_or((), |place| *place = 0),
            None => {
                self.high.remove(&fd);
            }
        }
        Some(known)
    }

    /// The lowest number in a range that names a file.
    pub fn next(&self, first: u32, last: u32) -> Option<i32> {
        let end = self.low.len().min((last as usize).saturating_add(1));
        let here = self.low.get(first as usize..end).unwrap_or_default();
        if let Some(at) = here.iter().position(|id| *id != 0) {
            return Some(first as i32 + at as i32);
        }
        self.high.keys().copied().filter(|fd| (first..=last).contains(&fd.cast_unsigned())).min()
    }

    /// The highest number that names a file, or [`NO_FD`].
    pub fn highest(&self) -> i32 {
        let low = self.low.iter().rposition(|id| *id != 0).map_or(NO_FD, |at| at as i32);
        self.high.keys().copied().max().map_or(low, |high| high.max(low))
    }
}

/// The threads that have waited.
#[derive(Debug, Default)]
pub(crate) struct Threads {
    list: Vec<(i32, Thread)>,
    places: HashMap<i32, usize>,
    /// The place of the one that was looked up last.
    last: Cell<usize>,
    /// Those that have ended are looked for when there are so many.
    limit: usize,
}

impl Threads {
    /// So few are not looked through.
    const FEW: usize = 64;

    fn place(&self, tid: i32) -> Option<usize> {
        let last = self.last.get();
        if self.list.get(last).is_some_and(|(known, _)| *known == tid) {
            return Some(last);
        }
        let place = *self.places.get(&tid)?;
        self.last.set(place);
        Some(place)
    }

    pub fn get(&self, tid: i32) -> Option<&Thread> {
        self.list.get(self.place(tid)?).map(|(_, thread)| thread)
    }

    pub fn get_mut(&mut self, tid: i32) -> Option<&mut Thread> {
        let place = self.place(tid)?;
        self.list.get_mut(place).map(|(_, thread)| thread)
    }

    /// A thread, which is made if it is new.
    pub fn get_or_make(&mut self, tid: i32) -> Result<&mut Thread, NoMemory> {
        let place = match self.place(tid) {
            Some(place) => place,
            None => {
                self.list.try_reserve(1).map_err(|_| NoMemory)?;
                self.places.try_reserve(1).map_err(|_| NoMemory)?;
                self.list.push((tid, Thread::default()));
                self.places.insert(tid, self.list.len() - 1);
                self.list.len() - 1
            }
        };
        self.list.get_mut(place).map(|(_, thread)| thread).ok_or(NoMemory)
    }

    /// Whether there are so many that some may have ended.
    pub fn is_full(&self) -> bool {
        self.list.len() >= self.limit.max(Self::FEW)
    }

    /// Forgets those that have ended, and passes each of them on.
    pub fn forget(&mut self, mut has_ended: impl FnMut(i32) -> bool, mut forgotten: impl FnMut(&Thread)) {
        self.list.retain(|(tid, thread)| {
            let is_over = has_ended(*tid);
            if is_over {
                forgotten(thread);
            }
            !is_over
        });
        // There are no more of them than before, so the table does not grow.
        self.places.clear();
        self.places.extend(self.list.iter().enumerate().map(|(place, (tid, _))| (*tid, place)));
        self.last.set(0);
        self.limit = 2 * self.list.len();
    }

    pub fn iter(&self) -> impl Iterator<Item = (i32, &Thread)> {
        self.list.iter().map(|(tid, thread)| (*tid, thread))
    }

    pub fn clear(&mut self) {
        *self = Threads::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FDS: [i32; 6] = [0, 5, DENSE as i32 - 1, DENSE as i32, i32::MAX, -3];

    #[test]
    fn each_number_names_its_own_file_until_it_is_removed() {
        let mut numbers = Numbers::default();
        for (id, fd) in FDS.into_iter().enumerate() {
            assert_eq!(numbers.get(fd), None);
            numbers.reserve(fd).unwrap();
            numbers.insert(fd, id);
        }
        for (id, fd) in FDS.into_iter().enumerate() {
            assert_eq!((numbers.get(fd), numbers.remove(fd), numbers.remove(fd)), (Some(id), Some(id), None));
        }
        assert_eq!(numbers.highest(), NO_FD);
    }

    #[test]
    fn ranges_are_gone_through_in_order_from_the_low_numbers_to_the_high_ones() {
        let mut numbers = Numbers::default();
        for fd in &FDS[..5] {
            numbers.reserve(*fd).unwrap();
            numbers.insert(*fd, 7);
        }
        let (mut found, mut from) = (Vec::new(), 0);
        while let Some(fd) = numbers.next(from, u32::MAX) {
            found.push(fd);
            from = fd as u32 + 1;
        }
        assert_eq!(found, FDS[..5]);
        assert_eq!((numbers.next(1, 4), numbers.next(1, 5), numbers.highest()), (None, Some(5), i32::MAX));
    }

    #[test]
    fn a_thread_is_found_whichever_was_looked_up_before() {
        let mut threads = Threads::default();
        for tid in [9, 4, 7] {
            threads.get_or_make(tid).unwrap().waits = tid as u64;
        }
        for tid in [4, 4, 7, 9, 4] {
            assert_eq!(threads.get(tid).map(|thread| thread.waits), Some(tid as u64));
            assert_eq!(threads.get_or_make(tid).unwrap().waits, tid as u64);
        }
        assert!(threads.get(5).is_none() && threads.iter().count() == 3);
        threads.clear();
        assert!(threads.get(4).is_none() && threads.get_mut(9).is_none());
    }

    #[test]
    fn threads_that_have_ended_are_forgotten_and_the_others_are_found() {
        let mut threads = Threads::default();
        for tid in 0..64 {
            assert!(!threads.is_full());
            threads.get_or_make(tid).unwrap().waits = tid as u64;
        }
        assert!(threads.is_full());
        let mut forgotten = 0;
        threads.forget(|tid| tid % 4 != 0, |thread| forgotten += thread.waits);
        assert_eq!(forgotten, (0..64).filter(|tid| tid % 4 != 0).sum());
        assert_eq!(threads.iter().count(), 16);
        assert!((0..64).all(|tid| threads.get(tid).map(|thread| thread.waits) == (tid % 4 == 0).then_some(tid as u64)));
        assert!(!threads.is_full());
    }
}
