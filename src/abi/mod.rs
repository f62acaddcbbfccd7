//! The names that programs link against: libc's, and those of `epolyfill.h`.

mod calls;
pub mod capi;
mod symbols;
