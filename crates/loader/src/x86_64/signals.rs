//! The guest's signal handlers. The kernel calls `handler` in their place, because a signal may
//! interrupt the library, when the thread pointer is not the guest's.

use std::arch::{asm, naked_asm};
use std::sync::atomic::Ordering::{Relaxed, SeqCst};
use std::sync::atomic::{AtomicPtr, AtomicUsize};

use epolyfill_sites::guest::Thread;
use libc::{EINVAL, siginfo_t, ucontext_t};
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
/// The functions of the library for handlers: `begin_handler`, `end_handler`, `may_interrupt`.
static LIBRARY: [AtomicPtr<()>; 3] = [const { AtomicPtr::new(std::ptr::null_mut()) }; 3];

/// The signal by which the guest's C library cancels a thread.
static CANCELS: AtomicUsize = AtomicUsize::new(0);

/// Notes what the library does for handlers.
pub fn set_up(library: &Thread) {
    CANCELS.store(library.cancels, Relaxed);
    LIBRARY[0].store(library.begin_handler as *mut (), Relaxed);
    LIBRARY[1].store(library.end_handler as *mut (), Relaxed);
    LIBRARY[2].store(library.may_interrupt as *mut (), Relaxed);
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

/// Blocks all signals but SIGSYS in the calling thread; returns those that were blocked. A call of
/// libc's may raise SIGSYS by a seccomp filter of the guest's, and the kernel ends a process that
/// blocks it.
pub fn block_for_libc() -> u64 {
    swap_blocked(!(1 << (libc::SIGSYS - 1)))
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
            let entry = entry(signal);
            action.handler = entry;
            // A call that was interrupted returns, so that the signal can take effect.
            if entry == cancel as *const () as usize {
                action.flags &= !(libc::SA_RESTART as usize);
            }
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
        if former.handler == entry(signal) {
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

/// The handler that the loader installs in place of the guest's.
fn entry(signal: usize) -> usize {
    match signal == CANCELS.load(Relaxed) && super::has_c() {
        true => cancel as *const () as usize,
        false => handler as *const () as usize,
    }
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
        "je epolyfill_loader_interrupts_library",
        "jmp rax",
        ".globl epolyfill_loader_interrupts_library",
        ".hidden epolyfill_loader_interrupts_library",
        "epolyfill_loader_interrupts_library:",
        "push rcx",
        "push rax",
        "push rdi",
        "push rsi",
        "push rdx",
        "mov rdi, rsp",
        "call qword ptr [rip + {library}]",
        "mov r9, rdx",
        "pop rdx",
        "pop rsi",
        "pop rdi",
        "pop r8",
        // Twice, for the stack to be aligned.
        "push r9",
        "push r9",
        "wrfsbase rax",
        "call r8",
        "pop rdi",
        "pop rdi",
        "mov rcx, [rsp]",
        "wrfsbase rcx",
        "call qword ptr [rip + {library} + 8]",
        "pop rcx",
        "ret",
        handlers = sym HANDLERS,
        library = sym LIBRARY,
    )
}

unsafe extern "C" {
    static epolyfill_loader_interrupts_library: [u8; 0];
}

/// Calls the guest's handler of the signal of cancellation, unless the library puts it off. The
/// handler unwinds the stack: nothing may stand between it and the frame of the signal.
#[unsafe(naked)]
unsafe extern "C" fn cancel() {
    naked_asm!(
        "push rdi",
        "push rsi",
        "push rdx",
        "rdfsbase rcx",
        "push rcx",
        "sub rsp, 8",
        "mov rax, qword ptr gs:0",
        "wrfsbase rax",
        "mov rdi, rsi",
        "mov rsi, rdx",
        "mov rdx, rcx",
        "call {may_interrupt}",
        "add rsp, 8",
        "pop rcx",
        "wrfsbase rcx",
        "pop rdx",
        "pop rsi",
        "pop rdi",
        "test al, al",
        "je 2f",
        "lea rax, [rip + {handlers}]",
        "mov ecx, edi",
        "mov rax, [rax + rcx * 8]",
        "jmp rax",
        "2:",
        "ret",
        handlers = sym HANDLERS,
        may_interrupt = sym may_interrupt,
    )
}

extern "C" fn may_interrupt(info: &siginfo_t, context: &mut ucontext_t, pointer: usize) -> bool {
    let registers = &mut context.uc_mcontext.gregs;
    let begins = (handler as *const ()).addr()..(&raw const epolyfill_loader_interrupts_library).addr();
    if begins.contains(&(registers[libc::REG_RIP as usize] as usize)) && pointer != thread_pointer() {
        // Another handler has not begun: then it begins here.
        let signal = registers[libc::REG_RDI as usize] as usize;
        registers[libc::REG_RIP as usize] = HANDLERS[signal % SIGNALS].load(Relaxed) as i64;
    }
    // SAFETY: `set_up` has stored the address of such a function.
    let library: MayInterrupt = unsafe { std::mem::transmute(LIBRARY[2].load(Relaxed)) };
    library(info, context, pointer)
}

type MayInterrupt = extern "C" fn(&siginfo_t, &mut ucontext_t, usize) -> bool;

fn thread_pointer() -> usize {
    let pointer;
    // SAFETY: the first word of the thread control block is its address.
    unsafe { asm!("mov {}, qword ptr fs:0", out(reg) pointer, options(pure, readonly, nostack)) };
    pointer
}
