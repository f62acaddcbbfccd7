//! The way of a rewritten system call into the library and back.
//!
//! The instruction `syscall` changes rax, rcx and r11, and nothing else: neither another register,
//! nor the flags, nor memory below the stack pointer. So the stub has only rcx and r11 to work
//! with, and uses no instruction that changes flags.

use std::arch::{global_asm, naked_asm};
use std::sync::atomic::{AtomicU32, AtomicUsize};

use super::{door, stack};

/// What the thunk puts on the stack of a call, at the top of its level.
#[derive(Debug)]
#[repr(C)]
pub struct Frame {
    /// The number of the call, and then its result.
    pub number: isize,
    pub arguments: [usize; 6],
    /// Not 0 from the change to the stack until just before the change back.
    pub is_entered: usize,
    /// The level of the call, which becomes the thread's next one when the call returns.
    pub level: usize,
    flags: usize,
    /// The program's next instruction.
    pub instruction: usize,
    /// The program's stack pointer.
    pub stack_pointer: usize,
}

impl Frame {
    /// The frame of the call at a level.
    pub fn at(level: usize) -> *mut Frame {
        (level - size_of::<Frame>()) as *mut Frame
    }
}

const _: () = assert!(size_of::<Frame>() == 12 * 8);

/// How the vector registers are saved: 0 XSAVEC, 1 XSAVE, 2 FXSAVE.
pub static SAVED_BY: AtomicU32 = AtomicU32::new(0);

/// The code that gives up the level in r11 and goes to rcx (`epolyfill_raw_leave`).
pub static LEAVE: AtomicUsize = AtomicUsize::new(0);

/// The state that is saved: SSE, AVX, and the three components of AVX-512. The library uses neither
/// x87 nor AMX nor protection keys.
const COMPONENTS: u32 = 0xe6;
/// The bytes for it in the form that is not compacted, whose last component ends at 2688.
const AREA: usize = 2688;

// The stub is copied for each site. Its constants are filled in by `rewrite`: the table of the
// wanted numbers, the offset of the thread's words, and the addresses of `thunk` and `first`.
global_asm!(
    ".pushsection .tbss.epolyfill_raw_stack,\"awT\",@nobits",
    ".globl epolyfill_raw_stack",
    ".hidden epolyfill_raw_stack",
    ".balign 16",
    "epolyfill_raw_stack:",
    "    .zero {words}",
    ".popsection",
    ".pushsection .rodata.epolyfill_raw_stub,\"a\",@progbits",
    ".globl epolyfill_raw_stub, epolyfill_raw_stub_table, epolyfill_raw_stub_next, epolyfill_raw_stub_count",
    ".globl epolyfill_raw_stub_thunk, epolyfill_raw_stub_first, epolyfill_raw_stub_end",
    ".globl epolyfill_raw_leave, epolyfill_raw_leave_next, epolyfill_raw_leave_end",
    ".hidden epolyfill_raw_stub, epolyfill_raw_stub_table, epolyfill_raw_stub_next, epolyfill_raw_stub_count",
    ".hidden epolyfill_raw_stub_thunk, epolyfill_raw_stub_first, epolyfill_raw_stub_end",
    ".hidden epolyfill_raw_leave, epolyfill_raw_leave_next, epolyfill_raw_leave_end",
    // Is the number wanted? The table has a byte for each value of ax.
    "epolyfill_raw_stub:",
    "    movabsq $0x1122334455667788, %r11",
    "epolyfill_raw_stub_table:",
    "    movzwl %ax, %ecx",
    "    movzbl (%r11,%rcx), %ecx",
    "    jrcxz 4f",
    // Has the thread a stack?
    "    movq %fs:0x11223344, %rcx",
    "epolyfill_raw_stub_next:",
    "    jrcxz 3f",
    "2:",
    "    jrcxz 4f",
    // The level is counted, then the stack is changed by one instruction.
    "    leaq -{level}(%rcx), %r11",
    "    movq %r11, %fs:0x11223344",
    "epolyfill_raw_stub_count:",
    "    xchgq %rsp, %rcx",
    "    leaq 5f(%rip), %r11",
    "    jmpq *6f(%rip)",
    "3:",
    "    leaq 2b(%rip), %r11",
    "    jmpq *7f(%rip)",
    "4:",
    "    syscall",
    "    jmp 5f",
    "epolyfill_raw_stub_thunk:",
    "6:  .quad 0",
    "epolyfill_raw_stub_first:",
    "7:  .quad 0",
    "epolyfill_raw_stub_end:",
    "5:",
    // The end of the thunk, on the program's stack: r11 is the level, rcx the next instruction.
    "epolyfill_raw_leave:",
    "    movq %r11, %fs:0x11223344",
    "epolyfill_raw_leave_next:",
    "    jmpq *%rcx",
    "epolyfill_raw_leave_end:",
    ".popsection",
    level = const stack::LEVEL,
    words = const size_of::<stack::Words>(),
    options(att_syntax),
);

/// Maps the thread's stack. Jumped to from a stub on the program's stack, with the stub's next
/// instruction in r11; returns the first level in rcx, or 0 if there is no memory. It uses 200
/// bytes, below the red zone.
#[unsafe(naked)]
pub unsafe extern "C" fn first() {
    naked_asm!(
        "leaq -128(%rsp), %rsp",
        "pushq %r11",
        "pushfq",
        "pushq %rax",
        "pushq %rdi",
        "pushq %rsi",
        "pushq %rdx",
        "pushq %r10",
        "pushq %r8",
        "pushq %r9",
        "movl ${mmap}, %eax",
        "xorl %edi, %edi",
        "movl ${size}, %esi",
        "movl ${access}, %edx",
        "movl ${kind}, %r10d",
        "movq $-1, %r8",
        "xorl %r9d, %r9d",
        "syscall",
        "xorl %ecx, %ecx",
        "cmpq $-4096, %rax",
        "ja 2f",
        // The stack of a handler that came in between stays, and this one goes.
        "leaq {size}(%rax), %rcx",
        "movq epolyfill_raw_stack@gottpoff(%rip), %r11",
        "xorl %eax, %eax",
        "cmpxchgq %rcx, %fs:8(%r11)",
        "je 3f",
        "leaq -{size}(%rcx), %rdi",
        "movl ${munmap}, %eax",
        "syscall",
        "movq epolyfill_raw_stack@gottpoff(%rip), %r11",
        "3:",
        "movq %fs:8(%r11), %rcx",
        "movq %rcx, %fs:(%r11)",
        "2:",
        "popq %r9",
        "popq %r8",
        "popq %r10",
        "popq %rdx",
        "popq %rsi",
        "popq %rdi",
        "popq %rax",
        "popfq",
        "popq %r11",
        "leaq 128(%rsp), %rsp",
        "jmpq *%r11",
        mmap = const libc::SYS_mmap,
        munmap = const libc::SYS_munmap,
        size = const stack::SIZE,
        access = const libc::PROT_READ | libc::PROT_WRITE,
        kind = const libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE | libc::MAP_STACK,
        options(att_syntax),
    )
}

/// Makes the call. Jumped to on the thread's own stack, at the top of a level that is counted, with
/// the program's stack pointer in rcx and its next instruction in r11.
#[unsafe(naked)]
pub unsafe extern "C" fn thunk() {
    naked_asm!(
        // Nothing is unwound from here, where the stack pointer is the library's and rbp is not.
        ".cfi_startproc",
        ".cfi_undefined 16",
        // The frame.
        "pushq %rcx",
        "pushq %r11",
        "pushfq",
        "leaq 24(%rsp), %r11",
        "pushq %r11",
        ".globl epolyfill_raw_entered",
        ".hidden epolyfill_raw_entered",
        "epolyfill_raw_entered:",
        "pushq $1",
        "cld",
        "pushq %r9",
        "pushq %r8",
        "pushq %r10",
        "pushq %rdx",
        "pushq %rsi",
        "pushq %rdi",
        "pushq %rax",
        "pushq %rbp",
        "movq %rsp, %rbp",
        "pushq %rbx",
        // The caller is the instruction that was trapped: its stack pointer is at 96(%rbp), its
        // address at 88(%rbp), rbp and rbx at (%rbp) and -8(%rbp). A stub has no caller.
        ".cfi_escape 0x0f, 4, 0x76, 0xe0, 0, 0x06",
        ".cfi_escape 0x10, 16, 3, 0x76, 0xd8, 0",
        ".cfi_escape 0x10, 6, 2, 0x76, 0",
        ".cfi_escape 0x10, 3, 2, 0x76, 0x78",
        // For a thread that begins with these registers (`guest`).
        "pushq %r12",
        "pushq %r13",
        "pushq %r14",
        "pushq %r15",
        // The vector registers. The header of the area has to be clear.
        "subq ${area}, %rsp",
        "andq $-64, %rsp",
        "xorl %edx, %edx",
        "movq %rdx, 512(%rsp)",
        "movq %rdx, 520(%rsp)",
        "movq %rdx, 528(%rsp)",
        "movq %rdx, 536(%rsp)",
        "movq %rdx, 544(%rsp)",
        "movq %rdx, 552(%rsp)",
        "movq %rdx, 560(%rsp)",
        "movq %rdx, 568(%rsp)",
        "movl ${components}, %eax",
        "movl {saved_by}(%rip), %ecx",
        "cmpl $1, %ecx",
        "ja 3f",
        "je 2f",
        "xsavec (%rsp)",
        "jmp 4f",
        "2:",
        "xsave (%rsp)",
        "jmp 4f",
        "3:",
        "fxsave64 (%rsp)",
        "4:",
        // Is the level the first one? If not, everything here may have to move up to it.
        "movq epolyfill_raw_stack@gottpoff(%rip), %rbx",
        "movq 72(%rbp), %rax",
        "cmpq %fs:8(%rbx), %rax",
        "je 7f",
        "leaq 8(%rbp), %rdi",
        "callq {settle}",
        "testq %rax, %rax",
        "je 7f",
        "movq %rsp, %rsi",
        "leaq (%rsp,%rax), %rdi",
        "leaq 104(%rbp), %rcx",
        "subq %rsp, %rcx",
        "rep movsb",
        "addq %rax, %rbp",
        "addq %rax, %rsp",
        "addq %rax, %fs:(%rbx)",
        "7:",
        "leaq 8(%rbp), %rdi",
        "callq {carry_out}",
        "movq %rax, 8(%rbp)",
        "movl ${components}, %eax",
        "xorl %edx, %edx",
        "cmpl $1, {saved_by}(%rip)",
        "ja 5f",
        "xrstor (%rsp)",
        "jmp 6f",
        "5:",
        "fxrstor64 (%rsp)",
        "6:",
        "movq -8(%rbp), %rbx",
        ".cfi_def_cfa 7, 8",
        ".cfi_undefined 16",
        "movq %rbp, %rsp",
        "popq %rbp",
        "popq %rax",
        "popq %rdi",
        "popq %rsi",
        "popq %rdx",
        "popq %r10",
        "popq %r8",
        "popq %r9",
        "movq $0, (%rsp)",
        "leaq 8(%rsp), %rsp",
        "popq %r11",
        "popfq",
        "popq %rcx",
        "movq (%rsp), %rsp",
        "jmpq *{leave}(%rip)",
        ".cfi_endproc",
        area = const AREA,
        components = const COMPONENTS,
        saved_by = sym SAVED_BY,
        settle = sym stack::settle,
        carry_out = sym door::carry_out,
        leave = sym LEAVE,
        options(att_syntax),
    )
}
