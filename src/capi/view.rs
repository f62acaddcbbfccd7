//! Waits that hand out the instance's own array instead of filling the program's.

use std::ffi::c_int;
use std::ptr;

use libc::epoll_event;
use nix::errno::Errno;

use crate::calls;
use crate::eventpoll;
use crate::lock;
use crate::user;
use crate::view::MOST_EVENTS;

/// How many events `epolyfill_wait_view` reports at most.
pub const EPOLYFILL_VIEW_MAX: c_int = 1024;

const _: () = assert!(EPOLYFILL_VIEW_MAX as usize == MOST_EVENTS);

/// Waits for events and points at them, instead of copying them to an array of the program's.
///
/// `*events` is the first of as many events as the call returns, in memory of the instance. They stay as they are during the next such
/// wait on the instance, which fills another array, and until the one after that begins; and no longer than until the instance is closed. At
/// most `maxevents` are reported, and at most EPOLYFILL_VIEW_MAX. `timeout` is in milliseconds: 0 only looks, -1 waits for ever.
///
/// Returns the number of events, 0 when the time is over, or -1 with errno EBADF, EFAULT (`events`), EINTR (a signal handler ran), EINVAL
/// (`epfd` is no instance of epolyfill's, or `maxevents` is not positive), ENOMEM (before anything is waited for). A cancellation point.
/// One thread at a time may wait for a view of one instance, and may do so while another goes through the events of the wait before; other waits,
/// in any thread, do not disturb it.
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
    let found = if lock::interrupted() { Err(Errno::EINTR) } else { eventpoll::find(epfd) };
    let array = found.and_then(|ep| {
        if maxevents <= 0 {
            return Err(Errno::EINVAL);
        }
        // SAFETY: the caller answers for the address.
        unsafe { user::write(events, ptr::null()) }?;
        let array = ep.view.next()?;
        // SAFETY: as above.
        unsafe { user::write(events, array.cast_const()) }?;
        Ok(array)
    });
    match array {
        // SAFETY: the array has room for so many events.
        Ok(array) => unsafe { calls::wait(epfd, array, maxevents.min(EPOLYFILL_VIEW_MAX), timeout) },
        Err(errno) => calls::answer(Err(errno)),
    }
}
