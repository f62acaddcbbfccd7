//! libc's epoll calls, each recorded as a fact, and served by the library or by the kernel. In
//! libepolyfill-see.so they take the place of the plain ones (`calls.rs`).

use epolyfill_facts::Form;
use libc::{c_int, epoll_event, sigset_t, timespec};
use nix::errno::Errno;

use crate::abi::calls;
use crate::abi::own_signals::WaitMask;
use crate::see::calls::{self as seen, Limit, Wait};
use crate::see::chaos;
use crate::see::kernel;
use crate::sleep::By;
use crate::sys::{self, KERNEL_SIGSET_BYTES, SigMask};

/// epoll_create(2).
pub fn create(size: c_int) -> c_int {
    calls::start();
    let make = || if kernel::is_chosen() && size > 0 { kernel::create1(0) } else { calls::create(size) };
    seen::create(Form::EpollCreate, size, make)
}

/// epoll_create1(2).
pub fn create1(flags: c_int) -> c_int {
    calls::start();
    let make = || if kernel::is_chosen() { kernel::create1(flags) } else { calls::create1(flags) };
    seen::create(Form::EpollCreate1, flags, make)
}

/// epoll_ctl(2).
///
/// # Safety
/// As for libc's epoll_ctl.
pub unsafe fn ctl(epfd: c_int, op: c_int, fd: c_int, event: *const epoll_event) -> c_int {
    // SAFETY: the caller answers for the address.
    unsafe {
        seen::control(epfd, op, fd, event, || {
            if kernel::is_chosen() { kernel::ctl(epfd, op, fd, event) } else { calls::ctl(epfd, op, fd, event) }
        })
    }
}

/// epoll_wait(2).
///
/// # Safety
/// As for libc's epoll_wait.
pub unsafe fn wait(by: By, epfd: c_int, events: *mut epoll_event, max: c_int, timeout: c_int) -> c_int {
    let wait = Wait { form: Form::EpollWait, epfd, events, max, limit: calls::milliseconds(timeout), mask: None };
    // SAFETY: the caller answers for `events`.
    unsafe {
        served(by, wait, || {
            if kernel::is_chosen() {
                kernel::wait(by, epfd, events, max, timeout)
            } else {
                calls::wait(by, epfd, events, max, timeout)
            }
        })
    }
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
    // SAFETY: as for the caller.
    let admitted = unsafe { WaitMask::of(mask) };
    let mask = admitted.address();
    let (bits, limit) = masked(mask, bytes, calls::milliseconds(timeout));
    let wait = Wait { form: Form::EpollPwait, epfd, events, max, limit, mask: bits };
    // SAFETY: the caller answers for the addresses.
    unsafe {
        served(by, wait, || {
            if kernel::is_chosen() && (bytes == KERNEL_SIGSET_BYTES || mask.is_null()) {
                kernel::pwait(by, epfd, events, max, timeout, mask)
            } else {
                // Another size is EINVAL.
                calls::pwait(by, epfd, events, max, timeout, mask, bytes)
            }
        })
    }
}

/// epoll_pwait2 as the system call.
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
    // SAFETY: as for the caller.
    let admitted = unsafe { WaitMask::of(mask) };
    let mask = admitted.address();
    let time = if limit.is_null() { Ok(None) } else { sys::copy_in(limit).and_then(calls::nanoseconds).map(Some) };
    // A time that is refused is not waited for.
    let (bits, limit_ns) = masked(mask, bytes, time.unwrap_or(Some(0)));
    let wait = Wait { form: Form::EpollPwait2, epfd, events, max, limit: limit_ns, mask: bits };
    // SAFETY: the caller answers for the addresses.
    unsafe {
        served(by, wait, || {
            if kernel::is_chosen() && (bytes == KERNEL_SIGSET_BYTES || mask.is_null()) {
                kernel::pwait2(by, epfd, events, max, limit, mask)
            } else {
                calls::pwait2(by, epfd, events, max, limit, mask, bytes)
            }
        })
    }
}

/// Makes a wait, with looks meanwhile if the rules ask for some.
///
/// # Safety
/// As for `whole`, which is the wait as the program called it.
unsafe fn served(by: By, wait: Wait, whole: impl FnOnce() -> c_int) -> c_int {
    let Wait { epfd, events, max, limit, mask, .. } = wait;
    let once = |limit: Limit, mask: Option<SigMask>| {
        let time = limit.map(sys::timespec_of);
        let time = time.as_ref().map_or(std::ptr::null(), std::ptr::from_ref);
        let mask = mask.as_ref().map_or(std::ptr::null(), std::ptr::from_ref).cast::<sigset_t>();
        // SAFETY: the caller answers for `events`; time and mask outlive the call. The kernel reads
        // eight bytes of the mask, and libc passes the address on.
        unsafe {
            if !kernel::is_chosen() {
                return calls::pwait2(by, epfd, events, max, time, mask, KERNEL_SIGSET_BYTES);
            }
            let answer = kernel::pwait2(by, epfd, events, max, time, mask);
            if answer >= 0 || sys::last_errno() != Errno::ENOSYS {
                return answer;
            }
            // Before Linux 5.11.
            let ms = limit.map(|ns| ns.div_ceil(1_000_000));
            kernel::pwait(by, epfd, events, max, ms.map_or(-1, |ms| c_int::try_from(ms).unwrap_or(c_int::MAX)), mask)
        }
    };
    let make = || {
        if chaos::is_on() {
            chaos::perturbed(&wait, whole, once)
        } else {
            seen::with_looks(limit, mask, whole, |limit, mask| once(limit, Some(mask)))
        }
    };
    // SAFETY: as for the caller.
    unsafe { seen::wait(wait, make) }
}

/// The signal mask of a wait, and its limit: none at all if the mask cannot be read or has another
/// size, which the call itself will find.
fn masked(mask: *const sigset_t, bytes: usize, limit: Limit) -> (Option<SigMask>, Limit) {
    if mask.is_null() {
        return (None, limit);
    }
    let read = if bytes == KERNEL_SIGSET_BYTES { sys::copy_in(mask.cast::<SigMask>()).ok() } else { None };
    read.map_or((None, Some(0)), |mask| (Some(mask), limit))
}
