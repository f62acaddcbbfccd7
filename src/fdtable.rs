//! The table from descriptor number to open file description. Kernel counterpart: `files_struct`.
//!
//! A flat array in zero pages: looking up an unwatched number is one load, without lock, allocation or thread-local, from any
//! thread, signal handler or vfork child. Numbers beyond the table cannot be watched (`docs/differences.md`).

use std::num::NonZeroU32;

use libc::c_int;

use crate::file::File;
use crate::pool::Short;
use crate::sync::atomic::Ordering::{Acquire, Relaxed, Release, SeqCst};
use crate::sync::atomic::{AtomicI32, AtomicU32};

/// One more than the highest number that can be watched.
pub const NUMBERS: usize = 1 << 20;

/// What stands under each number: 0 for nothing, [`INTERNAL`], or a short reference.
static TABLE: [AtomicU32; NUMBERS] = [const { AtomicU32::new(0) }; NUMBERS];

/// Stands for every internal descriptor.
const INTERNAL: u32 = u32::MAX;

/// The highest number that ever had an entry, so that a walk over a range of descriptors stays short.
static HIGHEST: AtomicI32 = AtomicI32::new(-1);

/// What a number stands for.
#[derive(Clone, Copy, Debug)]
pub enum Entry {
    /// A descriptor of this library's own.
    Internal,
    /// A description.
    File(&'static File),
}

/// What stands under the number, if anything.
#[inline]
pub fn get(fd: c_int) -> Option<Entry> {
    let bits = NonZeroU32::new(TABLE.get(fd as usize)?.load(Acquire))?;
    Some(match bits.get() {
        INTERNAL => Entry::Internal,
        // SAFETY: nothing else is ever stored.
        _ => Entry::File(unsafe { Short::from_bits(bits) }.get()),
    })
}

/// Whether anything stands under the number.
#[inline]
pub fn has(fd: c_int) -> bool {
    TABLE.get(fd as usize).is_some_and(|slot| slot.load(Relaxed) != 0)
}

fn bits(entry: Option<Entry>) -> u32 {
    match entry {
        None => 0,
        Some(Entry::Internal) => INTERNAL,
        Some(Entry::File(file)) => Short::of(file).to_bits().get(),
    }
}

/// Enters something under a number. False when the number lies beyond the table.
pub fn set(fd: c_int, entry: Option<Entry>) -> bool {
    let Some(slot) = TABLE.get(fd as usize) else { return false };
    slot.store(bits(entry), Release);
    HIGHEST.fetch_max(fd, Relaxed);
    true
}

/// Enters a description under a number that has no entry. False if it has one, or lies beyond the table.
pub fn set_first(fd: c_int, file: &'static File) -> bool {
    let new = bits(Some(Entry::File(file)));
    let slot = TABLE.get(fd as usize);
    let entered = slot.is_some_and(|slot| slot.compare_exchange(0, new, SeqCst, Acquire).is_ok());
    HIGHEST.fetch_max(fd, Relaxed);
    entered
}

/// The numbers from `first` to `last` that have an entry.
pub fn entries(first: u32, last: u32) -> impl Iterator<Item = (c_int, Entry)> {
    let end = last.min(HIGHEST.load(Relaxed).max(0).unsigned_abs());
    (first..=end.min(NUMBERS as u32 - 1)).filter_map(|fd| get(fd as c_int).map(|entry| (fd as c_int, entry)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_sparse_up_to_its_last_number() {
        let file = crate::file::File::create().expect("memory");
        let last = NUMBERS as c_int - 1;
        let stands = |fd| matches!(get(fd), Some(Entry::File(found)) if std::ptr::eq(found, file));
        assert!(get(last).is_none() && !has(last));
        assert!(set(last, Some(Entry::File(file))));
        assert!(stands(last) && has(last));
        assert_eq!(entries(last as u32, u32::MAX).count(), 1);
        assert!(set(last, None));
        assert!(
            !set(NUMBERS as c_int, Some(Entry::File(file))) && get(NUMBERS as c_int).is_none() && get(-1).is_none()
        );
    }
}
