//! The names of libc that the library exports. There is no logic here: each symbol converts, calls,
//! and sets errno.
//!
//! Without the feature `interpose` none of them is exported: then the library is used beside libc's
//! epoll, and sees no call of the program. Each export is pinned to libc's prototype. Test builds
//! export none of them, because they would replace the test program's own libc.

mod controls;
mod descriptors;
mod epoll;
mod exec;
mod fork;
mod polls;
mod raw_call;
#[cfg(all(feature = "interpose", not(test)))]
mod sanitizer;
mod signal_waits;
mod signals;
mod sockets;
mod stdio;
pub mod syscall;
#[cfg(feature = "see")]
mod tls;
mod transfers;

/// Exports functions under libc's names; with `as libc::name` the prototype must be that of the
/// libc crate. Each name must be in the table of `syscall`.
macro_rules! export {
    (@prototype $name:ident) => { $name };
    (@prototype $name:ident $pin:path) => { $pin };
    ($($(#[$meta:meta])* fn $name:ident($($arg:ident: $type:ty),* $(,)?) -> $ret:ty $(as $pin:path)? $body:block)*) => {
        $(
            $(#[$meta])*
            ///
            /// # Safety
            /// As for libc's function of that name.
            #[cfg_attr(all(feature = "interpose", not(test)), unsafe(no_mangle))]
            #[allow(non_snake_case)] // libc's own name.
            pub unsafe extern "C" fn $name($($arg: $type),*) -> $ret $body
            const _: unsafe extern "C" fn($($type),*) -> $ret = export!(@prototype $name $($pin)?);
            const _: () = $crate::abi::symbols::syscall::listed::$name;
        )*
    };
}
use export;

use crate::abi::calls::answer as libc_answer;
