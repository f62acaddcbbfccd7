//! The cancellation of a guest's threads.
//!
//! glibc makes a thread cancellable at any moment around each call that may block. The handler of
//! its signal then unwinds the thread's stack, and must not do that while the thread is in the
//! library. So the signal is put off to the end of the stub in which the thread is: there it is
//! raised again, as if it had come right behind the `syscall`. As it may have come just before the
//! thread blocks, it is repeated by a timer, and each time makes the call fail with EINTR. musl, whose
//! handler only looks where its signal came, cancels a thread behind a call that fails with EINTR.
//!
//! A signal handler of the guest's may have interrupted the library. It is not left by cancellation
//! either: then the signal is put off until the handler has ended.

use std::arch::naked_asm;
use std::mem::offset_of;
use std::ops::Range;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicU64, AtomicUsize};

use epolyfill_sites::guest::Begun;
use libc::{c_int, siginfo_t, ucontext_t};
use syscalls::{Sysno, syscall};

use super::of_c;
use super::stack::{self, Words};
use super::thunk::Frame;

/// The stubs with everything that belongs to them, and the common exit among them.
static STUBS: [AtomicUsize; 2] = [const { AtomicUsize::new(0) }; 2];
static EXIT: [AtomicUsize; 2] = [const { AtomicUsize::new(0) }; 2];

/// When a signal that is put off is repeated at first, and how often then.
const FIRST_NS: i64 = 1_000_000;
const NEXT_NS: i64 = 5_000_000;

/// Notes where the stubs are, and the exit.
pub fn set_up(stubs: Range<usize>, exit: Range<usize>) {
    for (words, range) in [(&STUBS, stubs), (&EXIT, exit)] {
        words[0].store(range.start, Relaxed);
        words[1].store(range.end, Relaxed);
    }
}

fn contains(range: &[AtomicUsize; 2], address: usize) -> bool {
    (range[0].load(Relaxed)..range[1].load(Relaxed)).contains(&address)
}

/// A handler of the guest's begins that has interrupted the library; `here` is its stack pointer.
pub extern "C" fn begin_handler(here: usize) -> Begun {
    let words = stack::words();
    Begun { pointer: words.guest_pointer.get(), before: words.handler.replace(here) }
}

/// It ends.
pub extern "C" fn end_handler(before: usize) {
    stack::words().handler.set(before);
}

/// Whether the calling thread is in such a handler.
pub extern "C" fn has_interrupted() -> bool {
    stack::words().handler.get() != 0
}

/// Forgets a handler that was left by `siglongjmp`, at a call of the guest's. A handler's own calls
/// come from lower addresses of its stack. Contexts on other stacks may deceive this: then a thread
/// is cancelled in one context, as natively, while another one is in a call.
pub fn settle(frame: &Frame) {
    let words = stack::words();
    let (handler, here) = (words.handler.get(), frame.stack_pointer);
    if handler == 0 {
        return;
    }
    let is_of_handler = here < handler && stack::is_on_alternate(here) == stack::is_on_alternate(handler);
    if !is_of_handler {
        words.handler.set(0);
    }
}

/// Whether a signal of cancellation may be handled where it came: `pointer` is the thread pointer at
/// that moment. Otherwise it is put off.
pub extern "C" fn may_interrupt(info: &siginfo_t, context: &mut ucontext_t, pointer: usize) -> bool {
    if info.si_code == libc::SI_TIMER {
        return false;
    }
    let instruction = context.uc_mcontext.gregs[libc::REG_RIP as usize] as usize;
    if instruction == (&raw const epolyfill_cancel_raised).addr() {
        complete(context);
        return true;
    }
    if contains(&EXIT, instruction) {
        context.uc_mcontext.gregs[libc::REG_RIP as usize] = EXIT[0].load(Relaxed) as i64;
    }
    let words = stack::words();
    let own = (&raw const *words).addr().wrapping_add_signed(-stack::offset());
    let is_delivering = (deliver as *const ()).addr()..(&raw const epolyfill_cancel_end).addr();
    let is_in_library = pointer == own
        || contains(&STUBS, instruction)
        || of_c::entrance().contains(&instruction)
        || is_delivering.contains(&instruction);
    if !is_in_library && words.handler.get() == 0 {
        return true;
    }
    if words.put_off.get() == 0 {
        words.put_off.set(repeat().map_or(NO_TIMER, |timer| TIMER + timer as usize));
    }
    false
}

/// The values of `Words::put_off` beside 0: without a timer, and with the first one.
const NO_TIMER: usize = 1;
const TIMER: usize = 2;

/// Makes the timer that repeats the signal; `None` if the kernel does not.
fn repeat() -> Option<c_int> {
    let mut timer: c_int = 0;
    // SAFETY: all zeroes is a valid value; the kernel reads and writes these structures.
    unsafe {
        let mut event: libc::sigevent = std::mem::zeroed();
        event.sigev_signo = CANCELS.load(Relaxed) as c_int;
        event.sigev_notify = libc::SIGEV_THREAD_ID;
        event.sigev_notify_thread_id = syscall!(Sysno::gettid).unwrap_or(0) as c_int;
        syscall!(Sysno::timer_create, libc::CLOCK_MONOTONIC, &raw const event, &raw mut timer).ok()?;
        let often = libc::itimerspec {
            it_interval: libc::timespec { tv_sec: 0, tv_nsec: NEXT_NS },
            it_value: libc::timespec { tv_sec: 0, tv_nsec: FIRST_NS },
        };
        let _ = syscall!(Sysno::timer_settime, timer, 0, &raw const often, 0usize);
    }
    Some(timer)
}

/// The thread ends: deletes its timer.
pub extern "C" fn end_thread() {
    if let Some(timer) = stack::words().put_off.take().checked_sub(TIMER) {
        // SAFETY: a timer of `repeat`.
        let _ = unsafe { syscall!(Sysno::timer_delete, timer) };
    }
}

/// What `deliver` has on the stack where it raises the signal.
#[derive(Debug)]
#[repr(C)]
struct Saved {
    mask: u64,
    r10: i64,
    rdx: i64,
    rsi: i64,
    rdi: i64,
    rax: i64,
    flags: i64,
    /// The guest's next instruction.
    next: i64,
}

const RED_ZONE: i64 = 128;

/// Makes the context in which `deliver` has raised the signal the guest's, behind its call.
fn complete(context: &mut ucontext_t) {
    let registers = &mut context.uc_mcontext.gregs;
    let stack = registers[libc::REG_RSP as usize];
    // SAFETY: the context's stack pointer is that of `deliver`.
    let saved = unsafe { &*(stack as *const Saved) };
    for (register, value) in [
        (libc::REG_R10, saved.r10),
        (libc::REG_RDX, saved.rdx),
        (libc::REG_RSI, saved.rsi),
        (libc::REG_RDI, saved.rdi),
        (libc::REG_RAX, saved.rax),
        (libc::REG_EFL, saved.flags),
        (libc::REG_RIP, saved.next),
        (libc::REG_RSP, stack + size_of::<Saved>() as i64 + RED_ZONE),
    ] {
        registers[register as usize] = value;
    }
    // SAFETY: the kernel's set is the first eight bytes.
    unsafe { (&raw mut context.uc_sigmask).cast::<u64>().write_unaligned(saved.mask) };
}

unsafe extern "C" {
    static epolyfill_cancel_raised: [u8; 0];
    static epolyfill_cancel_end: [u8; 0];
}

/// The signal of cancellation, and all others.
static CANCELS: AtomicUsize = AtomicUsize::new(0);
static OTHERS: AtomicU64 = AtomicU64::new(0);

/// Notes by which signal the guest cancels threads.
pub fn set_signal(signal: usize) {
    CANCELS.store(signal, Relaxed);
    OTHERS.store(!(1 << (signal - 1)), Relaxed);
}

/// Raises the signal that was put off, unless the guest is in a handler that has interrupted the
/// library. Jumped to from the exit of the stubs, in the guest, with its next instruction in r11.
/// Other signals are blocked meanwhile, because a handler of theirs would stand in between.
#[unsafe(naked)]
pub unsafe extern "C" fn deliver() {
    naked_asm!(
        "leaq -128(%rsp), %rsp",
        "pushq %r11",
        "pushfq",
        "pushq %rax",
        "pushq %rdi",
        "pushq %rsi",
        "pushq %rdx",
        "pushq %r10",
        "pushq $0",
        "movq epolyfill_raw_stack@gottpoff(%rip), %rcx",
        "cmpq $0, %gs:{handler}(%rcx)",
        "jne 2f",
        "movl ${mask}, %eax",
        "movl ${block}, %edi",
        "leaq {others}(%rip), %rsi",
        "movq %rsp, %rdx",
        "movl $8, %r10d",
        "syscall",
        "movq epolyfill_raw_stack@gottpoff(%rip), %rcx",
        "movq %gs:{put_off}(%rcx), %rdi",
        "movq $0, %gs:{put_off}(%rcx)",
        "subq ${timer}, %rdi",
        "js 1f",
        "movl ${delete}, %eax",
        "syscall",
        "1:",
        "movl ${getpid}, %eax",
        "syscall",
        "movq %rax, %rdi",
        "movl ${gettid}, %eax",
        "syscall",
        "movq %rax, %rsi",
        "movl {cancels}(%rip), %edx",
        "movl ${tgkill}, %eax",
        "syscall",
        ".globl epolyfill_cancel_raised",
        ".hidden epolyfill_cancel_raised",
        "epolyfill_cancel_raised:",
        // The guest blocks the signal: it stays pending.
        "movl ${mask}, %eax",
        "movl ${set}, %edi",
        "movq %rsp, %rsi",
        "xorl %edx, %edx",
        "movl $8, %r10d",
        "syscall",
        "2:",
        "popq %r10",
        "popq %r10",
        "popq %rdx",
        "popq %rsi",
        "popq %rdi",
        "popq %rax",
        "popfq",
        "popq %r11",
        "leaq 128(%rsp), %rsp",
        "jmpq *%r11",
        ".globl epolyfill_cancel_end",
        ".hidden epolyfill_cancel_end",
        "epolyfill_cancel_end:",
        handler = const offset_of!(Words, handler),
        put_off = const offset_of!(Words, put_off),
        mask = const libc::SYS_rt_sigprocmask,
        block = const libc::SIG_BLOCK,
        set = const libc::SIG_SETMASK,
        others = sym OTHERS,
        timer = const TIMER,
        delete = const libc::SYS_timer_delete,
        getpid = const libc::SYS_getpid,
        gettid = const libc::SYS_gettid,
        cancels = sym CANCELS,
        tgkill = const libc::SYS_tgkill,
        options(att_syntax),
    )
}
