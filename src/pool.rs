//! Memory whose type never changes: records are recycled, never given back.
//!
//! A witness in one thread may hold a record that another thread retires at that moment. Because a record stays a record of
//! its type for ever, the worst it can do is leave a hint on the wrong one, which costs a look; nothing freed is touched
//! (T10), no reference count has to be kept by readers, and `&'static` is the honest lifetime.

use std::alloc::Layout;
use std::ptr;

use nix::errno::Errno;

use crate::lock::Lock;
use crate::memory;
use crate::sync::atomic::AtomicPtr;
use crate::sync::atomic::Ordering::{Acquire, Release, SeqCst};

/// How many records are allocated at a time.
const CHUNK: usize = 32;

/// A record that a pool can keep on its free list.
pub trait Pooled: Sized + Sync + 'static {
    /// A blank record.
    const BLANK: Self;

    /// Where the free list threads through the record; used by the pool alone while the record is free.
    fn free_link(&self) -> &AtomicRef<Self>;
}

/// Records that are made together.
#[derive(Debug)]
pub struct Chunk<T: 'static> {
    records: [T; CHUNK],
    /// The chunk that was made before.
    next: AtomicRef<Chunk<T>>,
}

impl<T: Pooled> Chunk<T> {
    /// Blank records.
    pub const fn blank() -> Chunk<T> {
        Chunk { records: [const { T::BLANK }; CHUNK], next: AtomicRef::none() }
    }
}

/// The free records of one type, and every record there is.
#[derive(Debug)]
pub struct Pool<T: Pooled> {
    /// The free list.
    state: Lock<State<T>>,
    /// The latest chunk. Changed under the lock, and read without: whoever goes through all records may hold the lock of one, for
    /// which a fork that has this lock waits.
    chunks: AtomicRef<Chunk<T>>,
    /// A chunk that needs no memory, for records that must be there when there is none.
    first: Option<&'static Chunk<T>>,
}

#[derive(Debug)]
struct State<T: Pooled> {
    free: Option<&'static T>,
}

impl<T: Pooled> Pool<T> {
    /// An empty pool.
    pub const fn new() -> Self {
        Pool { state: Lock::new(State { free: None }), chunks: AtomicRef::none(), first: None }
    }

    /// A pool whose first records are there from the start.
    pub const fn starting_with(first: &'static Chunk<T>) -> Self {
        Pool { state: Lock::new(State { free: None }), chunks: AtomicRef::none(), first: Some(first) }
    }

    /// A record nobody uses: blank, or as its last user left it. ENOMEM when there is no memory.
    pub fn take(&self) -> Result<&'static T, Errno> {
        let mut state = self.state.lock();
        if state.free.is_none() {
            match self.first {
                Some(first) if self.chunks.get().is_none() => self.add(&mut state, first),
                _ => self.grow(&mut state)?,
            }
        }
        let record = state.free.ok_or(Errno::ENOMEM)?;
        state.free = record.free_link().get();
        Ok(record)
    }

    /// Takes a record back.
    pub fn give_back(&self, record: &'static T) {
        let mut state = self.state.lock();
        record.free_link().set(state.free);
        state.free = Some(record);
    }

    /// Every record ever made, in use or free. Without the lock.
    pub fn for_each(&self, visit: impl FnMut(&'static T)) {
        self.records().for_each(visit);
    }

    /// Whether nobody is at the pool, nor at any record.
    pub fn is_at_rest(&self, each: impl FnMut(&'static T) -> bool) -> bool {
        self.state.is_free() && self.records().all(each)
    }

    /// How many records are in use, for the models: fails if the free list holds one twice.
    #[cfg(test)]
    pub fn in_use(&self) -> usize {
        let state = self.state.lock();
        let records = self.records().count();
        let free = std::iter::successors(state.free, |record| record.free_link().get()).take(records + 1).count();
        assert!(free <= records, "the free list runs in a circle");
        records - free
    }

    /// Locks the pool, and lets `each` lock every record there is: nothing changes until the fork is done.
    pub fn lock_for_fork(&self, each: impl FnMut(&'static T)) {
        self.state.lock_for_fork();
        self.for_each(each);
    }

    /// The other half of [`Self::lock_for_fork`], in the parent and in the child.
    ///
    /// # Safety
    /// As for [`Lock::unlock_after_fork`].
    pub unsafe fn unlock_after_fork(&self, each: impl FnMut(&'static T)) {
        self.for_each(each);
        // SAFETY: the caller answers for it.
        unsafe { self.state.unlock_after_fork() }
    }

    fn records(&self) -> impl Iterator<Item = &'static T> + use<T> {
        std::iter::successors(self.chunks.get(), |chunk| chunk.next.get()).flat_map(|chunk| chunk.records.iter())
    }

    #[cold]
    #[inline(never)]
    fn grow(&self, state: &mut State<T>) -> Result<(), Errno> {
        let chunk = memory::forever(Layout::new::<Chunk<T>>()).cast::<Chunk<T>>();
        if chunk.is_null() {
            return Err(Errno::ENOMEM);
        }
        // SAFETY: the memory is large enough and aligned, nobody else's, and never freed.
        let chunk: &'static Chunk<T> = unsafe {
            chunk.write(Chunk::blank());
            &*chunk
        };
        self.add(state, chunk);
        Ok(())
    }

    fn add(&self, state: &mut State<T>, chunk: &'static Chunk<T>) {
        chunk.next.set(self.chunks.get());
        self.chunks.set(Some(chunk));
        for record in chunk.records.iter().rev() {
            record.free_link().set(state.free);
            state.free = Some(record);
        }
    }
}

/// An atomic `Option<&'static T>`.
#[derive(Debug)]
pub struct AtomicRef<T: 'static>(AtomicPtr<T>);

impl<T> AtomicRef<T> {
    /// None.
    pub const fn none() -> Self {
        AtomicRef(AtomicPtr::new(ptr::null_mut()))
    }

    /// The reference now.
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

    /// Stores a reference in the single order of all such operations: for a flag that one side raises before it looks at
    /// the other side's.
    pub fn set_in_order(&self, value: Option<&'static T>) {
        self.0.store(Self::address(value), SeqCst);
    }

    /// Loads in the single order of all such operations.
    pub fn get_in_order(&self) -> Option<&'static T> {
        // SAFETY: as in `get`.
        unsafe { self.0.load(SeqCst).as_ref() }
    }

    /// Puts `new` in place of `old`, if it is still there.
    pub fn replace(&self, old: Option<&'static T>, new: Option<&'static T>) -> bool {
        self.0.compare_exchange(Self::address(old), Self::address(new), SeqCst, Acquire).is_ok()
    }

    fn address(value: Option<&'static T>) -> *mut T {
        value.map_or(ptr::null_mut(), |reference| ptr::from_ref(reference).cast_mut())
    }
}
