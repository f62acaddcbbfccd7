//! The ways into the guest and out of it.

use std::arch::{asm, naked_asm};
use std::convert::Infallible;
use std::mem::offset_of;

use epolyfill_sites::guest::Call;

/// Enters the program at its entry, with its initial stack.
///
/// # Safety
/// `entry` must be the guest's, and the words its initial stack.
pub unsafe fn program(stack: &[usize], entry: usize) -> ! {
    // SAFETY: the words are copied to the main stack, below everything that is on it, and aligned as
    // the ABI wants it. The other registers are as after execve.
    unsafe {
        asm!(
            "sub rsp, rax",
            "and rsp, -64",
            "mov rdi, rsp",
            "rep movsb",
            "xor eax, eax",
            "wrfsbase rax",
            "xor ebx, ebx",
            "xor edx, edx",
            "xor esi, esi",
            "xor edi, edi",
            "xor ebp, ebp",
            "xor r8d, r8d",
            "xor r9d, r9d",
            "xor r10d, r10d",
            "xor r12d, r12d",
            "xor r13d, r13d",
            "xor r14d, r14d",
            "xor r15d, r15d",
            "jmp r11",
            in("rax") size_of_val(stack),
            in("rcx") size_of_val(stack),
            in("rsi") stack.as_ptr(),
            in("r11") entry,
            options(noreturn),
        )
    }
}

/// Makes gs the thread pointer of libc's.
pub fn set_gs() {
    // SAFETY: nothing else uses gs, and the kernel lets programs write it.
    unsafe { asm!("mov {0}, qword ptr fs:0", "wrgsbase {0}", out(reg) _, options(nostack)) };
}

/// Enters the guest in a new thread: behind the `syscall` of a clone, with its registers and 0 as the
/// result. Returns when the guest's thread leaves (`leave`).
///
/// # Safety
/// The call must be a clone, with the new thread's stack pointer.
#[unsafe(naked)]
pub unsafe extern "C" fn thread(call: &Call, guest_pointer: usize, host_stack: *mut usize) {
    naked_asm!(
        "push rbx",
        "push rbp",
        "push r12",
        "push r13",
        "push r14",
        "push r15",
        "mov [rdx], rsp",
        "mov r11, rdi",
        "push qword ptr [r11 + {flags}]",
        "popfq",
        "mov r15, [r11]",
        "mov r14, [r11 + 8]",
        "mov r13, [r11 + 16]",
        "mov r12, [r11 + 24]",
        "mov rbx, [r11 + 32]",
        "mov rbp, [r11 + 40]",
        "mov rcx, [r11 + {instruction}]",
        "wrfsbase rsi",
        "mov rdi, [r11 + {arguments}]",
        "mov rsi, [r11 + {arguments} + 8]",
        "mov rdx, [r11 + {arguments} + 16]",
        "mov r10, [r11 + {arguments} + 24]",
        "mov r8, [r11 + {arguments} + 32]",
        "mov r9, [r11 + {arguments} + 40]",
        "mov eax, 0",
        "mov rsp, [r11 + {stack_pointer}]",
        "jmp rcx",
        flags = const offset_of!(Call, flags),
        instruction = const offset_of!(Call, instruction),
        arguments = const offset_of!(Call, arguments),
        stack_pointer = const offset_of!(Call, stack_pointer),
    )
}

/// Returns from `thread`.
///
/// # Safety
/// The calling thread must be in `thread` with this stack pointer; nothing on the present stack is
/// needed any more.
#[unsafe(naked)]
pub unsafe extern "C" fn leave(host_stack: usize) -> Infallible {
    naked_asm!("mov rsp, rdi", "pop r15", "pop r14", "pop r13", "pop r12", "pop rbp", "pop rbx", "ret")
}
