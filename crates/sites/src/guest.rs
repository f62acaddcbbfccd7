//! The interface between the loader of static programs and the library: one function, which the
//! library exports under the name in [`ENTRY`] and the loader looks up.
//!
//! The loader has mapped the program, the *guest*, and has not entered it. The library rewrites the
//! guest's sites and brings each call to `answer` first. The thread pointer is the guest's in the
//! guest and the thread's own outside; gs has the thread's own all the time.

use core::ffi::{CStr, c_char, c_int, c_ulong};

use libc::{Elf64_Phdr, siginfo_t, ucontext_t};

/// The name of [`Serve`].
pub const ENTRY: &CStr = c"__epolyfill_serve_guest";
/// The version of the interface, which both sides must have.
pub const VERSION: u32 = 4;

/// The name of the loader's file.
pub const LOADER: &str = "epolyfill-loader";
/// Where it is, seen from the directory of the library that the process has: the launcher and the
/// library search in the same places, so that a program and its children find the same one.
pub const PLACES: [&str; 3] = ["", "epolyfill/", "../epolyfill/"];
/// The second word of the loader's argv: what it does with a program that it cannot load. It refuses
/// one that the launcher starts.
pub const REFUSE: &CStr = c"refuse";
/// It executes one that another program executes, as the kernel would have done.
pub const EXECUTE: &CStr = c"execute";

/// Whether programs may write fs and gs by instructions, as the loader does. `hwcap2` is the value of
/// AT_HWCAP2.
pub const fn has_fsgsbase(hwcap2: c_ulong) -> bool {
    const HWCAP2_FSGSBASE: c_ulong = 1 << 1;
    hwcap2 & HWCAP2_FSGSBASE != 0
}

/// A call of the guest's, with the registers that it was made with.
#[derive(Debug)]
#[repr(C)]
pub struct Call {
    /// r15, r14, r13, r12, rbx, rbp.
    pub preserved: [usize; 6],
    /// rax.
    pub number: isize,
    /// rdi, rsi, rdx, r10, r8, r9.
    pub arguments: [usize; 6],
    /// The state and the level of the library's frame.
    reserved: [usize; 2],
    /// rflags.
    pub flags: usize,
    /// The instruction behind the `syscall`.
    pub instruction: usize,
    /// rsp.
    pub stack_pointer: usize,
}

/// The code that makes a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum By {
    /// The loader has made it.
    Loader,
    /// The library.
    Library,
    /// The guest itself, by an instruction of its own: the child of such a call shares the parent's
    /// memory and would return over its frame.
    Guest,
}

/// Answers a call, or says who has to make it.
pub type Answer = unsafe extern "C" fn(call: &Call, result: &mut isize) -> By;

/// A guest as the loader has mapped it.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct Guest {
    /// [`VERSION`].
    pub version: u32,
    /// The number of program headers.
    pub header_count: u32,
    /// The program headers, which stay where they are.
    pub headers: *const Elf64_Phdr,
    /// The difference between an address in memory and in the file.
    pub bias: usize,
    /// Whether a C library is linked into it. A Go program has its own runtime only.
    pub has_c: bool,
    /// Called for each call of the guest's, outside the guest.
    pub answer: Answer,
}

/// What the library does for the loader's threads.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct Thread {
    /// Makes the calling thread able to run the guest. Its gs is its thread pointer already. It has
    /// a stack of its own beside the guest's, which is free below this address; 0 if it has none.
    /// False if there is no memory.
    pub prepare: extern "C" fn(usize) -> bool,
    /// The guest's thread pointer in the calling thread.
    pub pointer: extern "C" fn() -> usize,
    /// Sets it; it takes effect when the thread returns to the guest.
    pub set_pointer: extern "C" fn(usize),
    /// A handler of the guest's begins that has interrupted the library, at this stack pointer.
    pub begin_handler: extern "C" fn(usize) -> Begun,
    /// It ends: `before` of [`Begun`].
    pub end_handler: extern "C" fn(usize),
    /// Whether the calling thread is in such a handler.
    pub has_interrupted: extern "C" fn() -> bool,
    /// Whether the handler of a signal of cancellation may run, with the thread pointer where the
    /// signal came. Otherwise the signal comes again when the guest returns from its call.
    pub may_interrupt: extern "C" fn(&siginfo_t, &mut ucontext_t, usize) -> bool,
    /// The calling thread ends.
    pub end: extern "C" fn(),
    /// The signal by which the guest's C library cancels a thread.
    pub cancels: usize,
}

/// The beginning of a handler.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct Begun {
    /// The guest's thread pointer.
    pub pointer: usize,
    /// The handler that this one interrupts.
    pub before: usize,
}

/// The signal by which glibc cancels a thread.
pub const GLIBC_CANCELS: usize = 32;
/// The one by which musl does.
pub const MUSL_CANCELS: usize = 33;

/// Rewrites the guest. Returns the number of rewritten sites, or -1 and a clause why not.
pub type Serve = unsafe extern "C" fn(guest: &Guest, thread: &mut Option<Thread>, why: &mut *const c_char) -> c_int;
