//! Memory whose type never changes: records are recycled, never given back.
//!
//! A witness in one thread may hold a record that another thread retires at that moment. Because a record stays a record of
//! its type for ever, the worst it can do is leave a hint on the wrong one, which costs a look; nothing freed is touched
//! (T10), no reference count has to be kept by readers, and `&'static` is the honest lifetime.

use std::alloc::{Layout, alloc};
use std::ptr;
use std::sync::atomic::AtomicPtr;
use std::sync::atomic::Ordering::{Acquire, Release};

use nix::errno::Errno;

use crate::lock::Lock;

/// How many records are allocated at a time.
const CHUNK: usize = 32;

/// A record that a pool can keep on its free list.
pub trait Pooled: Sized + Sync + 'static {
    /// A blank record.
    const BLANK: Self;

    /// Where the free list threads through the record; used by the pool alone while the record is free.
    fn free_link(&self) -> &AtomicRef<Self>;
}

/// The free records of one type, and every record there is.
#[derive(Debug)]
pub struct Pool<T: Pooled> {
    state: Lock<State<T>>,
}

#[derive(Debug)]
struct State<T: Pooled> {
    free: Option<&'static T>,
    chunks: Vec<&'static [T]>,
}

impl<T: Pooled> Pool<T> {
    /// An empty pool.
    pub const fn new() -> Self {
        Pool { state: Lock::new(State { free: None, chunks: Vec::new() }) }
    }

    /// A record nobody uses: blank, or as its last user left it. ENOMEM when there is no memory.
    pub fn take(&self) -> Result<&'static T, Errno> {
        let mut state = self.state.lock();
        if state.free.is_none() {
            state.grow()?;
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

    /// Every record ever made, in use or free. For fork and exit, not for every day.
    pub fn for_each(&self, mut visit: impl FnMut(&'static T)) {
        let chunks = self.state.lock().chunks.len();
        for index in 0..chunks {
            let chunk = self.state.lock().chunks[index];
            chunk.iter().for_each(&mut visit);
        }
    }

    /// Locks the pool, and lets `each` lock every record there is: nothing changes until the fork is done.
    pub fn lock_for_fork(&self, each: impl FnMut(&'static T)) {
        let state = self.state.lock();
        state.chunks.iter().flat_map(|chunk| chunk.iter()).for_each(each);
        std::mem::forget(state);
    }

    /// The other half of [`Self::lock_for_fork`], in the parent and in the child.
    ///
    /// # Safety
    /// As for [`Lock::unlock_after_fork`].
    pub unsafe fn unlock_after_fork(&self, each: impl FnMut(&'static T)) {
        // SAFETY: the caller locked the pool, so nobody else uses its state.
        let state = unsafe { self.state.held_by_fork() };
        state.chunks.iter().flat_map(|chunk| chunk.iter()).for_each(each);
        // SAFETY: the caller answers for it.
        unsafe { self.state.unlock_after_fork() }
    }
}

impl<T: Pooled> State<T> {
    fn grow(&mut self) -> Result<(), Errno> {
        self.chunks.try_reserve(1).map_err(|_| Errno::ENOMEM)?;
        let layout = Layout::array::<T>(CHUNK).map_err(|_| Errno::ENOMEM)?;
        // SAFETY: records are not zero-sized, so the layout is not.
        let first = unsafe { alloc(layout) }.cast::<T>();
        if first.is_null() {
            return Err(Errno::ENOMEM);
        }
        for index in 0..CHUNK {
            // SAFETY: the allocation has room for CHUNK records.
            unsafe { first.add(index).write(T::BLANK) };
        }
        // SAFETY: all CHUNK records were just written, and the memory is never freed.
        let chunk: &'static [T] = unsafe { std::slice::from_raw_parts(first, CHUNK) };
        for record in chunk.iter().rev() {
            record.free_link().set(self.free);
            self.free = Some(record);
        }
        self.chunks.push(chunk);
        Ok(())
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
        self.0.store(Self::address(value), std::sync::atomic::Ordering::SeqCst);
    }

    /// Loads in the single order of all such operations.
    pub fn get_in_order(&self) -> Option<&'static T> {
        // SAFETY: as in `get`.
        unsafe { self.0.load(std::sync::atomic::Ordering::SeqCst).as_ref() }
    }

    /// Puts `new` in place of `old`, if it is still there.
    pub fn replace(&self, old: Option<&'static T>, new: Option<&'static T>) -> bool {
        self.0
            .compare_exchange(Self::address(old), Self::address(new), std::sync::atomic::Ordering::SeqCst, Acquire)
            .is_ok()
    }

    fn address(value: Option<&'static T>) -> *mut T {
        value.map_or(ptr::null_mut(), |reference| ptr::from_ref(reference).cast_mut())
    }
}
