//! The table from descriptor number to open file description. Kernel counterpart: `files_struct`.
//!
//! The lookup of an unwatched number is one load, without a lock, an allocation or a thread-local
//! variable, from any thread, signal handler or vfork child: the numbers that most programs use are
//! in a flat array. Higher numbers are in chunks, each of which is mapped when it gets its first
//! entry and is never unmapped. So a program that locks its memory pays only for the chunks that it
//! uses. Numbers beyond the table cannot be watched (`docs/differences.md`).

use std::num::NonZeroU32;
use std::ptr;
use std::sync::atomic::AtomicPtr;

use libc::c_int;
use nix::errno::Errno;

use crate::graph::file::File;
use crate::pool::Short;
use crate::sync::atomic::Ordering::{Acquire, Relaxed, Release, SeqCst};
use crate::sync::atomic::{AtomicI32, AtomicU32};
use crate::sys;

/// One more than the highest number that can be watched.
pub const NUMBERS: usize = 1 << 20;
/// The count of numbers in a chunk.
const EACH: usize = 1 << 14;

/// The entries of a chunk: 0 for none, [`INTERNAL`], or a short reference.
type Chunk = [AtomicU32; EACH];

/// The numbers below [`EACH`].
static NEAR: Chunk = [const { AtomicU32::new(0) }; EACH];

/// The chunks of all other numbers; null for a chunk that has never had an entry, and for that of
/// the near numbers. Not an atomic of `sync`: a chunk is empty when it is made, and is never
/// replaced.
static FAR: [AtomicPtr<Chunk>; NUMBERS / EACH] = [const { AtomicPtr::new(ptr::null_mut()) }; NUMBERS / EACH];

/// The entry of every internal descriptor.
const INTERNAL: u32 = u32::MAX;

/// The highest number that ever had an entry, so that a walk over a range of descriptors stays
/// short.
static HIGHEST: AtomicI32 = AtomicI32::new(-1);

/// The entry of a number.
#[derive(Clone, Copy, Debug)]
pub enum Entry {
    /// A descriptor that belongs to the library.
    Internal,
    /// A description.
    File(&'static File),
}

/// The number as an index. A negative one is beyond the table.
#[inline(always)]
fn index(fd: c_int) -> usize {
    fd.cast_unsigned() as usize
}

/// The entry of a number, as it is stored. Inlined, because a call would make `read` and `write`
/// save registers.
#[inline(always)]
fn word(fd: c_int) -> u32 {
    match NEAR.get(index(fd)) {
        Some(place) => place.load(Acquire),
        None => {
            rarely();
            far_place(fd).map_or(0, |place| place.load(Acquire))
        }
    }
}

/// Makes the compiler lay out the common path without a jump.
#[cold]
#[inline]
fn rarely() {}

/// The place of a number that is not near; `None` if its chunk has never had an entry.
#[inline(always)]
fn far_place(fd: c_int) -> Option<&'static AtomicU32> {
    let number = index(fd);
    // SAFETY: null, or a chunk that is never unmapped.
    let chunk = unsafe { FAR.get(number / EACH)?.load(Acquire).as_ref() };
    chunk.map(|chunk| &chunk[number % EACH])
}

/// The place of a number; `None` if its chunk has never had an entry.
fn place(fd: c_int) -> Option<&'static AtomicU32> {
    NEAR.get(index(fd)).or_else(|| far_place(fd))
}

/// Returns the place of a number, and maps its chunk if necessary. ENOSPC beyond the table, ENOMEM
/// without memory.
fn make_place(fd: c_int) -> Result<&'static AtomicU32, Errno> {
    if let Some(place) = place(fd) {
        return Ok(place);
    }
    let far = FAR.get(index(fd) / EACH).ok_or(Errno::ENOSPC)?;
    let chunk = sys::map(size_of::<Chunk>())?;
    if far.compare_exchange(ptr::null_mut(), chunk.cast(), SeqCst, SeqCst).is_err() {
        // SAFETY: another thread was faster, and no thread has a pointer to this chunk.
        unsafe { sys::unmap(chunk, size_of::<Chunk>()) };
    }
    place(fd).ok_or(Errno::ENOSPC)
}

/// Returns the entry of a number, if it has one.
#[inline]
pub fn get(fd: c_int) -> Option<Entry> {
    let bits = NonZeroU32::new(word(fd))?;
    Some(match bits.get() {
        INTERNAL => Entry::Internal,
        // SAFETY: nothing else is ever stored.
        _ => Entry::File(unsafe { Short::from_bits(bits) }.get()),
    })
}

/// Whether the number has an entry.
#[inline]
pub fn has(fd: c_int) -> bool {
    word(fd) != 0
}

fn bits(entry: Entry) -> u32 {
    match entry {
        Entry::Internal => INTERNAL,
        Entry::File(file) => Short::of(file).to_bits().get(),
    }
}

/// Makes sure that the number can get an entry. ENOSPC beyond the table, ENOMEM without memory.
pub fn expect(fd: c_int) -> Result<(), Errno> {
    make_place(fd).map(drop)
}

/// Sets the entry of a number. Fails as [`expect`] does.
pub fn set(fd: c_int, entry: Entry) -> Result<(), Errno> {
    make_place(fd)?.store(bits(entry), Release);
    HIGHEST.fetch_max(fd, Relaxed);
    Ok(())
}

/// Removes the entry of a number.
pub fn clear(fd: c_int) {
    if let Some(place) = place(fd) {
        place.store(0, Release);
    }
}

/// Sets the entry of a number that has none. EEXIST if it has one; otherwise fails as [`expect`]
/// does.
pub fn set_first(fd: c_int, file: &'static File) -> Result<(), Errno> {
    let entered = make_place(fd)?.compare_exchange(0, bits(Entry::File(file)), SeqCst, Acquire);
    HIGHEST.fetch_max(fd, Relaxed);
    entered.map(drop).map_err(|_| Errno::EEXIST)
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
        let file = crate::graph::file::File::create().expect("memory");
        let stands = |fd| matches!(get(fd), Some(Entry::File(found)) if std::ptr::eq(found, file));
        // In different chunks, none of which another test uses.
        for number in [NUMBERS - 1, NUMBERS - EACH, 3 * EACH - 1] {
            let number = number as c_int;
            assert!(get(number).is_none() && !has(number));
            clear(number);
            assert_eq!(set(number, Entry::File(file)), Ok(()));
            assert!(stands(number) && has(number) && get(number - 1).is_none());
            assert_eq!(entries(number as u32, u32::MAX).count(), 1);
            assert_eq!(set_first(number, file), Err(Errno::EEXIST));
            clear(number);
            assert_eq!(set_first(number, file), Ok(()));
            clear(number);
        }
        for beyond in [NUMBERS as c_int, c_int::MAX, -1, c_int::MIN] {
            assert!(get(beyond).is_none() && !has(beyond));
            assert_eq!(set(beyond, Entry::File(file)), Err(Errno::ENOSPC));
            assert_eq!(set_first(beyond, file), Err(Errno::ENOSPC));
            clear(beyond);
        }
    }
}
