//! In place of the library's own threads: none can be started, because the scheduler would not know
//! of it. So no registration is with a watcher.

use std::ffi::{CStr, c_void};

use nix::errno::Errno;

/// Refuses.
///
/// # Safety
/// None is needed.
pub unsafe fn start(
    _stack: Option<usize>,
    _run: extern "C" fn(*mut c_void) -> *mut c_void,
    _argument: *mut c_void,
) -> Result<(), Errno> {
    Err(Errno::EAGAIN)
}

/// There is no thread to name.
pub fn set_name(_name: &CStr) {}
