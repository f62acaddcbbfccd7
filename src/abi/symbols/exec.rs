//! The calls that execute programs, which pass the library on, whatever environment the program
//! passes (`exec_env`).
//!
//! `execl`, `execlp` and `execle` take the argv as variadic arguments, and stable Rust cannot
//! define such functions. Each is a few instructions that build an array of its arguments in place:
//! on the supported architectures all of them are words, the first ones in registers and the rest
//! consecutive on the stack. The registers are stored just below those, which completes the array,
//! whatever its length.

use std::arch::naked_asm;

use libc::{FILE, c_char, c_int, c_void, pid_t};

use super::export;
use crate::backend::signals;
use crate::life::exec_env::{self, Strings, pass_on};
use crate::life::exec_loader::{self, Execution};
use crate::real;
use crate::see::{Observer, Watch};
use crate::sys;

/// Whether a call of the exec family failed with E2BIG.
fn exec_is_too_big(answer: c_int) -> bool {
    answer < 0 && sys::last_errno() == nix::errno::Errno::E2BIG
}

/// A call of the exec family. It makes the actual call, with the environment that is passed to it.
struct Exec<'a> {
    environment: Strings,
    itself: &'a dyn Fn(Strings) -> c_int,
}

impl Execution for Exec<'_> {
    fn itself(&self) -> c_int {
        // SAFETY: `execute`'s caller answers for the environment.
        unsafe { pass_on(self.environment, self.itself, exec_is_too_big) }
    }

    fn other(&self, path: *const c_char, words: Strings) -> c_int {
        // SAFETY: as above, and the path and the words are valid.
        unsafe { pass_on(self.environment, &|passed| real::execve(path, words, passed), exec_is_too_big) }
    }

    fn has_failed(_: c_int) -> bool {
        // Otherwise it does not return.
        true
    }
}

/// Makes a call of the exec family for a path, with the environment that passes the library on.
///
/// # Safety
/// As for the arguments of execve.
unsafe fn execute(
    path: *const c_char,
    words: Strings,
    environment: Strings,
    itself: &dyn Fn(Strings) -> c_int,
) -> c_int {
    Watch::executing();
    // SAFETY: as the caller says.
    signals::executing(|| unsafe { exec_loader::execute(path, words, &Exec { environment, itself }) })
}

/// As [`execute`], for a file that is searched for.
///
/// # Safety
/// As for the arguments of execvpe.
unsafe fn execute_by_search(
    file: *const c_char,
    words: Strings,
    environment: Strings,
    itself: &dyn Fn(Strings) -> c_int,
) -> c_int {
    Watch::executing();
    // SAFETY: as the caller says.
    signals::executing(|| unsafe { exec_loader::execute_by_search(file, words, &Exec { environment, itself }) })
}

/// Executes an open file.
///
/// # Safety
/// As for the environment of execve.
unsafe fn execute_open(environment: Strings, itself: &dyn Fn(Strings) -> c_int) -> c_int {
    Watch::executing();
    // SAFETY: as the caller says.
    signals::executing(|| unsafe { pass_on(environment, itself, exec_is_too_big) })
}

/// Whether a call that returns an errno returned E2BIG.
fn spawn_is_too_big(answer: c_int) -> bool {
    answer == libc::E2BIG
}

/// A call of posix_spawn or posix_spawnp.
struct Spawn<'a> {
    pid: *mut pid_t,
    actions: *const c_void,
    attributes: *const c_void,
    environment: Strings,
    itself: &'a dyn Fn(Strings) -> c_int,
}

impl Execution for Spawn<'_> {
    fn itself(&self) -> c_int {
        // SAFETY: the caller of posix_spawn answers for the environment.
        unsafe { pass_on(self.environment, self.itself, spawn_is_too_big) }
    }

    fn other(&self, path: *const c_char, words: Strings) -> c_int {
        // SAFETY: as above, and the path and the words are valid.
        let call = |passed| unsafe { real::posix_spawn(self.pid, path, self.actions, self.attributes, words, passed) };
        // SAFETY: as above.
        unsafe { pass_on(self.environment, &call, spawn_is_too_big) }
    }

    fn has_failed(answer: c_int) -> bool {
        answer != 0
    }
}

/// execve by number; `call` makes the system call with the environment that is passed to it.
///
/// # Safety
/// As for execve.
pub(super) unsafe fn by_number(
    path: *const c_char,
    words: Strings,
    environment: Strings,
    call: impl Fn(usize) -> isize,
) -> isize {
    // SAFETY: the caller answers for the arguments.
    unsafe { execute(path, words, environment, &|passed| call(passed.addr()) as c_int) as isize }
}

/// execveat by number.
///
/// # Safety
/// As for the environment of execve.
pub(super) unsafe fn open_by_number(environment: Strings, call: impl Fn(usize) -> isize) -> isize {
    // SAFETY: the caller answers for the environment.
    unsafe { execute_open(environment, &|passed| call(passed.addr()) as c_int) as isize }
}

/// execv and execl.
unsafe extern "C" fn with_words(path: *const c_char, words: Strings) -> c_int {
    let own = exec_env::own();
    // SAFETY: as for libc's execv. If no other environment is needed, the call is left to the
    // function of that name.
    unsafe {
        let call = |passed| if passed == own { real::execv(path, words) } else { real::execve(path, words, passed) };
        execute(path, words, own, &call)
    }
}

/// execvp and execlp.
unsafe extern "C" fn with_words_by_search(file: *const c_char, words: Strings) -> c_int {
    let own = exec_env::own();
    // SAFETY: as for libc's execvp.
    unsafe {
        let call = |passed| if passed == own { real::execvp(file, words) } else { real::execvpe(file, words, passed) };
        execute_by_search(file, words, own, &call)
    }
}

/// execle: the environment follows the NULL that ends the argv.
unsafe extern "C" fn with_words_and_environment(path: *const c_char, words: Strings) -> c_int {
    let mut end = words;
    // SAFETY: the caller answers for the words, which end in NULL, and for what follows.
    unsafe {
        while !(*end).is_null() {
            end = end.add(1);
        }
        execve(path, words, (*end.add(1)).cast())
    }
}

/// Defines a variadic function of a path and at least one word, which calls `$of` with the path and
/// the argv.
macro_rules! variadic {
    ($($(#[$meta:meta])* fn $name:ident => $of:ident;)*) => {
        $(
            $(#[$meta])*
            ///
            /// # Safety
            /// As for libc's function of that name.
            #[cfg_attr(all(feature = "interpose", not(test)), unsafe(no_mangle))]
            #[unsafe(naked)]
            // SAFETY (x86_64): the words are in rsi, rdx, rcx, r8 and r9, and then on the stack
            // from rsp + 8 on. The return address between them is removed, which makes room for r9,
            // and is kept below the array; with the five slots that is 48 bytes, so the stack is
            // aligned for the call. Afterwards the return address goes back to its place, where a
            // shadow stack expects it. Callers expect neither these registers nor the slots of
            // their arguments to be preserved.
            #[cfg(target_arch = "x86_64")]
            pub unsafe extern "C" fn $name(path: *const c_char, word: *const c_char) -> c_int {
                naked_asm!(
                    ".cfi_startproc",
                    "pop rax",
                    "push r9",
                    "push r8",
                    "push rcx",
                    "push rdx",
                    "push rsi",
                    "mov rsi, rsp",
                    "push rax",
                    ".cfi_def_cfa_offset 48",
                    ".cfi_offset rip, -48",
                    "call {of}",
                    "pop rcx",
                    "add rsp, 40",
                    "push rcx",
                    ".cfi_def_cfa_offset 8",
                    ".cfi_offset rip, -8",
                    "ret",
                    ".cfi_endproc",
                    of = sym $of,
                )
            }

            $(#[$meta])*
            ///
            /// # Safety
            /// As for libc's function of that name.
            #[cfg_attr(all(feature = "interpose", not(test)), unsafe(no_mangle))]
            #[unsafe(naked)]
            // SAFETY (aarch64): the words are in x1 to x7, and then on the stack from sp on. The
            // registers are stored in the 56 bytes below; the frame is aligned, and has the
            // caller's frame pointer and return address at its lower end.
            #[cfg(target_arch = "aarch64")]
            pub unsafe extern "C" fn $name(path: *const c_char, word: *const c_char) -> c_int {
                naked_asm!(
                    ".cfi_startproc",
                    "sub sp, sp, #80",
                    "stp x29, x30, [sp]",
                    ".cfi_def_cfa_offset 80",
                    ".cfi_offset x29, -80",
                    ".cfi_offset x30, -72",
                    "mov x29, sp",
                    "stp x1, x2, [sp, #24]",
                    "stp x3, x4, [sp, #40]",
                    "stp x5, x6, [sp, #56]",
                    "str x7, [sp, #72]",
                    "add x1, sp, #24",
                    "bl {of}",
                    "ldp x29, x30, [sp]",
                    "add sp, sp, #80",
                    ".cfi_def_cfa_offset 0",
                    "ret",
                    ".cfi_endproc",
                    of = sym $of,
                )
            }

            $(#[$meta])*
            ///
            /// # Safety
            /// As for libc's function of that name.
            #[cfg_attr(all(feature = "interpose", not(test)), unsafe(no_mangle))]
            #[unsafe(naked)]
            // SAFETY (riscv64): the words are in a1 to a7, and then on the stack from sp on. The
            // registers are stored in the 56 bytes below; the frame is aligned, and has the return
            // address at its lower end.
            #[cfg(target_arch = "riscv64")]
            pub unsafe extern "C" fn $name(path: *const c_char, word: *const c_char) -> c_int {
                naked_asm!(
                    ".cfi_startproc",
                    "addi sp, sp, -80",
                    ".cfi_def_cfa_offset 80",
                    "sd ra, 0(sp)",
                    ".cfi_offset ra, -80",
                    "sd a1, 24(sp)",
                    "sd a2, 32(sp)",
                    "sd a3, 40(sp)",
                    "sd a4, 48(sp)",
                    "sd a5, 56(sp)",
                    "sd a6, 64(sp)",
                    "sd a7, 72(sp)",
                    "addi a1, sp, 24",
                    "call {of}",
                    "ld ra, 0(sp)",
                    "addi sp, sp, 80",
                    ".cfi_def_cfa_offset 0",
                    "ret",
                    ".cfi_endproc",
                    of = sym $of,
                )
            }

            const _: () = super::syscall::listed::$name;
        )*
    };
}

variadic! {
    /// Executes a program with these words.
    fn execl => with_words;
    /// Searches PATH for a program and executes it with these words.
    fn execlp => with_words_by_search;
    /// Executes a program with these words and the environment that follows their NULL.
    fn execle => with_words_and_environment;
}

export! {
    /// Executes a program.
    fn execve(path: *const c_char, words: Strings, environment: Strings) -> c_int as libc::execve {
        // SAFETY: as for libc's execve.
        unsafe { execute(path, words, environment, &|passed| real::execve(path, words, passed)) }
    }

    /// Executes a program with the environment of this process.
    fn execv(path: *const c_char, words: Strings) -> c_int as libc::execv {
        // SAFETY: as for libc's execv.
        unsafe { with_words(path, words) }
    }

    /// Searches PATH for a program and executes it.
    fn execvp(file: *const c_char, words: Strings) -> c_int as libc::execvp {
        // SAFETY: as for libc's execvp.
        unsafe { with_words_by_search(file, words) }
    }

    /// Searches PATH for a program and executes it with another environment.
    fn execvpe(file: *const c_char, words: Strings, environment: Strings) -> c_int as libc::execvpe {
        // SAFETY: as for libc's execvpe.
        unsafe { execute_by_search(file, words, environment, &|passed| real::execvpe(file, words, passed)) }
    }

    /// Executes an open file. A NULL environment is EINVAL, as in libc.
    fn fexecve(fd: c_int, words: Strings, environment: Strings) -> c_int as libc::fexecve {
        if environment.is_null() {
            // SAFETY: as for libc's fexecve.
            return unsafe { real::fexecve(fd, words, environment) };
        }
        // SAFETY: as for libc's fexecve.
        unsafe { execute_open(environment, &|passed| real::fexecve(fd, words, passed)) }
    }

    /// Executes a program in a directory, or an open file.
    fn execveat(fd: c_int, path: *const c_char, words: Strings, environment: Strings, flags: c_int) -> c_int {
        // SAFETY: as for libc's execveat.
        unsafe { execute_open(environment, &|passed| real::execveat(fd, path, words, passed, flags)) }
    }

    /// Starts a program. Returns an errno.
    fn posix_spawn(
        pid: *mut pid_t,
        path: *const c_char,
        actions: *const c_void,
        attributes: *const c_void,
        words: Strings,
        environment: Strings,
    ) -> c_int {
        let call = |passed| {
            // SAFETY: as for libc's posix_spawn.
            unsafe { real::posix_spawn(pid, path, actions, attributes, words, passed) }
        };
        let spawn = Spawn { pid, actions, attributes, environment, itself: &call };
        // SAFETY: as above.
        signals::starting(|| unsafe { exec_loader::execute(path, words, &spawn) })
    }

    /// Searches PATH for a program and starts it. Returns an errno.
    fn posix_spawnp(
        pid: *mut pid_t,
        file: *const c_char,
        actions: *const c_void,
        attributes: *const c_void,
        words: Strings,
        environment: Strings,
    ) -> c_int {
        let call = |passed| {
            // SAFETY: as for libc's posix_spawnp.
            unsafe { real::posix_spawnp(pid, file, actions, attributes, words, passed) }
        };
        let spawn = Spawn { pid, actions, attributes, environment, itself: &call };
        // SAFETY: as above.
        signals::starting(|| unsafe { exec_loader::execute_by_search(file, words, &spawn) })
    }

    /// Runs a command line in the shell.
    fn system(command: *const c_char) -> c_int as libc::system {
        // SAFETY: as for libc's system. No frame from here to the program owns anything, should the
        // thread be cancelled.
        signals::starting(|| unsafe { exec_env::with_shell_line(command, |line| real::system(line)) })
    }

    /// Starts the shell with a command line, and a stream to it or from it.
    fn popen(command: *const c_char, mode: *const c_char) -> *mut FILE as libc::popen {
        // SAFETY: as for libc's popen.
        signals::starting(|| unsafe { exec_env::with_shell_line(command, |line| real::popen(line, mode)) })
    }
}
