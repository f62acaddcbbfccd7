//! The stubs of a guest with a C library.
//!
//! Such a program makes its calls on stacks that are large enough for functions of C, and leaves
//! calls as C permits it: a signal handler that interrupts one may end by `siglongjmp`, or change to
//! another context for a while. So the call is made on the guest's stack, below its red zone, as the
//! dynamic build of the program would make it, and nothing has to be found out about calls that are
//! left. A stub ends with a look at whether a signal of cancellation was put off (`cancel`).

use std::arch::{global_asm, naked_asm};
use std::mem::offset_of;
use std::ops::Range;

use super::guest::Piece;
use super::{cancel, stack};

unsafe extern "C" {
    static epolyfill_c_last: [u8; 0];
    static epolyfill_c_last_word: [u8; 0];
    static epolyfill_c_last_thunk: [u8; 0];
    static epolyfill_c_stub: [u8; 0];
    static epolyfill_c_stub_table: [u8; 0];
    static epolyfill_c_stub_own: [u8; 0];
    static epolyfill_c_stub_thunk: [u8; 0];
    static epolyfill_c_stub_end: [u8; 0];
    static epolyfill_c_leave_pointer: [u8; 0];
    static epolyfill_c_leave_end: [u8; 0];
    static epolyfill_c_exit_word: [u8; 0];
    static epolyfill_c_exit_slow: [u8; 0];
    static epolyfill_c_exit_end: [u8; 0];
    static epolyfill_c_entered: [u8; 0];
}

/// The part of a stub that stands for the `syscall`; `table` is the table of the wanted numbers.
pub fn stub(table: usize) -> Piece {
    // SAFETY: the symbols are those below.
    let mut piece = unsafe { Piece::new(&raw const epolyfill_c_stub, &raw const epolyfill_c_stub_end) };
    piece.set_constant_before(&raw const epolyfill_c_stub_table, &table.to_ne_bytes());
    piece.set_constant(&raw const epolyfill_c_stub_thunk, &(enter as *const ()).addr().to_ne_bytes());
    piece
}

/// The part of a stub that stands for the last `syscall` of a thread that has unmapped its stack.
pub fn last() -> Piece {
    // SAFETY: the symbols are those below.
    let mut piece = unsafe { Piece::new(&raw const epolyfill_c_last, &raw const epolyfill_c_stub) };
    let word = stack::offset() as i32 + offset_of!(stack::Words, own_stack) as i32;
    piece.set_constant_before(&raw const epolyfill_c_last_word, &word.to_ne_bytes());
    piece.set_constant(&raw const epolyfill_c_last_thunk, &(enter as *const ()).addr().to_ne_bytes());
    piece
}

/// Where a call is between its stub and the library, with the guest's thread pointer.
pub fn entrance() -> Range<usize> {
    (enter as *const ()).addr()..(&raw const epolyfill_c_entered).addr()
}

/// How far behind the `syscall` of a stub its next instruction is.
pub fn behind_own() -> usize {
    (&raw const epolyfill_c_stub_end).addr() - (&raw const epolyfill_c_stub_own).addr()
}

/// The end of the thunk.
pub fn leave() -> Piece {
    // SAFETY: the symbols are those below.
    let mut piece = unsafe { Piece::new(&raw const epolyfill_c_stub_end, &raw const epolyfill_c_leave_end) };
    let pointer = stack::offset() as i32 + offset_of!(stack::Words, guest_pointer) as i32;
    piece.set_constant_before(&raw const epolyfill_c_leave_pointer, &pointer.to_ne_bytes());
    piece
}

/// The end of all stubs: jumped to with the guest's next instruction in r11. It may be started anew
/// at any of its instructions.
pub fn exit() -> Piece {
    // SAFETY: the symbols are those below.
    let mut piece = unsafe { Piece::new(&raw const epolyfill_c_leave_end, &raw const epolyfill_c_exit_end) };
    let word = stack::offset() as i32 + offset_of!(stack::Words, put_off) as i32;
    piece.set_constant_before(&raw const epolyfill_c_exit_word, &word.to_ne_bytes());
    piece.set_constant(&raw const epolyfill_c_exit_slow, &(cancel::deliver as *const ()).addr().to_ne_bytes());
    piece
}

/// The end of a stub: `movabs $next,%r11`, and a jump to the common exit follows.
pub fn load_next(next: usize) -> [u8; 10] {
    let mut bytes = [0x49, 0xbb, 0, 0, 0, 0, 0, 0, 0, 0];
    bytes[2..].copy_from_slice(&next.to_ne_bytes());
    bytes
}

// As in `thunk`: only rcx and r11 are free, and the flags stay.
global_asm!(
    ".pushsection .rodata.epolyfill_c,\"a\",@progbits",
    ".globl epolyfill_c_last, epolyfill_c_last_word, epolyfill_c_last_thunk",
    ".hidden epolyfill_c_last, epolyfill_c_last_word, epolyfill_c_last_thunk",
    ".globl epolyfill_c_stub, epolyfill_c_stub_table, epolyfill_c_stub_own, epolyfill_c_stub_thunk",
    ".globl epolyfill_c_stub_end, epolyfill_c_leave_pointer, epolyfill_c_leave_end, epolyfill_c_exit_word",
    ".globl epolyfill_c_exit_slow, epolyfill_c_exit_end",
    ".hidden epolyfill_c_stub, epolyfill_c_stub_table, epolyfill_c_stub_own, epolyfill_c_stub_thunk",
    ".hidden epolyfill_c_stub_end, epolyfill_c_leave_pointer, epolyfill_c_leave_end, epolyfill_c_exit_word",
    ".hidden epolyfill_c_exit_slow, epolyfill_c_exit_end",
    // It does not return.
    "epolyfill_c_last:",
    "    movq %gs:0x11223344, %rcx",
    "epolyfill_c_last_word:",
    "    jrcxz 1f",
    "    movq %rcx, %rsp",
    "    jmpq *2f(%rip)",
    "1:  syscall",
    "epolyfill_c_last_thunk:",
    "2:  .quad 0",
    "epolyfill_c_stub:",
    "    movabsq $0x1122334455667788, %r11",
    "epolyfill_c_stub_table:",
    "    movzwl %ax, %ecx",
    "    movzbl (%r11,%rcx), %ecx",
    "    jrcxz 4f",
    "    movq %rsp, %rcx",
    "    leaq -128(%rsp), %rsp",
    "    leaq 5f(%rip), %r11",
    "    jmpq *6f(%rip)",
    "epolyfill_c_stub_own:",
    "4:",
    "    syscall",
    "    jmp 5f",
    "epolyfill_c_stub_thunk:",
    "6:  .quad 0",
    "epolyfill_c_stub_end:",
    "5:",
    // The end of the thunk, on the guest's stack: rcx is the next instruction.
    "    movq %fs:0x11223344, %r11",
    "epolyfill_c_leave_pointer:",
    "    wrfsbase %r11",
    "    jmpq *%rcx",
    "epolyfill_c_leave_end:",
    "    movq %gs:0x11223344, %rcx",
    "epolyfill_c_exit_word:",
    "    jrcxz 1f",
    "    jmpq *2f(%rip)",
    "1:  jmpq *%r11",
    "epolyfill_c_exit_slow:",
    "2:  .quad 0",
    "epolyfill_c_exit_end:",
    ".popsection",
    options(att_syntax),
);

/// Begins the frame of a call, and changes to the thread's own thread pointer. Jumped to on the
/// guest's stack, with its stack pointer in rcx and its next instruction in r11.
#[unsafe(naked)]
unsafe extern "C" fn enter() {
    naked_asm!(
        "pushq %rcx",
        "pushq %r11",
        "pushfq",
        "movq %gs:0, %rcx",
        "wrfsbase %rcx",
        // No level: the thread has no stack of its own.
        "pushq $0",
        "jmp epolyfill_raw_entered",
        ".globl epolyfill_c_entered",
        ".hidden epolyfill_c_entered",
        "epolyfill_c_entered:",
        options(att_syntax),
    )
}
