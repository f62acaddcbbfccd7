//! Type-stable memory: records are recycled, and never freed.
//!
//! A hook in one thread may hold a record that another thread retires at that moment. Because a
//! record keeps its type for ever, the worst outcome is a hint left on the wrong record, which
//! costs a look. No thread touches freed memory (T10), readers need no reference count, and
//! `&'static` is the honest lifetime.
//!
//! Records are made a page at a time, and each page has a number. So four bytes suffice to refer to
//! a record from another one ([`Short`]).

use std::alloc::Layout;
use std::cell::UnsafeCell;
use std::marker::PhantomData;
use std::num::NonZeroU32;
use std::ptr;
use std::sync::atomic::AtomicPtr as Place;

use nix::errno::Errno;

use crate::heap;
use crate::lock::{ForkLock, Guard, Lock, Rank};
use crate::sync::atomic::Ordering::{Acquire, Release, SeqCst};
use crate::sync::atomic::{AtomicPtr, AtomicU32};

/// The size of a page, which begins with its number.
const PAGE: usize = 4096;
/// The most pages of a pool.
const PAGES: usize = 1 << 18;
/// The number of pages for which the table in the pool itself has room.
const FIRST_PAGES: usize = 32;

/// A record that a pool can keep on its free list.
pub trait Pooled: Sized + Sync + 'static {
    /// A blank record.
    const BLANK: Self;

    /// The pool of all records of this type.
    fn pool() -> &'static Pool<Self>;

    /// The record's own lock, which a fork takes together with the pool.
    fn lock(&self) -> Option<&dyn ForkLock> {
        None
    }

    /// A page that needs no allocation, for records that must exist even when there is no memory.
    fn first_page() -> Option<&'static Page> {
        None
    }

    /// The record's link in the free list; only the pool uses it, while the record is free.
    fn free_link(&self) -> &AtomicShort<Self>;
}

/// `pooled!(POOL, Type, link, blank)` puts a type's records into a pool, whose free list uses the
/// field `link`. Optional arguments: `lock = field`, `first_page = PAGE`.
#[macro_export]
macro_rules! pooled {
    (
        $pool:ident, $record:ident, $link:ident, $blank:expr
        $(, lock = $lock:ident)? $(, first_page = $page:ident)?
    ) => {
        impl $crate::pool::Pooled for $record {
            const BLANK: $record = $blank;

            fn pool() -> &'static $crate::pool::Pool<$record> {
                &$pool
            }

            $(fn lock(&self) -> Option<&dyn $crate::lock::ForkLock> {
                Some(&self.$lock)
            })?

            $(fn first_page() -> Option<&'static $crate::pool::Page> {
                Some(&$page)
            })?

            fn free_link(&self) -> &$crate::pool::AtomicShort<$record> {
                &self.$link
            }
        }
    };
}

/// Memory for the records of one page.
#[derive(Debug)]
#[repr(C, align(4096))]
pub struct Page(UnsafeCell<[u8; PAGE]>);

// SAFETY: only a pool uses it, and under its lock until the records in it are made.
unsafe impl Sync for Page {}

impl Page {
    /// An empty page.
    pub const fn empty() -> Page {
        Page(UnsafeCell::new([0; PAGE]))
    }
}

/// The free records of one type, and all records ever made.
#[derive(Debug)]
pub struct Pool<T: Pooled> {
    /// The free list.
    state: Lock<State<T>>,
    /// The table of pages: an array, or null as long as there are no pages. A full array is
    /// replaced by one of twice the length and never freed, since another thread may be reading it.
    /// Not from `sync`: a thread that has a page's number got it from a thread that had the record.
    table: Place<Place<u8>>,
    /// The table for the first few pages, which needs no allocation.
    first: [Place<u8>; FIRST_PAGES],
    /// The number of pages. It is changed under the lock, and read without: a thread that walks all
    /// records may hold the lock of one, for which a fork that has this lock waits.
    made: AtomicU32,
}

#[derive(Debug)]
struct State<T: Pooled> {
    free: Option<Short<T>>,
    /// The number of pages for which the table has room.
    room: usize,
}

impl<T: Pooled> Pool<T> {
    /// The offset of the address of the table of pages, for readers from outside.
    pub const TABLE_AT: usize = std::mem::offset_of!(Self, table);
    /// The offset of the number of pages.
    pub const PAGES_AT: usize = std::mem::offset_of!(Self, made);
    /// The bytes before the first record of a page.
    pub const HEADER: usize = if align_of::<T>() > 8 { align_of::<T>() } else { 8 };
    /// The number of records of a page.
    const EACH: usize = {
        let fit = (PAGE - Self::HEADER) / size_of::<T>();
        assert!(fit > 0, "a record is smaller than a page");
        fit
    };

    /// An empty pool.
    pub const fn new() -> Self {
        Pool {
            state: Lock::new(Rank::POOL, State { free: None, room: 0 }),
            table: Place::new(ptr::null_mut()),
            first: [const { Place::new(ptr::null_mut()) }; FIRST_PAGES],
            made: AtomicU32::new(0),
        }
    }

    /// Takes an unused record: blank, or as its last user left it. ENOMEM if there is no memory.
    pub fn take(&'static self) -> Result<&'static T, Errno> {
        let mut state = self.state.lock();
        if state.free.is_none() {
            self.grow(&mut state)?;
        }
        let record = state.free.ok_or(Errno::ENOMEM)?.get();
        state.free = record.free_link().short();
        Ok(record)
    }

    /// Puts a record back.
    pub fn give_back(&self, record: &'static T) {
        let mut state = self.state.lock();
        record.free_link().set_short(state.free);
        state.free = Some(Short::of(record));
    }

    /// Visits every record ever made, in use or free, without the lock.
    pub fn for_each(&self, visit: impl FnMut(&'static T)) {
        self.records().for_each(visit);
    }

    /// The number of records in use, for the models; panics if the free list contains a record
    /// twice.
    pub fn in_use(&self) -> usize {
        let state = self.state.lock();
        let records = self.records().count();
        let free =
            std::iter::successors(state.free, |record| record.get().free_link().short()).take(records + 1).count();
        assert!(free <= records, "the free list runs in a circle");
        records - free
    }

    fn records(&self) -> impl Iterator<Item = &'static T> {
        (0..self.made.load(Acquire)).flat_map(|page| Self::shorts(page).map(Short::get))
    }

    /// The records of a page.
    fn shorts(page: u32) -> impl DoubleEndedIterator<Item = Short<T>> {
        (0..Self::EACH).map(move |slot| Short::new(page, Self::HEADER + slot * size_of::<T>()))
    }

    /// Adds a page of blank records.
    #[cold]
    #[inline(never)]
    fn grow(&'static self, state: &mut Guard<'_, State<T>>) -> Result<(), Errno> {
        let number = self.made.load(Acquire);
        if number as usize == state.room {
            state.room = self.widen(state.room)?;
        }
        let page = match T::first_page() {
            Some(first) if number == 0 => first.0.get().cast::<u8>(),
            _ => heap::forever(Layout::new::<Page>()),
        };
        if page.is_null() {
            return Err(Errno::ENOMEM);
        }
        page.expose_provenance();
        // SAFETY: the page is aligned, used by this pool alone, and never freed; its number and the
        // records fit.
        unsafe {
            page.cast::<u32>().write(number);
            (0..Self::EACH).for_each(|slot| page.add(Self::HEADER).cast::<T>().add(slot).write(T::BLANK));
        }
        // SAFETY: the table has room for the page.
        unsafe { &*self.table.load(Acquire).add(number as usize) }.store(page, Release);
        self.made.store(number + 1, Release);
        for record in Self::shorts(number).rev() {
            record.get().free_link().set_short(state.free);
            state.free = Some(record);
        }
        Ok(())
    }

    /// Replaces a full table by the next one. Returns the number of pages for which that has room.
    fn widen(&'static self, full: usize) -> Result<usize, Errno> {
        if full == 0 {
            self.table.store(self.first.as_ptr().cast_mut(), Release);
            return Ok(FIRST_PAGES);
        }
        let room = full * 2;
        let layout = Layout::array::<Place<u8>>(room).map_err(|_| Errno::ENOMEM)?;
        let wider = if room <= PAGES { heap::forever(layout).cast::<Place<u8>>() } else { ptr::null_mut() };
        if wider.is_null() {
            return Err(Errno::ENOMEM);
        }
        let table = self.table.load(Acquire);
        for place in 0..room {
            // SAFETY: `place` is within the new table, and within the full one below `full`.
            unsafe {
                let page = if place < full { (*table.add(place)).load(Acquire) } else { ptr::null_mut() };
                wider.add(place).write(Place::new(page));
            }
        }
        self.table.store(wider, Release);
        Ok(room)
    }
}

/// A fork locks the pool, and every record's own lock: nothing changes until the fork is done.
impl<T: Pooled> ForkLock for Pool<T> {
    fn lock_for_fork(&self) {
        self.state.lock_for_fork();
        self.records().filter_map(T::lock).for_each(ForkLock::lock_for_fork);
    }

    unsafe fn unlock_after_fork(&self) {
        // SAFETY: the caller answers for it.
        self.records().filter_map(T::lock).for_each(|lock| unsafe { lock.unlock_after_fork() });
        // SAFETY: as above.
        unsafe { self.state.unlock_after_fork() }
    }

    fn is_free(&self) -> bool {
        self.state.is_free() && self.records().filter_map(T::lock).all(ForkLock::is_free)
    }
}

/// A reference to a record, in four bytes.
#[derive(Debug)]
pub struct Short<T: 'static>(NonZeroU32, PhantomData<&'static T>);

impl<T> Clone for Short<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Short<T> {}

/// The number of the page, followed by the record's offset in the page.
impl<T: Pooled> Short<T> {
    /// The short reference to a record, which must be from the type's pool.
    #[inline]
    pub fn of(record: &'static T) -> Short<T> {
        let address = ptr::from_ref(record).addr();
        // SAFETY: a page begins with its number, which does not change.
        let page = unsafe { ptr::with_exposed_provenance::<u32>(address & !(PAGE - 1)).read() };
        Short::new(page, address % PAGE)
    }

    /// The record.
    #[inline]
    pub fn get(self) -> &'static T {
        let place = self.0.get() as usize;
        // SAFETY: the page of this number exists, and contains the record. Every table since the
        // page was made has it.
        unsafe {
            let table = T::pool().table.load(std::sync::atomic::Ordering::Acquire);
            let page = (*table.add(place / PAGE)).load(std::sync::atomic::Ordering::Relaxed);
            &*page.add(place % PAGE).cast::<T>()
        }
    }

    #[inline]
    fn new(page: u32, offset: usize) -> Short<T> {
        // SAFETY: the beginning of a page is its number and not a record.
        Short(unsafe { NonZeroU32::new_unchecked((page * PAGE as u32) | offset as u32) }, PhantomData)
    }

    /// The reference as a number, which is not 0, and below 2^30.
    #[inline]
    pub fn to_bits(self) -> NonZeroU32 {
        self.0
    }

    /// The reference that [`Self::to_bits`] converted.
    ///
    /// # Safety
    /// The number must come from `to_bits`, called on a reference of the same type.
    #[inline]
    pub unsafe fn from_bits(bits: NonZeroU32) -> Short<T> {
        Short(bits, PhantomData)
    }
}

/// An atomic `Option<&'static T>` in four bytes.
#[derive(Debug)]
pub struct AtomicShort<T: 'static>(AtomicU32, PhantomData<&'static T>);

impl<T: Pooled> AtomicShort<T> {
    /// Makes a reference to nothing.
    pub const fn none() -> Self {
        AtomicShort(AtomicU32::new(0), PhantomData)
    }

    /// Loads the reference.
    #[inline]
    pub fn get(&self) -> Option<&'static T> {
        self.short().map(Short::get)
    }

    /// Stores a reference.
    #[inline]
    pub fn set(&self, value: Option<&'static T>) {
        self.set_short(value.map(Short::of));
    }

    /// Loads the reference in its short form.
    #[inline]
    pub fn short(&self) -> Option<Short<T>> {
        // SAFETY: only short references to this type are ever stored.
        NonZeroU32::new(self.0.load(Acquire)).map(|bits| unsafe { Short::from_bits(bits) })
    }

    /// Stores a reference in its short form.
    #[inline]
    pub fn set_short(&self, value: Option<Short<T>>) {
        self.0.store(Self::bits(value), Release);
    }

    /// Replaces `old` by `new`; false if another reference is stored.
    pub fn replace(&self, old: Option<&'static T>, new: Option<&'static T>) -> bool {
        let [old, new] = [old, new].map(|value| Self::bits(value.map(Short::of)));
        self.0.compare_exchange(old, new, SeqCst, Acquire).is_ok()
    }

    fn bits(value: Option<Short<T>>) -> u32 {
        value.map_or(0, |short| short.to_bits().get())
    }
}

/// An atomic `Option<&'static T>`.
#[derive(Debug)]
pub struct AtomicRef<T: 'static>(AtomicPtr<T>);

impl<T> AtomicRef<T> {
    /// Makes a reference to nothing.
    pub const fn none() -> Self {
        AtomicRef(AtomicPtr::new(ptr::null_mut()))
    }

    /// Loads the reference.
    #[inline]
    pub fn get(&self) -> Option<&'static T> {
        // SAFETY: only null and addresses of `&'static T` are ever stored.
        unsafe { self.0.load(Acquire).as_ref() }
    }

    /// Stores a reference.
    #[inline]
    pub fn set(&self, value: Option<&'static T>) {
        self.0.store(Self::address(value), Release);
    }

    /// Stores a reference with SeqCst order, for a flag that one side sets before it checks the
    /// other side's.
    pub fn set_in_order(&self, value: Option<&'static T>) {
        self.0.store(Self::address(value), SeqCst);
    }

    /// Loads the reference with SeqCst order.
    pub fn get_in_order(&self) -> Option<&'static T> {
        // SAFETY: as in `get`.
        unsafe { self.0.load(SeqCst).as_ref() }
    }

    /// Replaces `old` by `new`; false if another reference is stored.
    pub fn replace(&self, old: Option<&'static T>, new: Option<&'static T>) -> bool {
        self.0.compare_exchange(Self::address(old), Self::address(new), SeqCst, Acquire).is_ok()
    }

    fn address(value: Option<&'static T>) -> *mut T {
        value.map_or(ptr::null_mut(), |reference| ptr::from_ref(reference).cast_mut())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// About 60 fit into a page.
    struct Record {
        free: AtomicShort<Record>,
        before: AtomicShort<Record>,
        number: AtomicU32,
        _filler: [u32; 13],
    }

    static POOL: Pool<Record> = Pool::new();

    pooled!(
        POOL,
        Record,
        free,
        Record { free: AtomicShort::none(), before: AtomicShort::none(), number: AtomicU32::new(0), _filler: [0; 13] }
    );

    #[test]
    fn records_are_found_while_the_table_of_pages_grows() {
        const RECORDS: u32 = 60 * 9 * FIRST_PAGES as u32;
        static LAST: AtomicShort<Record> = AtomicShort::none();
        let follow = || {
            loop {
                let Some(mut record) = LAST.get() else { continue };
                let last = record.number.load(Acquire);
                for number in (1..=last).rev().take(200) {
                    assert_eq!(record.number.load(Acquire), number);
                    let Some(before) = record.before.get() else { break };
                    record = before;
                }
                if last == RECORDS {
                    return;
                }
            }
        };
        std::thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(follow);
            }
            for number in 1..=RECORDS {
                let record = POOL.take().expect("memory");
                record.number.store(number, Release);
                record.before.set(LAST.get());
                LAST.set(Some(record));
            }
        });
        assert!(POOL.made.load(Acquire) as usize > 8 * FIRST_PAGES);
        let mut seen = 0;
        POOL.for_each(|record| seen += u32::from(record.number.load(Acquire) != 0));
        assert_eq!(seen, RECORDS);
    }
}
