//! Polls: of one descriptor, of a set, and of a set that is too long for one call.

use libc::{c_int, c_short, pollfd, timespec};
use nix::errno::Errno;
use syscalls::{Sysno, syscall};

use super::{KERNEL_SIGSET_BYTES, errno, is_open, timespec_of};

/// Looks at levels and never sleeps: poll with timeout 0, repeated if a signal handler interrupted
/// it.
pub fn look(set: &mut [pollfd]) -> usize {
    loop {
        let mut answer = poll_at_once(set);
        if answer.is_err_and(is_too_long) {
            answer = look_in_pieces(set);
        }
        match answer {
            Ok(n) => return n,
            Err(Errno::EINTR) => {}
            Err(_) => {
                set.iter_mut().for_each(|entry| entry.revents = 0);
                return 0;
            }
        }
    }
}

#[cold]
fn look_in_pieces(set: &mut [pollfd]) -> Result<usize, Errno> {
    ppoll_in_pieces(set, poll_at_once)
}

/// poll(2) with timeout 0, which is faster than ppoll(2) on architectures that have both.
#[cfg(any(target_arch = "x86_64", target_arch = "x86", target_arch = "arm"))]
fn poll_at_once(set: &mut [pollfd]) -> Result<usize, Errno> {
    // SAFETY: the slice is valid for its length.
    unsafe { syscall!(Sysno::poll, set.as_mut_ptr(), set.len(), 0) }.map_err(errno)
}

#[cfg(not(any(target_arch = "x86_64", target_arch = "x86", target_arch = "arm")))]
fn poll_at_once(set: &mut [pollfd]) -> Result<usize, Errno> {
    ppoll_raw(set, Some(0))
}

/// Whether poll refused an array for its length: it takes no more entries than RLIMIT_NOFILE
/// allows, which may be fewer than there are open descriptors, and needs memory for long arrays.
pub fn is_too_long(e: Errno) -> bool {
    matches!(e, Errno::EINVAL | Errno::ENOMEM)
}

/// poll(2) of an array that was refused for its length: `poll` on as many of the first entries as it
/// takes, then a look at the others.
#[cold]
pub fn ppoll_in_pieces(
    set: &mut [pollfd],
    mut poll: impl FnMut(&mut [pollfd]) -> Result<usize, Errno>,
) -> Result<usize, Errno> {
    let mut piece = descriptor_limit().min(set.len());
    let found = loop {
        match poll(&mut set[..piece]) {
            Err(e) if piece > 0 && is_too_long(e) => piece /= 2,
            answer => break answer?,
        }
    };
    let others = &mut set[piece..];
    Ok(found + if piece > 0 { others.chunks_mut(piece).map(look).sum() } else { look_by_select(others) })
}

/// Looks by select, for a limit at which poll takes no entry at all. select reports less: a hang-up
/// or an error shows only as readable or writable.
fn look_by_select(set: &mut [pollfd]) -> usize {
    use crate::events::{NVAL, PRI, READABLE, WRITABLE};
    for entry in set.iter_mut() {
        entry.revents = if entry.fd < 0 || is_open(entry.fd) { 0 } else { NVAL.cast_signed() };
    }
    let highest = set.iter().map(|entry| entry.fd).max().unwrap_or(-1);
    let words = usize::try_from(highest + 1).unwrap_or(0).div_ceil(64);
    let mut bits: Vec<u64> = Vec::new();
    if words > 0 && bits.try_reserve_exact(3 * words).is_ok() {
        bits.resize(3 * words, 0);
        let sets = [READABLE, WRITABLE, PRI];
        let place = |fd: c_int, kind: usize| (kind * words + fd as usize / 64, 1u64 << (fd % 64));
        for entry in set.iter().filter(|entry| entry.fd >= 0 && entry.revents == 0) {
            for (kind, wanted) in sets.iter().enumerate() {
                let (word, bit) = place(entry.fd, kind);
                bits[word] |= if entry.events.cast_unsigned() & wanted != 0 { bit } else { 0 };
            }
        }
        let mut zero = timespec { tv_sec: 0, tv_nsec: 0 };
        let [r, w, e] = [0, 1, 2].map(|kind| bits[kind * words..].as_ptr());
        // SAFETY: each set has room for every number below the given count.
        let answer = unsafe { syscall!(Sysno::pselect6, highest + 1, r, w, e, &raw mut zero, 0usize) };
        if answer.is_ok() {
            for entry in set.iter_mut().filter(|entry| entry.fd >= 0 && entry.revents == 0) {
                for (kind, wanted) in sets.iter().enumerate() {
                    let (word, bit) = place(entry.fd, kind);
                    entry.revents |= if bits[word] & bit != 0 { entry.events & wanted.cast_signed() } else { 0 };
                }
            }
        }
    }
    set.iter().filter(|entry| entry.revents != 0).count()
}

/// The soft limit of descriptors, which may change at any time, even from another process.
pub fn descriptor_limit() -> usize {
    let mut limit = libc::rlimit64 { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the kernel writes one limit; nothing is set.
    let answer = unsafe { syscall!(Sysno::prlimit64, 0, libc::RLIMIT_NOFILE, 0usize, &raw mut limit) };
    if answer.is_err() { 1024 } else { usize::try_from(limit.rlim_cur).unwrap_or(usize::MAX) }
}

/// The level of one descriptor: the requested bits, and POLLERR, POLLHUP and POLLNVAL.
pub fn level(fd: c_int, bits: u16) -> u16 {
    let mut one = [pollfd { fd, events: bits.cast_signed(), revents: 0 as c_short }];
    look(&mut one);
    one[0].revents.cast_unsigned()
}

/// Whether the read end of a pipe is open, under any number and in any process. `fd` is its write
/// end.
pub fn has_reader(fd: c_int) -> bool {
    level(fd, 0) & crate::events::ERR == 0
}

/// ppoll(2) for a thread that cannot be cancelled (a watcher), at most for `limit` nanoseconds.
pub fn ppoll_raw(set: &mut [pollfd], limit: Option<u64>) -> Result<usize, Errno> {
    let mut limit = limit.map(timespec_of);
    let limit = limit.as_mut().map_or(std::ptr::null_mut(), std::ptr::from_mut);
    // SAFETY: the slice is valid for its length, and the kernel may write the remaining time.
    unsafe { syscall!(Sysno::ppoll, set.as_mut_ptr(), set.len(), limit, 0usize, KERNEL_SIGSET_BYTES) }.map_err(errno)
}

// The rules define epoll's bits without libc.
const _: () = {
    use crate::events;
    let pairs = [
        (events::IN, libc::POLLIN, libc::EPOLLIN),
        (events::PRI, libc::POLLPRI, libc::EPOLLPRI),
        (events::OUT, libc::POLLOUT, libc::EPOLLOUT),
        (events::ERR, libc::POLLERR, libc::EPOLLERR),
        (events::HUP, libc::POLLHUP, libc::EPOLLHUP),
        (events::NVAL, libc::POLLNVAL, libc::POLLNVAL as i32),
        (events::RDNORM, libc::POLLRDNORM, libc::EPOLLRDNORM),
        (events::RDBAND, libc::POLLRDBAND, libc::EPOLLRDBAND),
        (events::WRNORM, libc::POLLWRNORM, libc::EPOLLWRNORM),
        (events::WRBAND, libc::POLLWRBAND, libc::EPOLLWRBAND),
        (events::MSG, events::MSG.cast_signed(), libc::EPOLLMSG),
        (events::RDHUP, libc::POLLRDHUP, libc::EPOLLRDHUP),
    ];
    let mut at = 0;
    while at < pairs.len() {
        let (ours, poll, epoll) = pairs[at];
        assert!(ours == poll.cast_unsigned() && ours as i32 == epoll);
        at += 1;
    }
    assert!(events::EDGE == libc::EPOLLET as u32 && events::ONESHOT == libc::EPOLLONESHOT as u32);
    assert!(events::EXCLUSIVE == libc::EPOLLEXCLUSIVE as u32 && events::WAKEUP == libc::EPOLLWAKEUP as u32);
};
