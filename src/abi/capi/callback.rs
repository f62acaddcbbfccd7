//! Callbacks: a function of the program that is called with the events, instead of a wait.

use std::ffi::{c_int, c_void};

use libc::epoll_event;

use crate::abi::calls;
use crate::api::dispatch;
use crate::graph::consumer::Callback;
use crate::instance::open;

/// A function that is called with `n` events, at least one, which it owns until it returns, and
/// with the `user` pointer that was registered with it. It must return: leaving it by `longjmp`, by
/// an exception or by `pthread_exit` is not allowed.
#[allow(non_camel_case_types)] // The name is C's.
pub type epolyfill_callback = Option<unsafe extern "C" fn(events: *const epoll_event, n: c_int, user: *mut c_void)>;

/// Calls a function with the events of an instance as they come, on a thread of the instance.
///
/// The callback is one more waiter on the instance: level-triggered registrations are reported
/// again while they stay ready, edge-triggered and one-shot ones as they were registered, and an
/// event goes either to the callback or to a thread that waits. One call has at most 64 events, and
/// returns before the thread makes the next. The thread is named `epolyfill-call`, and has all
/// signals blocked.
///
/// An instance has one callback at most: a new one replaces it, and NULL as `function` removes it.
/// When this function returns, no call of the earlier callback is running and none will be made.
/// The exception is a caller inside a callback of the instance: it waits for nothing, and calls
/// that run at that moment, in the first place the caller's own, may return later. No event that
/// the thread had taken is lost: before this function returns, it goes to the new callback or, if
/// there is none, to the removed one. Closing the instance removes its callback without waiting. A
/// forked child has no callbacks. A callback that sets or removes the callback of another instance
/// waits for the calls of that one, so two callbacks must not do this to each other.
///
/// Returns 0, or -1 with errno EBADF, EINVAL (`epfd` is not an instance of epolyfill), EAGAIN (no
/// thread could be started; the earlier callback stays), ENOMEM (in a signal handler that
/// interrupted this library).
///
/// # Safety
/// `function` must be NULL or such a function, valid for calls with `user` until it is removed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn epolyfill_set_callback(epfd: c_int, function: epolyfill_callback, user: *mut c_void) -> c_int {
    let callback = function.map(|function| Callback { function, user });
    calls::answer(open::find(epfd).and_then(|ep| dispatch::set(*ep, callback)).map(|()| 0))
}

/// Waits for events in the calling thread and calls the callback of the instance with them, at most
/// once.
///
/// It is for programs that run their callback on threads of their own. The first such call ends the
/// instance's thread, until `epolyfill_set_callback` is called again: that first call waits,
/// whatever the timeout, until the thread has left the callback. Several threads may dispatch at
/// once; the callback is then called by several. `timeout` is in milliseconds: 0 does not sleep, -1
/// never expires.
///
/// Returns the number of events that the callback was called with, 0 when the time is over, or -1
/// with errno EBADF, ECANCELED (the callback was removed, or the instance closed, meanwhile), EINTR
/// (a signal handler ran), EINVAL (`epfd` is not an instance of epolyfill, or has no callback),
/// ENOMEM (as for `epolyfill_wait`). It is not a cancellation point, and must not be left by
/// `siglongjmp`.
#[unsafe(no_mangle)]
pub extern "C" fn epolyfill_dispatch(epfd: c_int, timeout: c_int) -> c_int {
    let dispatched = open::find(epfd).and_then(|ep| dispatch::dispatch(*ep, calls::milliseconds(timeout)));
    calls::answer(dispatched.map(|n| n as c_int))
}
