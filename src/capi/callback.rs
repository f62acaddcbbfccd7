//! A program's function that is called with the events, instead of a wait.

use std::ffi::{c_int, c_void};

use libc::epoll_event;

use crate::calls;
use crate::dispatch::{self, Callback};
use crate::eventpoll;

/// A function that is called with `n` events, at least one, which are the callee's until it returns; `user` is what was given with it. It must
/// return: leaving it by `longjmp`, by an exception or by `pthread_exit` is not allowed.
#[allow(non_camel_case_types)] // The name is C's.
pub type epolyfill_callback = Option<unsafe extern "C" fn(events: *const epoll_event, n: c_int, user: *mut c_void)>;

/// Has a function called with the events of an instance, from a thread of the instance's own, as they come.
///
/// It is one more waiter on the instance: level-triggered registrations are reported again while they stay ready, edge-triggered and
/// one-shot ones as they were registered, and threads that wait as well take other events than it does. At most 64 come in one call, and one call is
/// over before that thread makes the next. The thread is called `epolyfill-call`, and has all signals blocked.
///
/// An instance has one callback at most: another one takes its place, and NULL as `function` removes it. When this returns no call of the
/// earlier one is running, and none will be made, with one exception: called from within a callback of the instance it waits for nothing, and
/// calls that run at that moment, the caller's own above all, may return later. What the thread had taken by then is not lost: the
/// new callback gets it, and if there is none the removed one, before this returns. Closing the instance removes its callback, without waiting.
/// A forked child has no callbacks. A callback that sets or removes that of another instance waits for that one's calls as anybody does, so two
/// must not do so to each other.
///
/// Returns 0, or -1 with errno EBADF, EINVAL (`epfd` is no instance of epolyfill's), EAGAIN (no thread can be had; the callback is the earlier one),
/// ENOMEM (in a signal handler that interrupted this library).
///
/// # Safety
/// `function` must be NULL or such a function, good for being called with `user` until it is removed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn epolyfill_set_callback(epfd: c_int, function: epolyfill_callback, user: *mut c_void) -> c_int {
    let callback = function.map(|function| Callback { function, user });
    calls::answer(eventpoll::find(epfd).and_then(|ep| dispatch::set(*ep, callback)).map(|()| 0))
}

/// Waits for events in the calling thread and calls the callback of the instance with them, once at most.
///
/// For programs that want their callback on threads of their own. From the first such call on the instance has no dispatch thread, until
/// `epolyfill_set_callback` is called again: that call waits, whatever the timeout, until the thread is out of the callback. Several threads may
/// dispatch at once; then the callback is called by several. `timeout` is in milliseconds: 0 only looks, -1 waits for ever.
///
/// Returns the number of events that the callback was called with, 0 when the time is over, or -1 with errno EBADF, ECANCELED (the callback was
/// removed, or the instance closed, meanwhile), EINTR (a signal handler ran), EINVAL (`epfd` is no instance of epolyfill's, or it has no callback),
/// ENOMEM (as for `epolyfill_wait`). Not a cancellation point; it must not be left by `siglongjmp`.
#[unsafe(no_mangle)]
pub extern "C" fn epolyfill_dispatch(epfd: c_int, timeout: c_int) -> c_int {
    let dispatched = eventpoll::find(epfd).and_then(|ep| dispatch::dispatch(*ep, calls::milliseconds(timeout)));
    calls::answer(dispatched.map(|n| n as c_int))
}
