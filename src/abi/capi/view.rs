//! Waits that return the instance's own array instead of filling the program's.

use std::ffi::c_int;
use std::ptr;

use libc::epoll_event;
use nix::errno::Errno;

use crate::abi::calls;
use crate::graph::event_array::MOST_EVENTS;
use crate::instance::open;
use crate::lock;
use crate::sleep::By;
use crate::uaccess;

/// The largest number of events that `epolyfill_wait_view` reports.
pub const EPOLYFILL_VIEW_MAX: c_int = 1024;

const _: () = assert!(EPOLYFILL_VIEW_MAX as usize == MOST_EVENTS);

/// Waits for events and returns a pointer to them, instead of copying them to an array of the
/// program.
///
/// `*events` points to the first of the events, in memory of the instance. They stay unchanged
/// during the next such wait on the instance, which fills another array, until the one after that
/// begins or the instance is closed. At most `maxevents` are reported, and at most
/// EPOLYFILL_VIEW_MAX. `timeout` is in milliseconds: 0 does not sleep, -1 never expires.
///
/// Returns the number of events, 0 when the time is over, or -1 with errno EBADF, EFAULT
/// (`events`), EINTR (a signal handler ran), EINVAL (`epfd` is not an instance of epolyfill, or
/// `maxevents` is not positive), ENOMEM (before the wait). It is a cancellation point. Only one
/// thread at a time may wait for a view of one instance, and may do so while another thread uses
/// the events of the wait before; other waits, in any thread, do not disturb it.
///
/// # Safety
/// `events` must be NULL, outside user space, or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn epolyfill_wait_view(
    epfd: c_int,
    events: *mut *const epoll_event,
    maxevents: c_int,
    timeout: c_int,
) -> c_int {
    let found = if lock::interrupted() { Err(Errno::EINTR) } else { open::find(epfd) };
    let array = found.and_then(|ep| {
        if maxevents <= 0 {
            return Err(Errno::EINVAL);
        }
        // SAFETY: the caller answers for the address.
        unsafe { uaccess::write(events, ptr::null()) }?;
        let array = ep.view.next()?;
        // SAFETY: as above.
        unsafe { uaccess::write(events, array.cast_const()) }?;
        Ok(array)
    });
    match array {
        // SAFETY: the array has room for so many events.
        Ok(array) => unsafe { calls::wait(By::Name, epfd, array, maxevents.min(EPOLYFILL_VIEW_MAX), timeout) },
        Err(errno) => calls::answer(Err(errno)),
    }
}
