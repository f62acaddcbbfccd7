//! Threads of the library's own: detached, with every signal blocked, and with names that show
//! their purpose.

use std::ffi::{CStr, c_void};
use std::mem::MaybeUninit;

use nix::errno::Errno;

use crate::sys;

/// Starts a thread, with a stack of the given size or of the usual one. errno stays as it was:
/// glibc leaves that of an madvise(2) there which the kernel does not know.
///
/// # Safety
/// The argument must be valid for `run`, for as long as the thread lives.
pub unsafe fn start(
    stack: Option<usize>,
    run: extern "C" fn(*mut c_void) -> *mut c_void,
    argument: *mut c_void,
) -> Result<(), Errno> {
    let before = sys::block_signals(sys::ALL_SIGNALS);
    let errno = Errno::last_raw();
    let mut thread = MaybeUninit::uninit();
    // SAFETY: the attributes are initialised, used and destroyed here; the caller answers for the
    // argument.
    let failed = unsafe {
        let mut attributes: libc::pthread_attr_t = std::mem::zeroed();
        libc::pthread_attr_init(&raw mut attributes);
        if let Some(bytes) = stack {
            libc::pthread_attr_setstacksize(&raw mut attributes, bytes.max(libc::PTHREAD_STACK_MIN));
        }
        libc::pthread_attr_setdetachstate(&raw mut attributes, libc::PTHREAD_CREATE_DETACHED);
        let failed = libc::pthread_create(thread.as_mut_ptr(), &raw const attributes, run, argument);
        libc::pthread_attr_destroy(&raw mut attributes);
        failed
    };
    Errno::set_raw(errno);
    sys::swap_signal_mask(before);
    if failed == 0 { Ok(()) } else { Err(Errno::from_raw(failed)) }
}

/// Names the calling thread, with 15 characters at most.
pub fn set_name(name: &CStr) {
    // SAFETY: prctl reads the NUL-terminated name.
    unsafe { libc::prctl(libc::PR_SET_NAME, name.as_ptr()) };
}
