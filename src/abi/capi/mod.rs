//! The functions of `include/epolyfill.h`, beside the names of libc.

// In the order of the header.
mod calls;

mod batch;

mod view;

mod callback;

mod source;

pub(crate) mod stats;

use std::ffi::{CStr, c_char};

const VERSION: &CStr = match CStr::from_bytes_with_nul(concat!(env!("CARGO_PKG_VERSION"), "\0").as_bytes()) {
    Ok(version) => version,
    Err(_) => c"",
};

/// The version of the library that is loaded, as `"MAJOR.MINOR.PATCH"`.
///
/// The string is static. `EPOLYFILL_VERSION` is the version of the header at build time. epolyfill
/// serves a process if the dynamic linker finds this symbol in it.
#[unsafe(no_mangle)]
pub extern "C" fn epolyfill_version() -> *const c_char {
    VERSION.as_ptr()
}
