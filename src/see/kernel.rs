//! The kernel's own epoll, with the observer in front of it (`--poller=kernel`): the calls go on to
//! libc as they came, and the descriptor is the kernel's.

use std::ffi::CStr;
use std::sync::atomic::AtomicPtr;
use std::sync::atomic::Ordering::{Acquire, Release};

use libc::{c_int, c_void, epoll_event, sigset_t, timespec};

use crate::options::{self, Poller};
use crate::sleep::By;
use crate::sys;

/// Whether the kernel's epoll serves the program.
#[inline]
pub fn is_chosen() -> bool {
    options::poller() == Poller::Kernel
}

/// A symbol of libc, or of another preloaded library; null before [`look_up`], and if there is
/// none.
struct Next {
    name: &'static CStr,
    found: AtomicPtr<c_void>,
}

impl Next {
    const fn new(name: &'static CStr) -> Next {
        Next { name, found: AtomicPtr::new(std::ptr::null_mut()) }
    }

    fn look_up(&self) {
        // SAFETY: the name ends in NUL; RTLD_NEXT starts the search after this library.
        self.found.store(unsafe { libc::dlsym(libc::RTLD_NEXT, self.name.as_ptr()) }, Release);
    }

    fn get(&self) -> Option<*mut c_void> {
        Some(self.found.load(Acquire)).filter(|found| !found.is_null())
    }
}

static CREATE1: Next = Next::new(c"epoll_create1");
static CTL: Next = Next::new(c"epoll_ctl");
static WAIT: Next = Next::new(c"epoll_wait");
static PWAIT: Next = Next::new(c"epoll_pwait");
static PWAIT2: Next = Next::new(c"epoll_pwait2");

/// Looks the symbols up. Called at start-up.
pub fn look_up() {
    [&CREATE1, &CTL, &WAIT, &PWAIT, &PWAIT2].into_iter().for_each(Next::look_up);
}

/// epoll_create1(2).
pub fn create1(flags: c_int) -> c_int {
    match CREATE1.get() {
        // SAFETY: libc's function of that name has this type.
        Some(next) => unsafe { std::mem::transmute::<*mut c_void, extern "C" fn(c_int) -> c_int>(next)(flags) },
        // SAFETY: only numbers.
        None => unsafe { sys::any(libc::SYS_epoll_create1, [flags as usize, 0, 0, 0, 0, 0]) as c_int },
    }
}

type Ctl = unsafe extern "C" fn(c_int, c_int, c_int, *const epoll_event) -> c_int;

/// epoll_ctl(2).
///
/// # Safety
/// As for libc's epoll_ctl.
pub unsafe fn ctl(epfd: c_int, op: c_int, fd: c_int, event: *const epoll_event) -> c_int {
    // SAFETY: libc's function of that name has this type; the caller answers for the address.
    unsafe {
        match CTL.get() {
            Some(next) => std::mem::transmute::<*mut c_void, Ctl>(next)(epfd, op, fd, event),
            None => {
                let arguments = [epfd as usize, op as usize, fd as usize, event as usize, 0, 0];
                sys::any(libc::SYS_epoll_ctl, arguments) as c_int
            }
        }
    }
}

type Wait = unsafe extern "C" fn(c_int, *mut epoll_event, c_int, c_int) -> c_int;

/// epoll_wait(2).
///
/// # Safety
/// As for libc's epoll_wait.
pub unsafe fn wait(by: By, epfd: c_int, events: *mut epoll_event, max: c_int, timeout: c_int) -> c_int {
    // SAFETY: libc's function of that name has this type; the caller answers for the addresses.
    unsafe {
        match WAIT.get() {
            Some(next) if by == By::Name => std::mem::transmute::<*mut c_void, Wait>(next)(epfd, events, max, timeout),
            _ => pwait(by, epfd, events, max, timeout, std::ptr::null()),
        }
    }
}

type Pwait = unsafe extern "C" fn(c_int, *mut epoll_event, c_int, c_int, *const sigset_t) -> c_int;

/// epoll_pwait(2).
///
/// # Safety
/// As for libc's epoll_pwait.
pub unsafe fn pwait(
    by: By,
    epfd: c_int,
    events: *mut epoll_event,
    max: c_int,
    timeout: c_int,
    mask: *const sigset_t,
) -> c_int {
    // SAFETY: libc's function of that name has this type; the caller answers for the addresses.
    unsafe {
        match PWAIT.get() {
            Some(next) if by == By::Name => {
                std::mem::transmute::<*mut c_void, Pwait>(next)(epfd, events, max, timeout, mask)
            }
            _ => {
                let arguments = [
                    epfd as usize,
                    events as usize,
                    max as usize,
                    timeout as usize,
                    mask as usize,
                    sys::KERNEL_SIGSET_BYTES,
                ];
                sys::any(libc::SYS_epoll_pwait, arguments) as c_int
            }
        }
    }
}

type Pwait2 = unsafe extern "C" fn(c_int, *mut epoll_event, c_int, *const timespec, *const sigset_t) -> c_int;

/// epoll_pwait2(2).
///
/// # Safety
/// As for libc's epoll_pwait2.
pub unsafe fn pwait2(
    by: By,
    epfd: c_int,
    events: *mut epoll_event,
    max: c_int,
    limit: *const timespec,
    mask: *const sigset_t,
) -> c_int {
    // SAFETY: libc's function of that name has this type; the caller answers for the addresses.
    unsafe {
        match PWAIT2.get() {
            Some(next) if by == By::Name => {
                std::mem::transmute::<*mut c_void, Pwait2>(next)(epfd, events, max, limit, mask)
            }
            _ => {
                let arguments = [
                    epfd as usize,
                    events as usize,
                    max as usize,
                    limit as usize,
                    mask as usize,
                    sys::KERNEL_SIGSET_BYTES,
                ];
                sys::any(libc::SYS_epoll_pwait2, arguments) as c_int
            }
        }
    }
}
