//! The environment variables that the library and the launcher share: the settings of epolyfill,
//! and the library's place in `LD_PRELOAD`.
//!
//! This crate calls nothing of libc, some of whose names the library takes, and allocates nothing.

#![no_std]
#![forbid(unsafe_code)]

pub mod preload;
pub mod settings;

#[cfg(test)]
extern crate std;
