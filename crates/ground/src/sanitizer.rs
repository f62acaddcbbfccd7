//! Reports to ThreadSanitizer's runtime, in a program that contains it and has this library in
//! front of it.
//!
//! The runtime learns from its interceptors of `epoll_ctl` and `epoll_wait` that a registration
//! happens before the handling of its event. This library is in front of those interceptors, and so
//! has to report it itself. If the runtime comes first, or is linked into the program, none of this
//! is needed, and it does no harm. An instrumented build of this library reports nothing, since
//! that would hide its own races.

use std::sync::atomic::AtomicPtr;
use std::sync::atomic::Ordering::Relaxed;

use libc::{c_int, c_void};

/// ThreadSanitizer's functions; null in a program without it.
#[unsafe(link_section = ".data.wait")]
static ACQUIRE: AtomicPtr<c_void> = AtomicPtr::new(std::ptr::null_mut());
#[unsafe(link_section = ".data.wait")]
static RELEASE: AtomicPtr<c_void> = AtomicPtr::new(std::ptr::null_mut());

/// Addresses that stand for the instances. Two instances that share one get more ordering than they
/// have, which at worst hides a race.
const ADDRESSES: usize = 256;
static INSTANCES: [u8; ADDRESSES] = [0; ADDRESSES];

/// Looks the runtime up. Called once, at start-up: dlsym may allocate.
pub fn look() {
    if cfg!(epolyfill_instrumented) || cfg!(test) {
        return;
    }
    for (place, name) in [(&ACQUIRE, c"__tsan_acquire"), (&RELEASE, c"__tsan_release")] {
        // SAFETY: the name ends in NUL.
        place.store(unsafe { libc::dlsym(libc::RTLD_DEFAULT, name.as_ptr()) }, Relaxed);
    }
}

/// Reports that everything the thread has done so far happens before the handling of an event of
/// this instance.
#[inline]
pub fn registers(epfd: c_int) {
    tell(&RELEASE, stand_in(epfd));
}

/// Reports that the thread received events of this instance.
#[inline]
pub fn reported(epfd: c_int) {
    tell(&ACQUIRE, stand_in(epfd));
}

/// Reports that the thread is about to poll an array of the library that another thread may have
/// polled. The runtime sees the call, but not the lock that passed the array to this thread.
#[inline]
pub fn takes(array: *const c_void) {
    tell(&ACQUIRE, array);
}

/// Reports that the thread has polled the array.
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
