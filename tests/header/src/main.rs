//! What `src/abi/capi` and `src/abi/symbols/epoll.rs` give to C against `include/epolyfill.h` and `<sys/epoll.h>`: prototypes, sizes, alignments, the
//! offset and type of every field, how structures pass from one language to the other, the values of constants, and that both sides mean the
//! same symbols. `main` is ctest2's.

#![allow(bad_style, clippy::all, improper_ctypes, unused_imports, unused_macros, unused_qualifications, deprecated)]
// A lint that is younger than the oldest compiler of the library.
#![allow(unknown_lints, function_casts_as_integer)]

use libc::{epoll_event, sigset_t, timespec};
use std::ffi::{c_char, c_int, c_void};

mod declarations {
    use libc::{epoll_event, sigset_t, timespec};
    use std::ffi::{c_char, c_int, c_void};

    include!(concat!(env!("OUT_DIR"), "/declarations.rs"));
}
use declarations::*;

include!(concat!(env!("OUT_DIR"), "/tests.rs"));
