//! Static programs, which the loader (`crates/loader`) maps into its own process and enters: their
//! *guest* code has no libc that the library could stand in front of, and no thread control block.
//!
//! The thread pointer, fs, is the guest's own in the guest. So a stub finds the thread's words by
//! gs, which the loader has set to the thread control block of the thread, and the thunk changes fs
//! to it. The end of the thunk changes back. A signal handler that interrupts either sees by fs
//! where it is.

use std::arch::{global_asm, naked_asm};
use std::ffi::{CStr, c_char, c_int};
use std::mem::offset_of;
use std::ptr;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicBool, AtomicPtr};

use epolyfill_sites::Kind;
use epolyfill_sites::guest::{self, Answer, By, Call, Guest, Thread};
use epolyfill_sites::of_c as sites;

use super::program::Program;
use super::rewrite::{self, Refused};
use super::thunk::{self, Frame};
use super::{cancel, of_c, stack};
use crate::sys;

/// The loader's `Answer`; null in any other program.
static ANSWER: AtomicPtr<()> = AtomicPtr::new(ptr::null_mut());
/// Whether the guest has a C library.
static HAS_C: AtomicBool = AtomicBool::new(false);
/// Whether that is musl.
static IS_OF_MUSL: AtomicBool = AtomicBool::new(false);

// The thunk puts the preserved registers below the frame.
const BELOW: usize = offset_of!(Call, number);
const _: () = assert!(size_of::<Call>() - BELOW == size_of::<Frame>());
const _: () = assert!(offset_of!(Call, stack_pointer) - BELOW == offset_of!(Frame, stack_pointer));
const _: () = assert!(offset_of!(Call, arguments) - BELOW == offset_of!(Frame, arguments));

/// The loader's answer to a call; `None` if the library has to make it.
pub fn answered(frame: &mut Frame) -> Option<isize> {
    let answer = ANSWER.load(Relaxed);
    if answer.is_null() {
        return None;
    }
    // SAFETY: only `serve` stores an address, that of such a function.
    let answer: Answer = unsafe { std::mem::transmute(answer) };
    let mut result = 0;
    // SAFETY: the preserved registers stand below the frame, as the assertions say.
    match unsafe { answer(&*ptr::from_ref(frame).byte_sub(BELOW).cast(), &mut result) } {
        By::Loader => Some(result),
        By::Library => None,
        By::Guest => {
            frame.instruction -= of_c::behind_own();
            if IS_OF_MUSL.load(Relaxed) {
                give_room(frame);
            }
            Some(frame.number)
        }
    }
}

/// Gives the child of a clone for which the parent waits more room on the parent's stack, below what
/// is in use. musl's `posix_spawn` gives it 5 KiB in its own frame, too few for the library. On top of
/// that stack is one word, the argument of the child's function, which does not return.
#[inline(never)]
fn give_room(frame: &mut Frame) {
    let stack = frame.arguments[1];
    if !(frame.stack_pointer..frame.stack_pointer + OWN_FRAME).contains(&stack) {
        return;
    }
    let Ok(argument) = sys::copy_in(stack as *const usize) else { return };
    let here = 0u8;
    let room = ((&raw const here).addr() - IN_USE) & !(ALIGNMENT - 1) | stack & (ALIGNMENT - 1);
    // SAFETY: the stack is longer, and nobody uses it there before the child.
    unsafe { (room as *mut usize).write(argument) };
    frame.arguments[1] = room;
}

/// More than the frame of `posix_spawn` has.
const OWN_FRAME: usize = 16 << 10;
/// More than what is on the stack below `give_room`, or will be before the child begins.
const IN_USE: usize = 4096;
const ALIGNMENT: usize = 16;

/// The stack that a call gives to a child with memory of its own, if it gives one. The child leaves
/// the library over its copy of the parent's stack, and changes to the other one then.
pub fn child_stack(frame: &Frame) -> Option<usize> {
    let [flags, stack, ..] = frame.arguments;
    let is_fork = frame.number as libc::c_long == libc::SYS_clone && flags & libc::CLONE_VM as usize == 0;
    (is_fork && stack != 0).then_some(stack)
}

/// Rewrites a static program that is mapped, and brings its calls to the loader first.
///
/// # Safety
/// As for `rewrite`; the guest must be mapped for as long as the process lives.
#[cfg_attr(all(feature = "interpose", not(test)), unsafe(no_mangle))]
pub unsafe extern "C" fn __epolyfill_serve_guest(
    guest: &Guest,
    thread: &mut Option<Thread>,
    why: &mut *const c_char,
) -> c_int {
    let mut refuse = |reason: &'static CStr| {
        *why = reason.as_ptr();
        -1
    };
    if guest.version != guest::VERSION {
        return refuse(c"the library is of another version than the loader");
    }
    // SAFETY: the caller answers for both.
    let (done, cancels) = unsafe {
        let headers = std::slice::from_raw_parts(guest.headers, guest.header_count as usize);
        let kind = if guest.has_c { Kind::StaticC } else { Kind::Static };
        let program = Program::mapped(headers, guest.bias);
        // Before the code changes.
        let is_of_musl = guest.has_c && program.instructions().any(sites::is_of_musl);
        IS_OF_MUSL.store(is_of_musl, Relaxed);
        let cancels = if is_of_musl { guest::MUSL_CANCELS } else { guest::GLIBC_CANCELS };
        (rewrite::rewrite(&program, kind), cancels)
    };
    match done {
        Ok(count) => {
            ANSWER.store(guest.answer as *mut (), Relaxed);
            HAS_C.store(guest.has_c, Relaxed);
            cancel::set_signal(cancels);
            *thread = Some(Thread {
                prepare,
                pointer,
                set_pointer,
                begin_handler: cancel::begin_handler,
                end_handler: cancel::end_handler,
                has_interrupted: cancel::has_interrupted,
                may_interrupt: cancel::may_interrupt,
                end: cancel::end_thread,
                cancels,
            });
            count as c_int
        }
        Err(Refused::TooMany | Refused::Unknown | Refused::Runs) => {
            refuse(c"it makes its system calls by instructions of an unknown form; run it without epolyfill")
        }
        Err(Refused::NeedsHeap) => {
            refuse(c"its C library needs a heap by brk at its start, and libc has the heap of the process; run it without epolyfill")
        }
        Err(Refused::NoRoom) => refuse(c"there is no free memory within 2 GiB of its code"),
        Err(Refused::Protected(_)) => refuse(c"the kernel refuses to make its code writable"),
    }
}

extern "C" fn prepare(own_stack: usize) -> bool {
    stack::words().own_stack.set(own_stack);
    // A guest with a C library makes its calls on its own stack.
    HAS_C.load(Relaxed) || stack::prepare()
}

extern "C" fn pointer() -> usize {
    stack::words().guest_pointer.get()
}

extern "C" fn set_pointer(pointer: usize) {
    stack::words().guest_pointer.set(pointer);
}

unsafe extern "C" {
    static epolyfill_guest_stub: [u8; 0];
    static epolyfill_guest_stub_table: [u8; 0];
    static epolyfill_guest_stub_next: [u8; 0];
    static epolyfill_guest_stub_count: [u8; 0];
    static epolyfill_guest_stub_thunk: [u8; 0];
    static epolyfill_guest_stub_end: [u8; 0];
    static epolyfill_guest_leave_next: [u8; 0];
    static epolyfill_guest_leave_pointer: [u8; 0];
    static epolyfill_guest_leave_end: [u8; 0];
}

/// The most bytes of a piece of code that is copied.
const MOST: usize = 96;

/// A piece of code whose constants are filled in.
#[derive(Debug)]
pub struct Piece {
    start: usize,
    bytes: [u8; MOST],
    length: usize,
}

impl Piece {
    /// # Safety
    /// The symbols must be of one section, in this order.
    pub unsafe fn new(start: *const [u8; 0], end: *const [u8; 0]) -> Piece {
        let length = end.addr() - start.addr();
        let mut bytes = [0; MOST];
        // SAFETY: the caller answers for it.
        bytes[..length].copy_from_slice(unsafe { std::slice::from_raw_parts(start.cast(), length) });
        Piece { start: start.addr(), bytes, length }
    }

    /// Fills in a constant at a symbol.
    pub fn set_constant(&mut self, symbol: *const [u8; 0], constant: &[u8]) {
        let at = symbol.addr() - self.start;
        self.bytes[at..at + constant.len()].copy_from_slice(constant);
    }

    /// Fills in the constant of the instruction that ends at a symbol.
    pub fn set_constant_before(&mut self, symbol: *const [u8; 0], constant: &[u8]) {
        self.set_constant(symbol.wrapping_byte_sub(constant.len()), constant);
    }
}

impl std::ops::Deref for Piece {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes[..self.length]
    }
}

/// The part of a stub that stands for the `syscall`; `table` is the table of the wanted numbers.
pub fn stub(table: usize) -> Piece {
    // SAFETY: the symbols are those below.
    let mut piece = unsafe { Piece::new(&raw const epolyfill_guest_stub, &raw const epolyfill_guest_stub_end) };
    let next = (stack::offset() as i32).to_ne_bytes();
    piece.set_constant_before(&raw const epolyfill_guest_stub_table, &table.to_ne_bytes());
    piece.set_constant_before(&raw const epolyfill_guest_stub_next, &next);
    piece.set_constant_before(&raw const epolyfill_guest_stub_count, &next);
    piece.set_constant(&raw const epolyfill_guest_stub_thunk, &(thunk as *const ()).addr().to_ne_bytes());
    piece
}

/// The end of the thunk.
pub fn leave() -> Piece {
    // SAFETY: the symbols are those below.
    let mut piece = unsafe { Piece::new(&raw const epolyfill_guest_stub_end, &raw const epolyfill_guest_leave_end) };
    let next = stack::offset() as i32;
    let pointer = next + offset_of!(stack::Words, guest_pointer) as i32;
    piece.set_constant_before(&raw const epolyfill_guest_leave_next, &next.to_ne_bytes());
    piece.set_constant_before(&raw const epolyfill_guest_leave_pointer, &pointer.to_ne_bytes());
    piece
}

// As in `thunk`. A thread of a guest has its stack before it enters the guest.
global_asm!(
    ".pushsection .rodata.epolyfill_guest,\"a\",@progbits",
    ".globl epolyfill_guest_stub, epolyfill_guest_stub_table, epolyfill_guest_stub_next, epolyfill_guest_stub_count",
    ".globl epolyfill_guest_stub_thunk, epolyfill_guest_stub_end, epolyfill_guest_leave_next",
    ".globl epolyfill_guest_leave_pointer, epolyfill_guest_leave_end",
    ".hidden epolyfill_guest_stub, epolyfill_guest_stub_table, epolyfill_guest_stub_next, epolyfill_guest_stub_count",
    ".hidden epolyfill_guest_stub_thunk, epolyfill_guest_stub_end, epolyfill_guest_leave_next",
    ".hidden epolyfill_guest_leave_pointer, epolyfill_guest_leave_end",
    "epolyfill_guest_stub:",
    "    movabsq $0x1122334455667788, %r11",
    "epolyfill_guest_stub_table:",
    "    movzwl %ax, %ecx",
    "    movzbl (%r11,%rcx), %ecx",
    "    jrcxz 4f",
    // The level is counted, then the stack is changed by one instruction.
    "    movq %gs:0x11223344, %rcx",
    "epolyfill_guest_stub_next:",
    "    leaq -{level}(%rcx), %r11",
    "    movq %r11, %gs:0x11223344",
    "epolyfill_guest_stub_count:",
    "    xchgq %rsp, %rcx",
    "    leaq 5f(%rip), %r11",
    "    jmpq *6f(%rip)",
    "4:",
    "    syscall",
    "    jmp 5f",
    "epolyfill_guest_stub_thunk:",
    "6:  .quad 0",
    "epolyfill_guest_stub_end:",
    "5:",
    // The end of the thunk, on the program's stack: r11 is the level, rcx the next instruction.
    "    movq %r11, %fs:0x11223344",
    "epolyfill_guest_leave_next:",
    "    movq %fs:0x11223344, %r11",
    "epolyfill_guest_leave_pointer:",
    "    wrfsbase %r11",
    "    jmpq *%rcx",
    "epolyfill_guest_leave_end:",
    ".popsection",
    level = const stack::LEVEL,
    options(att_syntax),
);

/// Changes to the thread's own thread pointer, and goes to the thunk.
#[unsafe(naked)]
unsafe extern "C" fn thunk() {
    naked_asm!(
        "pushq %rcx",
        "movq %gs:0, %rcx",
        "wrfsbase %rcx",
        "popq %rcx",
        "jmp {thunk}",
        thunk = sym thunk::thunk,
        options(att_syntax),
    )
}
