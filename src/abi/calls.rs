//! The epoll calls as C programs make them: addresses and times are converted, and errors go into
//! errno. This is the common part of libc's names (`symbols/epoll`) and the library's own
//! (`capi/calls`).

use libc::{c_int, epoll_event, sigset_t, timespec};
use nix::errno::Errno;

use crate::abi::own_signals;
use crate::graph::fdtable;
use crate::graph::lookup;
use crate::graph::own_table;
use crate::graph::signal_numbers;
use crate::instance::close;
use crate::instance::control::{self, Interest};
use crate::instance::wait::{self, Timeout};
use crate::life::process;
use crate::lock;
use crate::nested;
use crate::options;
use crate::real;
use crate::sanitizer;
use crate::see::{Observer, Watch};
use crate::sleep::{By, Sleep};
use crate::sys::{self, KERNEL_SIGSET_BYTES, SigMask};
use crate::uaccess;

/// Returns -1 and sets errno for an error; otherwise errno stays as it was.
pub fn answer(result: Result<c_int, Errno>) -> c_int {
    result.unwrap_or_else(|errno| {
        sys::set_errno(errno);
        -1
    })
}

/// Makes the library ready before a descriptor is made. Does nothing in a signal handler that
/// interrupted the library, where no call may wait.
pub fn start() {
    if !lock::interrupted() {
        process::start();
    }
}

/// epoll_create(2).
pub fn create(size: c_int) -> c_int {
    if size > 0 { create1(0) } else { answer(Err(Errno::EINVAL)) }
}

/// epoll_create1(2).
pub fn create1(flags: c_int) -> c_int {
    start();
    let instance = nested::create(flags);
    options::complain();
    answer(instance)
}

/// epoll_ctl(2).
///
/// # Safety
/// As for libc's epoll_ctl.
pub unsafe fn ctl(epfd: c_int, op: c_int, fd: c_int, event: *const epoll_event) -> c_int {
    // SAFETY: the caller answers for the address.
    answer(unsafe { control_one(epfd, op, fd, event) }.map(|()| 0))
}

/// epoll_ctl(2), which returns its errno.
///
/// # Safety
/// As for libc's epoll_ctl.
pub unsafe fn control_one(epfd: c_int, op: c_int, fd: c_int, event: *const epoll_event) -> Result<(), Errno> {
    sanitizer::registers(epfd);
    // SAFETY: the caller answers for the address.
    control::control(epfd, op, fd, unsafe { interest(op, event) }?)
}

/// epoll_wait(2).
///
/// # Safety
/// As for libc's epoll_wait.
pub unsafe fn wait(by: By, epfd: c_int, events: *mut epoll_event, max: c_int, timeout: c_int) -> c_int {
    // SAFETY: the caller answers for `events`.
    unsafe { wait_until(by, epfd, events, max, milliseconds(timeout), None) }
}

/// The `event` of epoll_ctl; EFAULT for NULL and for addresses outside user space (T1). DEL ignores
/// it (T2).
///
/// # Safety
/// `event` must be NULL, outside user space, or readable.
unsafe fn interest(op: c_int, event: *const epoll_event) -> Result<Option<Interest>, Errno> {
    if op == libc::EPOLL_CTL_DEL {
        return Ok(None);
    }
    // SAFETY: the caller answers for the address.
    let event = unsafe { uaccess::read(event) }?;
    Ok(Some(Interest { events: event.events, data: event.u64 }))
}

/// A time-out in milliseconds; a negative one never expires (W2).
pub fn milliseconds(timeout: c_int) -> Timeout {
    u64::try_from(timeout).ok().map(|ms| ms * 1_000_000)
}

/// A time-out as a timespec; NULL never expires, an invalid one is EINVAL (W2).
unsafe fn time(limit: *const timespec) -> Result<Timeout, Errno> {
    if limit.is_null() {
        return Ok(None);
    }
    // SAFETY: the caller answers for the address.
    nanoseconds(unsafe { uaccess::read(limit) }?).map(Some)
}

/// The nanoseconds of a time-out. EINVAL for a negative or an unnormalized one.
pub fn nanoseconds(limit: timespec) -> Result<u64, Errno> {
    let seconds = u64::try_from(limit.tv_sec).map_err(|_| Errno::EINVAL)?;
    let nanoseconds = u64::try_from(limit.tv_nsec).ok().filter(|&ns| ns < 1_000_000_000).ok_or(Errno::EINVAL)?;
    Ok(seconds.saturating_mul(1_000_000_000).saturating_add(nanoseconds))
}

/// # Safety
/// As for the exported waits. A cancellation point by name (W10).
unsafe fn wait_until(
    by: By,
    epfd: c_int,
    events: *mut epoll_event,
    max: c_int,
    timeout: Timeout,
    mask: Option<SigMask>,
) -> c_int {
    if by == By::Name {
        real::testcancel();
    }
    // SAFETY: the caller answers for `events`.
    let reported = unsafe { wait::wait(epfd, events, max, timeout, Sleep::new(by, mask)) };
    if reported.is_ok_and(|n| n > 0) {
        sanitizer::reported(epfd);
    }
    answer(reported.map(|n| n as c_int))
}

/// The first eight bytes of libc's set, which are the kernel's, as far as the program may block
/// signals. EINVAL for another size, EFAULT if
/// the address cannot be the program's.
unsafe fn mask_of(mask: *const sigset_t, bytes: usize) -> Result<Option<SigMask>, Errno> {
    if mask.is_null() {
        return Ok(None);
    }
    if bytes != KERNEL_SIGSET_BYTES {
        return Err(Errno::EINVAL);
    }
    // SAFETY: the caller answers for the address.
    unsafe { uaccess::read(mask.cast::<SigMask>()) }.map(|mask| Some(own_signals::admit(mask)))
}

/// epoll_pwait as the system call, which takes the size of the mask.
///
/// # Safety
/// As for epoll_pwait.
pub unsafe fn pwait(
    by: By,
    epfd: c_int,
    events: *mut epoll_event,
    max: c_int,
    timeout: c_int,
    mask: *const sigset_t,
    bytes: usize,
) -> c_int {
    // SAFETY: the caller answers for the addresses.
    unsafe {
        match mask_of(mask, bytes) {
            Ok(mask) => wait_until(by, epfd, events, max, milliseconds(timeout), mask),
            Err(errno) => answer(Err(errno)),
        }
    }
}

/// epoll_pwait2 as the system call. The time is checked before the mask.
///
/// # Safety
/// As for epoll_pwait2.
pub unsafe fn pwait2(
    by: By,
    epfd: c_int,
    events: *mut epoll_event,
    max: c_int,
    limit: *const timespec,
    mask: *const sigset_t,
    bytes: usize,
) -> c_int {
    // SAFETY: the caller answers for the addresses.
    unsafe {
        match time(limit).and_then(|timeout| Ok((timeout, mask_of(mask, bytes)?))) {
            Ok((timeout, mask)) => wait_until(by, epfd, events, max, timeout, mask),
            Err(errno) => answer(Err(errno)),
        }
    }
}

/// Prepares for the close of a number. False if the program has no such descriptor, because it is
/// an internal one.
#[inline(always)]
pub fn about_to_close(fd: c_int) -> bool {
    (!fdtable::has(fd) && signal_numbers::forgets(fd)) || forgets_number(fd)
}

/// Does the same for a number that has an entry in the table.
#[inline(never)]
fn forgets_number(fd: c_int) -> bool {
    if !own_table::is_borrowed() {
        if lookup::is_internal(fd) {
            return false;
        }
        close::forget_from_anywhere(fd);
        signal_numbers::forget(fd);
    }
    true
}

/// close(2).
///
/// # Safety
/// As for libc's close.
// As in `hooks::writing`: a call in place of a jump would make closes of unknown numbers slower.
#[inline(always)]
pub unsafe fn close(fd: c_int) -> c_int {
    Watch::closing(fd);
    if !about_to_close(fd) {
        return answer(Err(Errno::EBADF));
    }
    // SAFETY: as for libc's close.
    unsafe { real::close(fd) }
}
