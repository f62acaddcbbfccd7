//! The names that programs link against: libc's, and those of `epolyfill.h`.

mod calls;
pub mod capi;
mod own_signals;
#[cfg(feature = "see")]
mod seen;
#[cfg_attr(not(target_arch = "x86_64"), allow(dead_code))] // `raw` is for x86_64 alone.
pub(crate) mod sigsys;
mod symbols;

#[cfg(not(feature = "see"))]
use calls as served;
#[cfg(feature = "see")]
use seen as served;

#[cfg(all(feature = "interpose", not(test), target_arch = "x86_64"))]
pub(crate) use symbols::syscall::by_number;
