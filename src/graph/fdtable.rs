//! The table from descriptor number to open file description. Kernel counterpart: `files_struct`.
//!
//! Looking up an unwatched number is one load, without lock, allocation or thread-local, from any thread, signal handler or
//! vfork child: the numbers that most programs use are in a flat array. Higher ones are in chunks that are mapped when
//! the first of their numbers gets an entry, and stay; so a program that locks its memory pays for what it uses.
//! Numbers beyond the table cannot be watched (`docs/differences.md`).

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
/// How many numbers a chunk has.
const EACH: usize = 1 << 14;

/// What stands under each number of a chunk: 0 for nothing, [`INTERNAL`], or a short reference.
type Chunk = [AtomicU32; EACH];

/// The numbers below [`EACH`].
static NEAR: Chunk = [const { AtomicU32::new(0) }; EACH];

/// All others, by chunk; null where no number has had an entry, and for the near ones. Not of `sync`: a chunk is empty when it is
/// made, and never replaced.
static FAR: [AtomicPtr<Chunk>; NUMBERS / EACH] = [const { AtomicPtr::new(ptr::null_mut()) }; NUMBERS / EACH];

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

/// The number as an index: a negative one is beyond the table.
#[inline(always)]
fn index(fd: c_int) -> usize {
    fd.cast_unsigned() as usize
}

/// What stands under the number, as it is stored. Without a call, for which `read` and `write` would have to save registers.
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

/// Keeps the compiler from making the usual way jump.
#[cold]
#[inline]
fn rarely() {}

/// The place of a number that is not near; none where nothing has ever stood.
#[inline(always)]
fn far_place(fd: c_int) -> Option<&'static AtomicU32> {
    let number = index(fd);
    // SAFETY: null, or a chunk that is never unmapped.
    let chunk = unsafe { FAR.get(number / EACH)?.load(Acquire).as_ref() };
    chunk.map(|chunk| &chunk[number % EACH])
}

/// The place of a number; none where nothing has ever stood.
fn place(fd: c_int) -> Option<&'static AtomicU32> {
    NEAR.get(index(fd)).or_else(|| far_place(fd))
}

/// The place of a number, made if there is none. ENOSPC beyond the table, ENOMEM without memory.
fn make_place(fd: c_int) -> Result<&'static AtomicU32, Errno> {
    if let Some(place) = place(fd) {
        return Ok(place);
    }
    let far = FAR.get(index(fd) / EACH).ok_or(Errno::ENOSPC)?;
    let chunk = sys::map(size_of::<Chunk>())?;
    if far.compare_exchange(ptr::null_mut(), chunk.cast(), SeqCst, SeqCst).is_err() {
        // SAFETY: another thread was faster, and nobody knows of this one.
        unsafe { sys::unmap(chunk, size_of::<Chunk>()) };
    }
    place(fd).ok_or(Errno::ENOSPC)
}

/// What stands under the number, if anything.
#[inline]
pub fn get(fd: c_int) -> Option<Entry> {
    let bits = NonZeroU32::new(word(fd))?;
    Some(match bits.get() {
        INTERNAL => Entry::Internal,
        // SAFETY: nothing else is ever stored.
        _ => Entry::File(unsafe { Short::from_bits(bits) }.get()),
    })
}

/// Whether anything stands under the number.
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

/// Makes sure that an entry can be made under the number. ENOSPC beyond the table, ENOMEM without memory.
pub fn expect(fd: c_int) -> Result<(), Errno> {
    make_place(fd).map(drop)
}

/// Enters something under a number. Fails as [`expect`] does.
pub fn set(fd: c_int, entry: Entry) -> Result<(), Errno> {
    make_place(fd)?.store(bits(entry), Release);
    HIGHEST.fetch_max(fd, Relaxed);
    Ok(())
}

/// Takes the entry of a number away.
pub fn clear(fd: c_int) {
    if let Some(place) = place(fd) {
        place.store(0, Release);
    }
}

/// Enters a description under a number that has no entry. EEXIST if it has one; fails as [`expect`] does besides.
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
        // In a chunk of their own, and none of them in that of another test.
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
