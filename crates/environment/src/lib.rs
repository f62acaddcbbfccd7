//! The common ground of the library and the launcher: the settings of epolyfill, the library's place
//! in `LD_PRELOAD`, the counters, and the library's records as another process reads them.
//!
//! This crate calls nothing of libc, some of whose names the library takes, and allocates nothing.

#![no_std]
#![forbid(unsafe_code)]

pub mod anchor;
pub mod counters;
pub mod preload;
pub mod settings;

#[cfg(test)]
extern crate std;
