//! Programs whose system call instructions cannot be rewritten, because there is no room for a jump:
//! those with Rust's rustix, which are inlined. The wanted calls raise SIGSYS (`filter`). The
//! handler leaves the signal at once, into the thunk: the library runs neither in the handler, nor
//! on the stack of the program, nor with signals blocked.

use std::ffi::c_void;
use std::fmt::{self, Display, Formatter};

use arrayvec::ArrayVec;
use epolyfill_sites::{self as sites, direct};
use libc::{SA_ONSTACK, SA_SIGINFO, SIGSYS, c_int, siginfo_t, ucontext_t};
use nix::errno::Errno;

use super::program::Program;
use super::rewrite;
use super::{filter, stack, thunk};
use crate::abi::sigsys::{self, Action};
use crate::real;
use crate::sys;

const SYSCALL_BYTES: usize = 2;

/// Programs that are linked to fixed addresses are below this one; the kernel puts others above.
const LOWEST_RANDOM: usize = 0x5555_5555_4000;

/// The reason why nothing is trapped, as a clause.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// A reason that there is for rewriting, too.
    Common(rewrite::Refused),
    /// There are more instructions than the filter has room for.
    TooMany,
    /// A program that it executes could have an instruction at the same address.
    NotRandom,
    /// The kernel refuses the filter.
    Filter(Errno),
}

impl From<rewrite::Refused> for Refused {
    fn from(why: rewrite::Refused) -> Refused {
        Refused::Common(why)
    }
}

impl Display for Refused {
    fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Refused::Common(why) => why.fmt(out),
            Refused::TooMany => write!(out, "it has more than {} of them", sites::MOST_TRAPPED),
            Refused::NotRandom => out.write_str("its addresses are not random, and the filter could end its children"),
            Refused::Filter(errno) => write!(out, "the kernel refuses the filter ({errno:?})"),
        }
    }
}

/// Whether the program is Rust's, and makes the calls that an event loop needs by instructions of
/// its own. One that the library is linked into would trap the library's calls.
pub fn concerns(program: &Program) -> bool {
    let Some(strings) = program.strings() else { return false };
    if !direct::is_of_rust(strings.split(|byte| *byte == 0)) {
        return false;
    }
    if program.code().map(|code| code.len() as u64).sum::<u64>() > sites::MOST_CODE {
        return false;
    }
    let own = (thunk::thunk as *const ()).addr();
    // SAFETY: nobody changes the code of a program that is not Go's.
    let code = unsafe { program.instructions() };
    let calls = code.map(direct::calls).fold(direct::Calls::default(), std::ops::BitOr::bitor);
    calls.is_whole() && !program.text().is_some_and(|text| text.contains(&own))
}

/// Makes the wanted calls of the program's instructions reach the library.
///
/// # Safety
/// Nothing of the program may have run yet.
pub unsafe fn trap(program: &Program) -> Result<(), Refused> {
    let text = program.text().ok_or(rewrite::Refused::Unknown)?;
    if text.start < LOWEST_RANDOM || !addresses_are_random() {
        return Err(Refused::NotRandom);
    }
    let mut ends: ArrayVec<usize, { sites::MOST_TRAPPED }> = ArrayVec::new();
    // SAFETY: as for this function.
    for code in unsafe { program.instructions() } {
        for at in sites::syscalls(code) {
            ends.try_push(code.as_ptr().addr() + at + SYSCALL_BYTES).map_err(|_| Refused::TooMany)?;
        }
    }
    rewrite::prepare(text)?;
    // SAFETY: nothing of the program runs.
    let before = unsafe { take_signal() };
    filter::install(&ends).map_err(|errno| {
        // SAFETY: as above, and nobody raises the signal.
        unsafe { give_signal_back(&before) };
        Refused::Filter(errno)
    })
}

/// Whether the kernel gives each program other addresses, as far as /proc shows: a filter that is
/// there already may end a process that calls personality.
fn addresses_are_random() -> bool {
    let (mut personality, mut setting) = ([0; 16], [0; 8]);
    let personality = sys::read_file(b"/proc/self/personality\0", &mut personality).unwrap_or_default();
    let personality = str::from_utf8(personality.trim_ascii()).unwrap_or_default();
    let personality = c_int::from_str_radix(personality, 16).unwrap_or(0);
    let setting = sys::read_file(b"/proc/sys/kernel/randomize_va_space\0", &mut setting);
    personality & libc::ADDR_NO_RANDOMIZE == 0 && !setting.is_ok_and(|value| value.starts_with(b"0"))
}

/// Takes SIGSYS from the program; returns its action.
///
/// # Safety
/// Nothing of the program may have run yet.
unsafe fn take_signal() -> libc::sigaction {
    // SAFETY: the handler is a function of this library, which is never unloaded.
    unsafe {
        let [mut before, mut action]: [libc::sigaction; 2] = std::mem::zeroed();
        action.sa_sigaction = on_trap as *const () as usize;
        action.sa_flags = SA_SIGINFO | SA_ONSTACK;
        libc::sigfillset(&raw mut action.sa_mask);
        real::sigaction(SIGSYS, &raw const action, &raw mut before);
        sigsys::take(Action {
            handler: before.sa_sigaction,
            flags: before.sa_flags as u64,
            mask: *sigsys::first_word(&mut before.sa_mask),
        });
        before
    }
}

/// Undoes [`take_signal`].
///
/// # Safety
/// Nothing of the program may have run since.
unsafe fn give_signal_back(before: &libc::sigaction) {
    // SAFETY: the action is the one that was there.
    unsafe {
        sigsys::give_back();
        real::sigaction(SIGSYS, before, std::ptr::null_mut());
    }
}

/// Goes to the thunk as a stub does: on the thread's own stack, at a level that is counted, with
/// the program's stack pointer in rcx and its next instruction in r11. All signals are blocked
/// until the handler returns, so the thread is on its own stack when another handler runs.
unsafe extern "C" fn on_trap(_: c_int, info: *mut siginfo_t, context: *mut c_void) {
    /// si_code of a trap.
    const SYS_SECCOMP: c_int = 1;
    // SAFETY: the kernel's structures.
    let context = unsafe { &mut *context.cast::<ucontext_t>() };
    // SAFETY: as above.
    let is_own = unsafe { (*info).si_code == SYS_SECCOMP && (*info).si_errno == c_int::from(filter::MARK) };
    if !is_own {
        // SAFETY: as above.
        unsafe { sigsys::deliver(info, context) };
        return;
    }
    let registers = &mut context.uc_mcontext.gregs;
    let pointer = registers[libc::REG_RSP as usize] as usize;
    let Some(level) = stack::next_level(pointer, &context.uc_stack) else {
        registers[libc::REG_RAX as usize] = -i64::from(libc::ENOMEM);
        return;
    };
    registers[libc::REG_RCX as usize] = pointer as i64;
    registers[libc::REG_R11 as usize] = registers[libc::REG_RIP as usize];
    registers[libc::REG_RSP as usize] = level as i64;
    registers[libc::REG_RIP as usize] = (thunk::thunk as *const ()).addr() as i64;
}
