//! poll and select that are asked about epoll descriptors: the instance is observed from then on, and an answer that says
//! "readable" is checked, because what made it so may be gone by now (N1).

use libc::{c_int, fd_set, nfds_t, pollfd, sigset_t, timespec};

use crate::descriptors;
use crate::eventpoll::Eventpoll;
use crate::file::File;
use crate::nested;
use crate::next;
use crate::sys;
use crate::wait;

fn instance(fd: c_int) -> Option<&'static Eventpoll> {
    descriptors::known(fd).and_then(File::eventpoll)
}

/// A timeout as `Some(nanoseconds)`, `Some(None)` for none; `None` for nonsense, which the kernel is to judge.
///
/// # Safety
/// `limit` must be NULL or readable.
pub unsafe fn nanoseconds(limit: *const timespec) -> Option<Option<u64>> {
    // SAFETY: the caller answers for the address.
    let Some(limit) = (unsafe { limit.as_ref() }) else { return Some(None) };
    let (seconds, rest) = (u64::try_from(limit.tv_sec).ok()?, u64::try_from(limit.tv_nsec).ok()?);
    (rest < 1_000_000_000).then(|| Some(seconds.saturating_mul(1_000_000_000).saturating_add(rest)))
}

/// Whether the set asks about an epoll descriptor.
///
/// # Safety
/// `set` must be readable for `n` entries, or NULL.
pub unsafe fn in_poll_set(set: *const pollfd, n: nfds_t) -> bool {
    if set.is_null() || n > i32::MAX as nfds_t {
        return false;
    }
    // SAFETY: the caller answers for the array.
    unsafe { std::slice::from_raw_parts(set, n as usize) }
        .iter()
        .any(|entry| entry.fd >= 0 && instance(entry.fd).is_some())
}

/// ppoll(2) on a set with epoll descriptors in it; the timeout is in nanoseconds.
///
/// # Safety
/// As for ppoll.
pub unsafe fn poll(set: *mut pollfd, n: nfds_t, timeout: Option<u64>, mask: *const sigset_t) -> c_int {
    let deadline = timeout.map(|ns| sys::now().saturating_add(ns));
    let mut tick = wait::TICK_NS;
    loop {
        // SAFETY: the caller answers for the array. The borrow ends before the sleep.
        let entries = unsafe { std::slice::from_raw_parts(set, n as usize) };
        let instances = entries.iter().filter_map(|entry| instance(entry.fd));
        let uneasy = instances.fold(false, |uneasy, ep| nested::look(ep).uneasy | uneasy);
        let left = deadline.map(|deadline| deadline.saturating_sub(sys::now()));
        let pause = uneasy.then_some(tick);
        tick = (tick * 2).min(wait::LONGEST_TICK_NS);
        let limit = [left, pause].into_iter().flatten().min().map(sys::timespec_of);
        let limit = limit.as_ref().map_or(std::ptr::null(), std::ptr::from_ref);
        // SAFETY: as for ppoll.
        let mut found = unsafe { next::ppoll(set, n, limit, mask) };
        let only_paused = pause.is_some_and(|pause| left.is_none_or(|left| pause < left));
        if found < 0 || (found == 0 && !only_paused) {
            return found;
        }
        // SAFETY: the caller answers for the array.
        for entry in unsafe { std::slice::from_raw_parts_mut(set, n as usize) } {
            if entry.revents & libc::POLLIN != 0 && instance(entry.fd).is_some_and(|ep| !nested::is_ready(ep)) {
                entry.revents = 0;
                found -= 1;
            }
        }
        if found > 0 || left == Some(0) {
            return found;
        }
    }
}

/// The numbers below `n` in a set that are epoll descriptors of ours.
///
/// # Safety
/// `set` must be NULL or readable for `n` bits.
unsafe fn instances_in(n: c_int, set: *mut fd_set) -> impl Iterator<Item = (c_int, &'static Eventpoll)> {
    let n = if set.is_null() { 0 } else { n.min(libc::FD_SETSIZE as c_int) };
    // SAFETY: the caller answers for the set, and only numbers within it are asked for.
    (0..n).filter(move |&fd| unsafe { libc::FD_ISSET(fd, set) }).filter_map(|fd| instance(fd).map(|ep| (fd, ep)))
}

/// select(2), with `call` for the call itself.
///
/// # Safety
/// As for select; the sets must be those of the call.
pub unsafe fn select(
    n: c_int,
    sets: [*mut fd_set; 3],
    call: &mut dyn FnMut(*mut fd_set, *mut fd_set, *mut fd_set) -> c_int,
) -> c_int {
    let [readable, writable, exceptional] = sets;
    // SAFETY: the caller answers for the sets.
    if unsafe { instances_in(n, readable) }.next().is_none() {
        return call(readable, writable, exceptional);
    }
    // SAFETY: as above; a set that is not NULL is a whole fd_set.
    let before = sets.map(|set| unsafe { set.as_ref() }.copied());
    loop {
        // SAFETY: as above.
        for (_, ep) in unsafe { instances_in(n, readable) } {
            nested::is_ready(ep);
        }
        let mut found = call(readable, writable, exceptional);
        if found <= 0 {
            return found;
        }
        // SAFETY: as above.
        for (fd, ep) in unsafe { instances_in(n, readable) } {
            if !nested::is_ready(ep) {
                // SAFETY: `fd` is within the set.
                unsafe { libc::FD_CLR(fd, readable) };
                found -= 1;
            }
        }
        if found > 0 {
            return found;
        }
        for (set, before) in sets.into_iter().zip(before) {
            if let Some(before) = before {
                // SAFETY: the set is the caller's, which is not NULL.
                unsafe { *set = before };
            }
        }
    }
}
