//! The library's own memory, which comes from the kernel by mmap and never from the program's
//! allocator.
//!
//! The hooks run inside programs' allocators (jemalloc reads and closes files under its locks) and
//! around fork, where an allocator is locked before or after this library: a thread that called
//! `malloc` from here could wait for itself. Besides, a failed allocation is an ordinary result
//! here: NULL, which every caller turns into ENOMEM.
//!
//! Blocks of up to `LARGEST` bytes have the size of a power of two and are recycled by size; larger
//! ones are mappings of their own.

use std::alloc::{GlobalAlloc, Layout};
use std::cell::Cell;
use std::mem::MaybeUninit;
use std::ptr;

use nix::errno::Errno;

use crate::lock::{Lock, Rank};
use crate::sys;

/// The bytes that are taken from the kernel at a time. They cost address space, and memory only as
/// far as they are used.
const CHUNK: usize = 256 * 1024;
/// The smallest block, with room for the free list's link.
const SMALLEST: usize = 16;
/// The largest block that is recycled by size. A mapping grows without a copy, and its unused part
/// takes no memory.
const LARGEST: usize = PAGE / 2;
const CLASSES: usize = (LARGEST.trailing_zeros() - SMALLEST.trailing_zeros()) as usize + 1;
const PAGE: usize = 4096;

/// The allocator.
#[derive(Debug)]
pub struct Memory;

/// The free blocks, and the rest of the last chunk.
#[derive(Debug)]
pub struct Heap {
    /// The free blocks of each size, each of which points to the next.
    free: [*mut u8; CLASSES],
    /// The rest of the current chunk.
    next: *mut u8,
    left: usize,
}

// SAFETY: the pointers are to memory that is used nowhere else, and only under the lock.
unsafe impl Send for Heap {}

/// The allocator's state. A fork takes its lock last of all.
pub static HEAP: Lock<Heap> =
    Lock::new(Rank::HEAP, Heap { free: [ptr::null_mut(); CLASSES], next: ptr::null_mut(), left: 0 });

thread_local! {
    /// A block for the next request for which it is large enough, with its layout (see
    /// [`infallible`]).
    static SET_ASIDE: Cell<(*mut u8, Layout)> = const { Cell::new((ptr::null_mut(), Layout::new::<u8>())) };
}

/// The free list for a layout; `None` if a block of that layout is a mapping of its own.
fn class(layout: Layout) -> Option<usize> {
    let size = layout.size().max(layout.align()).max(SMALLEST);
    (size <= LARGEST).then(|| (size.next_power_of_two().trailing_zeros() - SMALLEST.trailing_zeros()) as usize)
}

impl Heap {
    fn take(&mut self, class: usize) -> *mut u8 {
        let block = self.free[class];
        if block.is_null() {
            return self.carve(SMALLEST << class, (SMALLEST << class).min(PAGE));
        }
        // SAFETY: a free block starts with the link to the next one.
        self.free[class] = unsafe { block.cast::<*mut u8>().read() };
        block
    }

    fn give_back(&mut self, class: usize, block: *mut u8) {
        // SAFETY: the block is free from here on, large enough for a pointer and aligned for it.
        unsafe { block.cast::<*mut u8>().write(self.free[class]) };
        self.free[class] = block;
    }

    /// Cuts a block from the current chunk, or from a new one. The rest of the old chunk, which is
    /// smaller than the block, is lost.
    fn carve(&mut self, size: usize, align: usize) -> *mut u8 {
        let mut skip = self.next.align_offset(align);
        if self.left < skip + size {
            let Ok(chunk) = sys::map(CHUNK) else { return ptr::null_mut() };
            (self.next, self.left, skip) = (chunk, CHUNK, 0);
        }
        // SAFETY: both are within the chunk, which has `left` bytes from `next` on.
        let block = unsafe { self.next.add(skip) };
        // SAFETY: as above.
        self.next = unsafe { block.add(size) };
        self.left -= skip + size;
        block
    }
}

/// Gives the pages of unused memory back to the kernel; they can be used again.
pub fn discard<T>(unused: &mut [MaybeUninit<T>]) {
    let range = unused.as_mut_ptr_range();
    let skip = range.start.addr().next_multiple_of(PAGE) - range.start.addr();
    let bytes = size_of_val(unused).saturating_sub(skip) & !(PAGE - 1);
    if bytes > 0 {
        // SAFETY: the pages are within the slice, which contains no values.
        unsafe { sys::discard(range.start.cast::<u8>().add(skip), bytes) };
    }
}

/// Memory that is never freed, and not rounded up to a power of two. NULL if there is none.
pub fn forever(layout: Layout) -> *mut u8 {
    if layout.size() > CHUNK / 8 || layout.align() > PAGE {
        return sys::map(layout.size()).unwrap_or(ptr::null_mut());
    }
    HEAP.lock().carve(layout.size(), layout.align())
}

/// Calls a function that allocates once and would end the process if that failed, with the memory
/// set aside beforehand. ENOMEM if there is none.
pub fn infallible<T>(layout: Layout, make: impl FnOnce() -> T) -> Result<T, Errno> {
    // SAFETY: the layout is not empty.
    let block = unsafe { Memory.alloc(layout) };
    if block.is_null() {
        return Err(Errno::ENOMEM);
    }
    SET_ASIDE.set((block, layout));
    let made = make();
    let (rest, layout) = SET_ASIDE.replace((ptr::null_mut(), Layout::new::<u8>()));
    if !rest.is_null() {
        // SAFETY: it was allocated above with this layout, and was not used.
        unsafe { Memory.dealloc(rest, layout) };
    }
    Ok(made)
}

// SAFETY: blocks have the size and alignment requested, are disjoint, and live until they are
// freed; nothing unwinds.
unsafe impl GlobalAlloc for Memory {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let (aside, its_layout) = SET_ASIDE.get();
        if !aside.is_null() && its_layout.size() == layout.size() && its_layout.align() >= layout.align() {
            SET_ASIDE.set((ptr::null_mut(), its_layout));
            return aside;
        }
        if layout.align() > PAGE {
            return ptr::null_mut();
        }
        match class(layout) {
            Some(class) => HEAP.lock().take(class),
            None => sys::map(layout.size()).unwrap_or(ptr::null_mut()),
        }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        match class(layout) {
            Some(class) => HEAP.lock().give_back(class, block),
            // SAFETY: the mapping was made for this layout, and the caller is done with it.
            None => unsafe { sys::unmap(block, layout.size()) },
        }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: the caller guarantees that the size is valid for this alignment.
        let wanted = unsafe { Layout::from_size_align_unchecked(size, layout.align()) };
        match (class(layout), class(wanted)) {
            (Some(before), Some(after)) if before == after => block,
            // SAFETY: the mapping was made for this layout.
            (None, None) => unsafe { sys::remap(block, layout.size(), size) }.unwrap_or(ptr::null_mut()),
            _ => {
                // SAFETY: the size is not zero.
                let moved = unsafe { self.alloc(wanted) };
                if !moved.is_null() {
                    // SAFETY: both blocks have room for the smaller of the two sizes, and they are
                    // disjoint; the caller gives up the old one.
                    unsafe {
                        ptr::copy_nonoverlapping(block, moved, layout.size().min(size));
                        self.dealloc(block, layout);
                    }
                }
                moved
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fill(block: *mut u8, size: usize, byte: u8) {
        // SAFETY: the tests fill blocks that they have allocated.
        unsafe { block.write_bytes(byte, size) };
    }

    fn holds(block: *mut u8, size: usize, byte: u8) -> bool {
        // SAFETY: as above.
        unsafe { std::slice::from_raw_parts(block, size) }.iter().all(|&found| found == byte)
    }

    #[test]
    fn blocks_are_aligned_disjoint_and_recycled() {
        let sizes = [1, 16, 17, 100, 4096, 5000, LARGEST, LARGEST + 1, 3 * CHUNK];
        for align in [1, 8, 64, 4096] {
            let mut blocks = Vec::new();
            for (index, size) in sizes.into_iter().cycle().take(90).enumerate() {
                let layout = Layout::from_size_align(size, align).expect("layout");
                // SAFETY: the layout is not empty.
                let block = unsafe { Memory.alloc(layout) };
                assert!(!block.is_null() && block.addr().is_multiple_of(align));
                fill(block, size, index as u8);
                blocks.push((block, layout));
            }
            for (index, &(block, layout)) in blocks.iter().enumerate() {
                assert!(holds(block, layout.size(), index as u8));
                // SAFETY: it was allocated with this layout.
                unsafe { Memory.dealloc(block, layout) };
            }
        }
    }

    #[test]
    fn a_block_that_grows_and_shrinks_keeps_what_it_holds() {
        let mut layout = Layout::from_size_align(10, 8).expect("layout");
        // SAFETY: the layout is not empty.
        let mut block = unsafe { Memory.alloc(layout) };
        fill(block, 10, 7);
        for size in [16, 40, 20_000, 40_000, 5 << 20, 50_000, 100, 10] {
            // SAFETY: the block was allocated with this layout.
            block = unsafe { Memory.realloc(block, layout, size) };
            assert!(!block.is_null() && holds(block, 10, 7));
            layout = Layout::from_size_align(size, 8).expect("layout");
        }
        // SAFETY: as above.
        unsafe { Memory.dealloc(block, layout) };
    }

    #[test]
    fn threads_share_the_heap() {
        std::thread::scope(|scope| {
            for thread in 0..4u8 {
                scope.spawn(move || {
                    for round in 0..20_000 {
                        let layout = Layout::from_size_align(16 << (round % 8), 8).expect("layout");
                        // SAFETY: the block is allocated, used and freed with one layout.
                        unsafe {
                            let block = Memory.alloc(layout);
                            fill(block, layout.size(), thread);
                            assert!(holds(block, layout.size(), thread));
                            Memory.dealloc(block, layout);
                        }
                    }
                });
            }
        });
    }

    #[test]
    fn more_than_there_is_is_refused() {
        let layout = Layout::from_size_align(1 << 60, 8).expect("layout");
        // SAFETY: the layout is not empty.
        assert!(unsafe { Memory.alloc(layout) }.is_null());
        assert_eq!(infallible(layout, || ()), Err(Errno::ENOMEM));
    }
}
