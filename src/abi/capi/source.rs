//! Sources: descriptors whose readiness the program posts.

use std::ffi::c_int;

use crate::abi::calls;
use crate::api::source;

/// Makes a source: a descriptor whose readiness the program posts, to be added to instances beside
/// other descriptors.
///
/// A source represents an object that the kernel does not know: a queue in memory, a fence, a
/// connection of the program's own network stack. Instances of epolyfill accept it with every mask,
/// level- and edge-triggered, one-shot and exclusive, in threads and in nested instances. It is a
/// descriptor: it can be duplicated, and both close(2) and `epolyfill_source_close` close it. It
/// cannot be read or written. To a program that polls it without epolyfill, by poll(2) or the
/// kernel's epoll, it is readable while EPOLLIN is posted, and always writable. A forked child has
/// a copy: later posts of one process are not visible in the other.
///
/// `flags` is 0 or EPOLL_CLOEXEC. Returns the descriptor, or -1 with errno EINVAL (another flag),
/// EMFILE or ENFILE (no free number), ENOSPC (a number beyond those that can be watched), ENOMEM
/// (also in a signal handler that interrupted this library).
#[unsafe(no_mangle)]
pub extern "C" fn epolyfill_source_new(flags: c_int) -> c_int {
    calls::start();
    calls::answer(source::create(flags))
}

/// Posts events on a source: they are its level until they are cleared. Wakes the threads that wait
/// for any of them.
///
/// `events` is one or more of EPOLLIN, EPOLLOUT, EPOLLPRI, EPOLLRDHUP, EPOLLHUP and EPOLLERR. Each
/// call is an edge, even if the events are posted already: an edge-triggered registration whose
/// mask has one of these events (every mask has EPOLLERR and EPOLLHUP) is reported once more, with
/// all posted events of its mask. A level-triggered one is reported as long as an event is posted.
/// Any thread may call it, and so may signal handlers.
///
/// Returns 0, or -1 with errno EBADF or EINVAL (`source` is not a source; `events` is 0 or has
/// another event).
#[unsafe(no_mangle)]
pub extern "C" fn epolyfill_source_post(source: c_int, events: u32) -> c_int {
    calls::answer(source::post(source, events).map(|()| 0))
}

/// Clears events of a source, whether they are posted or not. An event that is cleared before it
/// was reported is not reported.
///
/// `events`, results and errno are those of `epolyfill_source_post`. Any thread may call it, and so
/// may signal handlers.
#[unsafe(no_mangle)]
pub extern "C" fn epolyfill_source_clear(source: c_int, events: u32) -> c_int {
    calls::answer(source::clear(source, events).map(|()| 0))
}

/// The events that are posted on a source at present.
///
/// Returns them, 0 for none, or -1 with errno EBADF or EINVAL (`source` is not a source). Any
/// thread may call it, and so may signal handlers.
#[unsafe(no_mangle)]
pub extern "C" fn epolyfill_source_events(source: c_int) -> c_int {
    calls::answer(source::posted(source).map(u32::cast_signed))
}

/// Closes a source, as close(2) does: its registrations end with its last descriptor.
///
/// A post in another thread at this moment either comes before the close or fails; it never affects
/// a file that is opened under the number later.
///
/// Returns 0, or -1 with errno EBADF or EINVAL (`source` is not a source, and stays open).
#[unsafe(no_mangle)]
pub extern "C" fn epolyfill_source_close(source: c_int) -> c_int {
    match source::check(source) {
        // SAFETY: what becomes of the descriptor is for the caller to know.
        Ok(()) => unsafe { calls::close(source) },
        Err(errno) => calls::answer(Err(errno)),
    }
}
