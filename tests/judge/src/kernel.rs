//! The kernel's epoll, by inline system calls, which the library under test does not see.

use std::arch::asm;

use libc::{c_int, c_long, epoll_event, pollfd, timespec};

/// Makes a system call. Returns the kernel's result: a negative number is an error.
///
/// # Safety
/// As for the call itself.
#[cfg(target_arch = "x86_64")]
pub unsafe fn call(number: c_long, a: [usize; 6]) -> isize {
    let answer: isize;
    // SAFETY: the kernel's calling convention; the caller answers for the arguments.
    unsafe {
        asm!("syscall", inlateout("rax") number as isize => answer,
             in("rdi") a[0], in("rsi") a[1], in("rdx") a[2], in("r10") a[3], in("r8") a[4], in("r9") a[5],
             lateout("rcx") _, lateout("r11") _, options(nostack));
    }
    answer
}

/// Makes a system call. Returns the kernel's result: a negative number is an error.
///
/// # Safety
/// As for the call itself.
#[cfg(target_arch = "aarch64")]
pub unsafe fn call(number: c_long, a: [usize; 6]) -> isize {
    let answer: isize;
    // SAFETY: the kernel's calling convention; the caller answers for the arguments.
    unsafe {
        asm!("svc 0", in("x8") number, inlateout("x0") a[0] as isize => answer,
             in("x1") a[1], in("x2") a[2], in("x3") a[3], in("x4") a[4], in("x5") a[5], options(nostack));
    }
    answer
}

/// The result of a call, or its errno.
pub type Answer = Result<i32, i32>;

fn answer(value: isize) -> Answer {
    if value < 0 { Err(-value as i32) } else { Ok(value as i32) }
}

pub fn epoll_create1(flags: c_int) -> Answer {
    // SAFETY: no pointers.
    answer(unsafe { call(libc::SYS_epoll_create1, [flags as usize, 0, 0, 0, 0, 0]) })
}

pub fn epoll_ctl(epfd: c_int, op: c_int, fd: c_int, event: Option<&mut epoll_event>) -> Answer {
    let event = event.map_or(0, |event| std::ptr::from_mut(event).addr());
    // SAFETY: the event is a reference, or NULL.
    answer(unsafe { call(libc::SYS_epoll_ctl, [epfd as usize, op as usize, fd as usize, event, 0, 0]) })
}

/// `events` and `max` are separate arguments, because invalid ones are judged too.
///
/// # Safety
/// `events` must have room for `max` events, or be an address that the kernel refuses.
pub unsafe fn epoll_wait(epfd: c_int, events: *mut epoll_event, max: c_int, timeout: c_int) -> Answer {
    // SAFETY: the caller answers for the array; the mask is NULL.
    answer(unsafe { call(libc::SYS_epoll_pwait, [epfd as usize, events.addr(), max as usize, timeout as usize, 0, 8]) })
}

/// # Safety
/// As for [`epoll_wait`].
pub unsafe fn epoll_pwait2(epfd: c_int, events: *mut epoll_event, max: c_int, limit: Option<&timespec>) -> Answer {
    let limit = limit.map_or(0, |limit| std::ptr::from_ref(limit).addr());
    // SAFETY: the caller answers for the array; the mask is NULL.
    answer(unsafe { call(libc::SYS_epoll_pwait2, [epfd as usize, events.addr(), max as usize, limit, 0, 8]) })
}

/// The levels of one descriptor, without sleeping.
pub fn level(fd: c_int, events: i16) -> i16 {
    let mut entry = pollfd { fd, events, revents: 0 };
    let now = timespec { tv_sec: 0, tv_nsec: 0 };
    let (entry_at, now_at) = ((&raw mut entry).addr(), (&raw const now).addr());
    // SAFETY: one entry, and a time.
    unsafe { call(libc::SYS_ppoll, [entry_at, 1, now_at, 0, 8, 0]) };
    entry.revents
}

/// Closes a descriptor of the judge's own.
pub fn close(fd: c_int) {
    // SAFETY: no pointers.
    unsafe { call(libc::SYS_close, [fd as usize, 0, 0, 0, 0, 0]) };
}

/// Reads from a descriptor of the judge's own.
pub fn read(fd: c_int, buffer: &mut [u8]) -> isize {
    // SAFETY: the buffer is as long as it says.
    unsafe { call(libc::SYS_read, [fd as usize, buffer.as_mut_ptr().addr(), buffer.len(), 0, 0, 0]) }
}

/// Writes to a descriptor of the judge's own, or to another one unseen by the library.
pub fn write(fd: c_int, buffer: &[u8]) -> isize {
    // SAFETY: the buffer is as long as it says.
    unsafe { call(libc::SYS_write, [fd as usize, buffer.as_ptr().addr(), buffer.len(), 0, 0, 0]) }
}
