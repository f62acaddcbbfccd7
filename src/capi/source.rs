//! Readiness sources: descriptors that are ready when the program says so.

use std::ffi::c_int;

use crate::calls;
use crate::source;

/// Makes a source: a descriptor whose readiness the program itself posts, to be added to instances beside descriptors of any other kind.
///
/// It stands for whatever the kernel does not know of: a queue in memory, a fence, a connection of a network stack of the program's own. Instances of
/// epolyfill's take it with every mask, level- and edge-triggered, one-shot and exclusive, in threads and in instances inside others. It is a
/// descriptor: it can be duplicated, and it is closed by close(2) as well as by `epolyfill_source_close`. It cannot be read or written. To
/// whoever polls it otherwise, by poll(2) or the kernel's epoll, it is readable while EPOLLIN is posted, and always writable.
/// A forked child has a copy: what the one posts from then on the other does not see.
///
/// `flags` is 0 or EPOLL_CLOEXEC. Returns the descriptor, or -1 with errno EINVAL (another flag), EMFILE or ENFILE (no free number), ENOSPC (a
/// number beyond those that can be watched), ENOMEM (or in a signal handler that interrupted this library).
#[unsafe(no_mangle)]
pub extern "C" fn epolyfill_source_new(flags: c_int) -> c_int {
    calls::answer(source::create(flags))
}

/// Posts events on a source: they are its level until they are cleared, and this wakes who waits for any of them.
///
/// `events` is one or more of EPOLLIN, EPOLLOUT, EPOLLPRI, EPOLLRDHUP, EPOLLHUP and EPOLLERR. Each call is an edge, also of what is posted
/// already: an edge-triggered registration that asks for one of these events, or for none if it is EPOLLERR or EPOLLHUP, is reported once more, with all
/// that is posted of its mask. A level-triggered one is reported as long as there is something.
/// May be called by any thread, and in signal handlers.
///
/// Returns 0, or -1 with errno EBADF or EINVAL (`source` is no source; no event, or another one).
#[unsafe(no_mangle)]
pub extern "C" fn epolyfill_source_post(source: c_int, events: u32) -> c_int {
    calls::answer(source::post(source, events).map(|()| 0))
}

/// Takes events off a source, that were posted or not. What was not reported by then is not.
///
/// `events`, results and errno are those of `epolyfill_source_post`. May be called by any thread, and in signal handlers.
#[unsafe(no_mangle)]
pub extern "C" fn epolyfill_source_clear(source: c_int, events: u32) -> c_int {
    calls::answer(source::clear(source, events).map(|()| 0))
}

/// The events that are posted on a source at present.
///
/// Returns them, 0 for none, or -1 with errno EBADF or EINVAL (`source` is no source). May be called by any thread, and in signal handlers.
#[unsafe(no_mangle)]
pub extern "C" fn epolyfill_source_events(source: c_int) -> c_int {
    calls::answer(source::posted(source).map(u32::cast_signed))
}

/// Closes a source, as close(2) does: with its last descriptor its registrations end.
///
/// A post in another thread at this moment is one before it, or finds the number closed; whatever is opened under it next is left alone.
///
/// Returns 0, or -1 with errno EBADF or EINVAL (`source` is no source, and stays open).
#[unsafe(no_mangle)]
pub extern "C" fn epolyfill_source_close(source: c_int) -> c_int {
    match source::check(source) {
        // SAFETY: what becomes of the descriptor is for the caller to know.
        Ok(()) => unsafe { calls::close(source) },
        Err(errno) => calls::answer(Err(errno)),
    }
}
