//! The loader of static programs: `epolyfill-loader` is a dynamic program, into which LD_PRELOAD
//! brings the library as into any other. It maps the static program, the *guest*, into its own
//! process, has the library rewrite the guest's system call instructions, and enters the guest as
//! the kernel would. The launcher executes it; argv is the guest's, with the guest's path as an
//! additional word behind the first.
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

use std::ffi::{CStr, c_char, c_int};
use std::io::Write as _;

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
    let [argv0, path, rest @ ..] = words else {
        let _ = writeln!(std::io::stderr(), "epolyfill: the loader is run by the launcher, `epolyfill PROGRAM`");
        return REFUSED;
    };
    // SAFETY: the words of argv are strings.
    let name = unsafe { CStr::from_ptr(*path) };
    let words: Vec<_> = std::iter::once(*argv0).chain(rest.iter().copied()).collect();
    let Err(why) = run(name, &words);
    // A closed stderr is no reason to fail differently.
    let _ = writeln!(std::io::stderr(), "epolyfill: cannot load {}: {why}", name.to_string_lossy());
    REFUSED
}

/// Where the loader cannot enter a guest.
#[cfg(not(target_arch = "x86_64"))]
fn run(_path: &CStr, _words: &[*const c_char]) -> Result<std::convert::Infallible, String> {
    Err("static programs can be loaded on x86-64 only; run it without epolyfill".to_owned())
}
