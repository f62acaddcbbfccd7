//! The launcher, `epolyfill [options] [--] program args…`: sets the library up in front of an unmodified program, then becomes it.
//!
//! It refers to nothing of the library crate: that crate exports libc's own names, and they would end up in here.
//!
//! There is no Rust `main`. The runtime's start-up ignores SIGPIPE and opens closed standard descriptors; the program would
//! inherit both, and what it inherits is to be what the launcher was given.
#![cfg_attr(not(test), no_main)]

mod launcher;
mod preload;
mod settings;

/// What the C start-up calls. The arguments are read from the environment of the process, where std has them too.
#[cfg(not(test))]
#[unsafe(no_mangle)]
pub extern "C" fn main(_argc: libc::c_int, _argv: *const *const libc::c_char) -> libc::c_int {
    std::process::exit(launcher::run(std::env::args_os().skip(1).collect()))
}
