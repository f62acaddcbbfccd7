//! Programs that carry the runtime of a sanitizer, with this library in front of it.
//!
//! AddressSanitizer refuses to start behind another library unless it is told not to look; it asks
//! for its options by a function that anybody may define. ThreadSanitizer learns from its own
//! `epoll_ctl` and `epoll_wait` that a registration happens before what is done with its event; in
//! front of those the library has to say so itself. Where a runtime comes first, or is linked into
//! the program, none of this is needed, and does no harm. A build of this library that is itself
//! instrumented says nothing: its own races would be hidden.

use std::sync::atomic::AtomicPtr;
use std::sync::atomic::Ordering::Relaxed;

use libc::{c_int, c_void};

/// What AddressSanitizer takes for the program's options if the program has none of its own;
/// ASAN_OPTIONS counts after it.
#[cfg(all(feature = "interpose", not(test)))]
#[unsafe(no_mangle)]
pub extern "C" fn __asan_default_options() -> *const libc::c_char {
    c"verify_asan_link_order=0".as_ptr()
}

/// What ThreadSanitizer is not to report if the program does not say so itself: it sees what the
/// library copies, and not the locks that the library copies it under.
#[cfg(all(feature = "interpose", not(test), not(epolyfill_instrumented)))]
#[unsafe(no_mangle)]
pub extern "C" fn __tsan_default_suppressions() -> *const libc::c_char {
    c"race:epolyfill::".as_ptr()
}

/// ThreadSanitizer's own functions; null in a program without it.
static ACQUIRE: AtomicPtr<c_void> = AtomicPtr::new(std::ptr::null_mut());
static RELEASE: AtomicPtr<c_void> = AtomicPtr::new(std::ptr::null_mut());

/// Addresses that stand for the instances. Two that share one are ordered more than they are, which
/// hides a race at worst.
const ADDRESSES: usize = 256;
static INSTANCES: [u8; ADDRESSES] = [0; ADDRESSES];

/// Looks for the runtime. Once, at start-up: dlsym may allocate.
pub fn look() {
    if cfg!(epolyfill_instrumented) || cfg!(test) {
        return;
    }
    for (place, name) in [(&ACQUIRE, c"__tsan_acquire"), (&RELEASE, c"__tsan_release")] {
        // SAFETY: the name ends in NUL.
        place.store(unsafe { libc::dlsym(libc::RTLD_DEFAULT, name.as_ptr()) }, Relaxed);
    }
}

/// What the thread did so far happens before what an event of this instance leads to.
#[inline]
pub fn registers(epfd: c_int) {
    tell(&RELEASE, stand_in(epfd));
}

/// Events of this instance were reported to the thread.
#[inline]
pub fn reported(epfd: c_int) {
    tell(&ACQUIRE, stand_in(epfd));
}

/// The thread is about to poll an array of the library's that another thread may have polled. The
/// runtime sees the call, and not the lock that makes it this thread's turn.
#[inline]
pub fn takes(array: *const c_void) {
    tell(&ACQUIRE, array);
}

/// The thread has polled the array.
#[inline]
pub fn lets_go(array: *const c_void) {
    tell(&RELEASE, array);
}

fn stand_in(epfd: c_int) -> *const c_void {
    (&raw const INSTANCES[epfd as usize % ADDRESSES]).cast()
}

#[inline]
fn tell(function: &AtomicPtr<c_void>, address: *const c_void) {
    let function = function.load(Relaxed);
    if function.is_null() {
        return;
    }
    // SAFETY: the runtime's function takes any address, and reads nothing there.
    unsafe {
        let function: unsafe extern "C" fn(*const c_void) = std::mem::transmute::<*mut c_void, _>(function);
        function(address);
    }
}
