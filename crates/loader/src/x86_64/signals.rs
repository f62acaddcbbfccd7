//! The guest's signal handlers. The kernel calls `handler` in their place, because a signal may
//! interrupt the library, when the thread pointer is not the guest's.

use std::arch::naked_asm;
use std::sync::atomic::Ordering::{Relaxed, SeqCst};
use std::sync::atomic::{AtomicPtr, AtomicUsize};

use libc::EINVAL;
use syscalls::{Sysno, raw_syscall};

use super::memory;

const SIGNALS: usize = 65;
/// The bytes of a set of signals.
const SET: usize = 8;
/// The handlers that are none: SIG_DFL and SIG_IGN.
const NONE: usize = 1;

/// The kernel's sigaction.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
struct Action {
    handler: usize,
    flags: usize,
    restorer: usize,
    mask: u64,
}

/// The guest's handlers, by signal.
static HANDLERS: [AtomicUsize; SIGNALS] = [const { AtomicUsize::new(0) }; SIGNALS];
/// The function that returns the thread's guest pointer.
static POINTER: AtomicPtr<()> = AtomicPtr::new(std::ptr::null_mut());

/// Notes the function that returns a thread's guest pointer.
pub fn set_up(pointer: extern "C" fn() -> usize) {
    POINTER.store(pointer as *mut (), Relaxed);
}

/// glibc's signal for a change of ids in every thread, which Go uses for its own threads.
const CHANGES_IDS: usize = 33;

/// Makes the first thread by `make`. glibc installs a handler then, which would replace the guest's
/// later; the action stays as it is now. Returns what `make` does.
pub fn keep_from_libc(make: fn() -> bool) -> bool {
    let blocked = block();
    let mut action = Action { handler: 0, flags: 0, restorer: 0, mask: 0 };
    // SAFETY: the structure is the kernel's.
    let read = unsafe { raw_syscall!(Sysno::rt_sigaction, CHANGES_IDS, 0usize, &raw mut action, SET) };
    let is_made = make();
    if read == 0 {
        // SAFETY: as above. The action is the one that was there.
        unsafe { raw_syscall!(Sysno::rt_sigaction, CHANGES_IDS, &raw const action, 0usize, SET) };
    }
    set_blocked(blocked);
    is_made
}

/// Blocks all signals in the calling thread; returns those that were blocked.
pub fn block() -> u64 {
    swap_blocked(u64::MAX)
}

/// Blocks these signals in the calling thread, and no others.
pub fn set_blocked(signals: u64) {
    swap_blocked(signals);
}

fn swap_blocked(signals: u64) -> u64 {
    let mut before = 0u64;
    // SAFETY: both sets are the kernel's size. Not libc's call, which leaves its own signals alone.
    unsafe { raw_syscall!(Sysno::rt_sigprocmask, libc::SIG_SETMASK, &raw const signals, &raw mut before, SET) };
    before
}

/// Answers rt_sigaction.
pub fn action(arguments: &[usize; 6]) -> isize {
    let [signal, new, old, set, ..] = *arguments;
    let Some(handler) = HANDLERS.get(signal) else { return -EINVAL as isize };
    let before = handler.load(SeqCst);
    let mut action = Action { handler: 0, flags: 0, restorer: 0, mask: 0 };
    if new != 0 {
        let mut bytes = [0; size_of::<Action>()];
        if !memory::read_all(new, &mut bytes) {
            return -libc::EFAULT as isize;
        }
        // SAFETY: every pattern of bits is such a structure.
        action = unsafe { bytes.as_ptr().cast::<Action>().read_unaligned() };
        // A child of vfork only takes handlers away, and must not change the parent's.
        if action.handler > NONE {
            handler.store(action.handler, SeqCst);
            action.handler = self::handler as *const () as usize;
        }
    }
    let mut former = Action { handler: 0, flags: 0, restorer: 0, mask: 0 };
    let passed = if new == 0 { std::ptr::null() } else { &raw const action };
    // SAFETY: both structures are the kernel's.
    let result = unsafe { raw_syscall!(Sysno::rt_sigaction, signal, passed, &raw mut former, set) } as isize;
    if result < 0 {
        handler.store(before, SeqCst);
        return result;
    }
    if old != 0 {
        if former.handler == self::handler as *const () as usize {
            former.handler = before;
        }
        // SAFETY: the structure has no padding.
        let bytes = unsafe { std::slice::from_raw_parts((&raw const former).cast::<u8>(), size_of::<Action>()) };
        if let Err(error) = memory::write(old, bytes) {
            return error;
        }
    }
    0
}

const _: () = assert!(size_of::<Action>() == 3 * 8 + SET);

/// Calls the guest's handler with the guest's thread pointer.
#[unsafe(naked)]
unsafe extern "C" fn handler() {
    naked_asm!(
        "lea rax, [rip + {handlers}]",
        "mov ecx, edi",
        "mov rax, [rax + rcx * 8]",
        "rdfsbase rcx",
        "cmp rcx, qword ptr gs:0",
        "je 2f",
        "jmp rax",
        "2:",
        "push rcx",
        "push rax",
        "push rdi",
        "push rsi",
        "push rdx",
        "call qword ptr [rip + {pointer}]",
        "pop rdx",
        "pop rsi",
        "pop rdi",
        "pop rcx",
        "wrfsbase rax",
        "call rcx",
        "pop rcx",
        "wrfsbase rcx",
        "ret",
        handlers = sym HANDLERS,
        pointer = sym POINTER,
    )
}
