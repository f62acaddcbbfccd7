//! The names that programs link against: libc's, and those of `epolyfill.h`.

mod calls;
pub mod capi;
#[cfg(feature = "see")]
mod seen;
mod symbols;

#[cfg(not(feature = "see"))]
use calls as served;
#[cfg(feature = "see")]
use seen as served;
