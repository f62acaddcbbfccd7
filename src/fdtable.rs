//! The table from descriptor number to open file description. Kernel counterpart: `files_struct`.
//!
//! A flat array in zero pages: looking up an unwatched number is one load, without lock, allocation or thread-local, from any
//! thread, signal handler or vfork child. Numbers beyond the table cannot be watched (`docs/differences.md`).

use libc::c_int;

use crate::file::File;
use crate::pool::AtomicRef;
use crate::sync::atomic::AtomicI32;
use crate::sync::atomic::Ordering::Relaxed;

/// One more than the highest number that can be watched.
pub const NUMBERS: usize = 1 << 20;

static TABLE: [AtomicRef<File>; NUMBERS] = [const { AtomicRef::none() }; NUMBERS];

/// The highest number that ever had an entry, so that a walk over a range of descriptors stays short.
static HIGHEST: AtomicI32 = AtomicI32::new(-1);

/// The description known under the number, if any.
#[inline]
pub fn get(fd: c_int) -> Option<&'static File> {
    TABLE.get(fd as usize)?.get()
}

/// Enters a description under a number. False when the number lies beyond the table.
pub fn set(fd: c_int, file: Option<&'static File>) -> bool {
    let Some(slot) = TABLE.get(fd as usize) else { return false };
    slot.set(file);
    HIGHEST.fetch_max(fd, Relaxed);
    true
}

/// Enters a description under a number that has no entry. False if it has one, or lies beyond the table.
pub fn set_first(fd: c_int, file: &'static File) -> bool {
    let entered = TABLE.get(fd as usize).is_some_and(|slot| slot.replace(None, Some(file)));
    HIGHEST.fetch_max(fd, Relaxed);
    entered
}

/// The numbers from `first` to `last` that have an entry.
pub fn entries(first: u32, last: u32) -> impl Iterator<Item = (c_int, &'static File)> {
    let end = last.min(HIGHEST.load(Relaxed).max(0).unsigned_abs());
    (first..=end.min(NUMBERS as u32 - 1)).filter_map(|fd| get(fd as c_int).map(|file| (fd as c_int, file)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_sparse_up_to_its_last_number() {
        let file = crate::file::File::create().expect("memory");
        let last = NUMBERS as c_int - 1;
        assert!(get(last).is_none());
        assert!(set(last, Some(file)));
        assert!(std::ptr::eq(get(last).expect("just set"), file));
        assert_eq!(entries(last as u32, u32::MAX).count(), 1);
        assert!(set(last, None));
        assert!(!set(NUMBERS as c_int, Some(file)) && get(NUMBERS as c_int).is_none() && get(-1).is_none());
    }
}
