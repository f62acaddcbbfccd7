//! The loader of static programs: `epolyfill-loader` is a dynamic program, into which LD_PRELOAD
//! brings the library as into any other. It maps the static program, the *guest*, into its own
//! process, has the library rewrite the guest's system call instructions, and enters the guest as
//! the kernel would. The launcher executes it, and so does the library in a process that executes a
//! static program. argv is the guest's, with two additional words behind the first: what happens if
//! the guest cannot be loaded, and its path.
//!
//! The guest's threads are pthreads, so that every thread has what libc and the library need
//! (`threads`). The thread pointer, fs, is the guest's in the guest and libc's outside; gs always
//! has libc's. What else a guest and a libc cannot both have in one process is answered in
//! `answers`.
//!
//! There is no Rust `main`: the runtime's start-up would change signal handlers and descriptors that
//! are the guest's.
#![cfg_attr(not(test), no_main)]
#![cfg_attr(test, allow(dead_code))]

#[cfg(target_arch = "x86_64")]
mod x86_64;

use std::ffi::{CStr, OsStr, c_char, c_int};
use std::io::Write as _;
use std::os::unix::ffi::OsStrExt;

use epolyfill_environment::settings;
use epolyfill_sites::guest;
use syscalls::{Sysno, syscall};

#[cfg(target_arch = "x86_64")]
use x86_64::run;

/// The exit code for what the loader cannot load.
const REFUSED: c_int = 125;

/// The entry point for the C start-up code. Returns only if the guest cannot be loaded.
///
/// # Safety
/// As the C start-up code calls it.
#[cfg_attr(not(test), unsafe(no_mangle))]
pub unsafe extern "C" fn main(count: c_int, words: *const *const c_char) -> c_int {
    // SAFETY: the start-up code passes argv.
    let words = unsafe { std::slice::from_raw_parts(words, count as usize) };
    let [argv0, otherwise, path, rest @ ..] = words else {
        let _ = writeln!(std::io::stderr(), "epolyfill: the loader is run by the launcher, `epolyfill PROGRAM`");
        return REFUSED;
    };
    let first = [*argv0, *otherwise, *path];
    // SAFETY: the words of argv are strings.
    let (otherwise, name) = unsafe { (CStr::from_ptr(*otherwise), CStr::from_ptr(*path)) };
    let words = || std::iter::once(*argv0).chain(rest.iter().copied()).collect::<Vec<_>>();
    let Err(why) = run(name, words(), first, otherwise == guest::EXECUTE);
    let name = name.to_string_lossy();
    // A closed stderr is no reason to fail differently.
    let _ = match why {
        Failure::Left => {
            // SAFETY: the path and the words are those of argv.
            let why = unsafe { execute(*path, words()) };
            writeln!(std::io::stderr(), "epolyfill: cannot execute {name}: {why}")
        }
        Failure::Alone(why) => writeln!(std::io::stderr(), "epolyfill: cannot execute {name}: {why}"),
        Failure::Guest(why) if otherwise != guest::EXECUTE => {
            writeln!(std::io::stderr(), "epolyfill: cannot load {name}: {why}")
        }
        Failure::Guest(why) => {
            if !is_quiet() {
                let _ = writeln!(std::io::stderr(), "epolyfill: {name} runs without the library: {why}");
            }
            // SAFETY: the path and the words are those of argv.
            let why = unsafe { execute(*path, words()) };
            writeln!(std::io::stderr(), "epolyfill: cannot execute {name}: {why}")
        }
    };
    REFUSED
}

/// Why `run` returned.
#[cfg_attr(not(target_arch = "x86_64"), allow(dead_code))] // Guests are loaded on x86-64 alone.
enum Failure {
    /// The guest cannot be loaded; the reason is the end of a sentence.
    Guest(String),
    /// It has no use for the library, and another program executes it.
    Left,
    /// It is not to be loaded, and executing it failed.
    Alone(std::io::Error),
}

fn is_quiet() -> bool {
    let value = std::env::var_os(OsStr::from_bytes(settings::QUIET.name.to_bytes())).unwrap_or_default();
    settings::switch(value.as_bytes()) == Some(true)
}

/// Executes a program as the kernel does; not by libc's name, which is the library's and could lead
/// here again. Returns only if that fails.
///
/// # Safety
/// The path and the words must be strings.
unsafe fn execute(path: *const c_char, mut words: Vec<*const c_char>) -> std::io::Error {
    unsafe extern "C" {
        static environ: *const *const c_char;
    }
    words.push(std::ptr::null());
    // SAFETY: the caller answers for the strings; the loader has one thread.
    let Err(errno) = (unsafe { syscall!(Sysno::execve, path, words.as_ptr(), environ) }) else { unreachable!() };
    std::io::Error::from_raw_os_error(errno.into_raw())
}

/// Where the loader cannot enter a guest.
#[cfg(not(target_arch = "x86_64"))]
fn run(_: &CStr, _: Vec<*const c_char>, _: [*const c_char; 3], _: bool) -> Result<std::convert::Infallible, Failure> {
    Err(Failure::Guest("static programs can be loaded on x86-64 only; run it without epolyfill".to_owned()))
}
