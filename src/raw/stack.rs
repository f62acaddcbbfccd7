//! The stack of its own on which a thread is in the library after a rewritten system call.
//!
//! A goroutine's stack may have only a few hundred bytes left, and an alternate signal stack may be
//! as small as MINSIGSTKSZ. So the first such call of a thread maps a stack (`thunk::first`), which
//! is unmapped when the thread ends.
//!
//! A signal handler may interrupt the thunk and make such calls itself. Each call has a level of
//! the stack, of `LEVEL` bytes. The thread's next level is in thread-local memory, because a
//! handler on an alternate stack could not find it otherwise. It is counted before the thunk
//! changes to the stack, and given up when it has left it.

use std::arch::asm;
use std::cell::Cell;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering::Relaxed;

use libc::{c_int, c_void, stack_t};
use syscalls::{Sysno, syscall};

use super::thunk::Frame;
use crate::sys;

/// The bytes of a level. The library needs a small part of them, the rest is for the frames of
/// signal handlers that have no alternate stack.
pub const LEVEL: usize = 256 << 10;
/// The bytes of a stack: eight levels, and below them a guard as large as a level, because a call
/// begins at the top of its level whether or not there is one.
pub const SIZE: usize = 8 * LEVEL + GUARD;
const GUARD: usize = LEVEL;

thread_local! {
    /// The thread's stack will be unmapped when the thread ends.
    static IS_ARMED: Cell<bool> = const { Cell::new(false) };
}

/// The key whose destructor unmaps the stack.
static KEY: AtomicU32 = AtomicU32::new(u32::MAX);
/// glibc keeps the values of so many keys in the thread itself, and allocates for more.
const KEYS_WITHIN_THE_THREAD: u32 = 32;

/// The words of a thread: `thunk` has them as `epolyfill_raw_stack`.
#[derive(Debug)]
#[repr(C)]
pub struct Words {
    /// The top of the next level; 0 if the thread has no stack.
    pub next: Cell<usize>,
    /// The end of the stack, which is the top of its first level.
    pub end: Cell<usize>,
    /// The thread pointer that a static program has set for itself (`guest`).
    pub guest_pointer: Cell<usize>,
    /// The stack pointer of the innermost handler of a guest's that has interrupted the library.
    pub handler: Cell<usize>,
    /// Not 0 if a signal of cancellation has been put off (`cancel`).
    pub put_off: Cell<usize>,
    /// Where the stack is free that a guest's thread has beside the guest's own; 0 if it has none.
    pub own_stack: Cell<usize>,
}

/// The offset of the thread's words from the thread pointer, the same for all threads.
pub fn offset() -> isize {
    let offset;
    // SAFETY: reads a word that the dynamic linker has set.
    unsafe {
        asm!("mov {}, qword ptr [rip + epolyfill_raw_stack@gottpoff]", out(reg) offset, options(pure, readonly, nostack));
    }
    offset
}

/// The words of the calling thread, which outlive every use: they are the thread's.
pub fn words() -> &'static Words {
    let pointer: isize;
    // SAFETY: the first word of the thread control block is its address.
    unsafe { asm!("mov {}, qword ptr fs:0", out(reg) pointer, options(pure, readonly, nostack)) };
    // SAFETY: the memory is there as long as the thread, is only used by it, and of this type.
    unsafe { &*((pointer + offset()) as *const Words) }
}

/// The frame of the call that the thread is in; `None` if it is on another stack.
pub fn innermost() -> Option<*const Frame> {
    let (words, here) = (words(), 0u8);
    let (next, end) = (words.next.get(), words.end.get());
    let is_here = (next..end).contains(&(&raw const here).addr());
    (end != 0 && is_here).then(|| Frame::at(next + LEVEL).cast_const())
}

/// Makes stacks be unmapped when their threads end. Once, at start-up.
pub fn set_up() {
    let mut key = 0;
    // SAFETY: a valid pointer; the destructor is a function of this library, which is never
    // unloaded.
    if unsafe { libc::pthread_key_create(&raw mut key, Some(end_thread)) } == 0 && key < KEYS_WITHIN_THE_THREAD {
        KEY.store(key, Relaxed);
    }
}

/// Completes the stack on the first call of its thread, if it has one.
pub fn complete() {
    if words().end.get() == 0 || IS_ARMED.replace(true) {
        return;
    }
    let lowest = words().end.get() - SIZE;
    // Without a guard the stack works as well.
    // SAFETY: the pages are the stack's.
    let _ = unsafe { syscall!(Sysno::mprotect, lowest, GUARD, libc::PROT_NONE) };
    let key = KEY.load(Relaxed);
    if key != u32::MAX {
        // SAFETY: the key exists; any value but null makes the destructor run.
        unsafe { libc::pthread_setspecific(key, (&raw const KEY).cast()) };
    }
}

/// Maps the calling thread's stack before it is needed; false if there is no memory.
pub fn prepare() -> bool {
    let words = words();
    if words.end.get() == 0 && map(words).is_none() {
        return false;
    }
    complete();
    true
}

/// Maps a stack for a thread that has none; `None` if there is no memory. The flags are those of
/// `thunk::first`.
fn map(words: &Words) -> Option<()> {
    let access = libc::PROT_READ | libc::PROT_WRITE;
    let kind = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE | libc::MAP_STACK;
    // SAFETY: a new mapping.
    let lowest = unsafe { syscall!(Sysno::mmap, 0usize, SIZE, access, kind, -1isize, 0usize) }.ok()?;
    words.end.set(lowest + SIZE);
    words.next.set(lowest + SIZE);
    Some(())
}

unsafe extern "C" fn end_thread(_: *mut c_void) {
    let words = words();
    let end = words.end.get();
    if end == 0 {
        return;
    }
    // Another destructor may make such a call, on another stack. A handler must not, between these
    // lines.
    let mask = sys::swap_signal_mask(!0);
    words.next.set(0);
    words.end.set(0);
    IS_ARMED.set(false);
    sys::swap_signal_mask(mask);
    // SAFETY: the stack belongs to nobody else. The thread is not on it, unless a handler that
    // interrupted a call ends the thread, which no system call permits its caller.
    unsafe { sys::unmap((end - SIZE) as *mut u8, SIZE) };
}

/// Gives up the levels that are lost. A level is lost if its call never returns: a handler left it
/// by `siglongjmp`, or it belonged to a vfork child that has executed a program. Returns by how much
/// the call's frame has to move up, to the first level.
///
/// A call from a lower level is a handler's, if its stack is this one or the alternate one. On any
/// other stack the thread cannot be in the library, but for the few instructions in which it has
/// counted a level and not changed to the stack yet: then the level has no frame. Go's runtime does
/// not support the exception, a C handler on the alternate stack that calls back into Go.
pub unsafe extern "C" fn settle(frame: &mut Frame) -> usize {
    let (level, end) = (frame.level, words().end.get());
    if (end - SIZE..end).contains(&frame.stack_pointer) || is_on_alternate(frame.stack_pointer) {
        return 0;
    }
    // SAFETY: the level above this one is on the stack, and has a frame at its top or had one.
    let above = unsafe { &mut *Frame::at(level + LEVEL) };
    if std::mem::take(&mut above.is_entered) == 0 {
        return 0;
    }
    frame.level = end;
    end - level
}

/// Counts the level of a call that was trapped at this stack pointer, with this alternate stack;
/// `None` if there is no memory or no level left. All signals are blocked.
pub fn next_level(pointer: usize, alternate: &stack_t) -> Option<usize> {
    let words = words();
    if words.end.get() == 0 {
        map(words)?;
    }
    let end = words.end.get();
    // As in `settle`: otherwise the levels were left by `siglongjmp`, or the one that is left has
    // only its last instruction before it, which stores the level itself.
    if !(end - SIZE..end).contains(&pointer) && !contains(alternate, pointer) {
        words.next.set(end);
    }
    let level = words.next.get();
    if level - LEVEL < end - SIZE + GUARD {
        return None;
    }
    words.next.set(level - LEVEL);
    Some(level)
}

/// Whether an address is on the thread's alternate stack.
pub fn is_on_alternate(address: usize) -> bool {
    let mut stack = stack_t { ss_sp: std::ptr::null_mut(), ss_flags: libc::SS_DISABLE, ss_size: 0 };
    // SAFETY: the kernel writes the structure.
    let read = unsafe { syscall!(Sysno::sigaltstack, 0usize, &raw mut stack) };
    read.is_ok() && contains(&stack, address)
}

fn contains(stack: &stack_t, address: usize) -> bool {
    let lowest = stack.ss_sp.addr();
    stack.ss_flags & DISABLED == 0 && (lowest..lowest + stack.ss_size).contains(&address)
}

const DISABLED: c_int = libc::SS_DISABLE;
