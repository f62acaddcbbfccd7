//! Many control calls in one.

use std::ffi::c_int;

use libc::epoll_event;
use nix::errno::Errno;

use crate::abi::calls;
use crate::instance::open;
use crate::lock;
use crate::uaccess;

/// One control call of a batch.
#[repr(C)]
#[allow(non_camel_case_types)] // The name is C's.
#[derive(Clone, Copy)]
#[allow(missing_debug_implementations)] // Only C has any use for it.
pub struct epolyfill_op {
    /// EPOLL_CTL_ADD, EPOLL_CTL_MOD or EPOLL_CTL_DEL.
    pub op: c_int,
    /// The descriptor.
    pub fd: c_int,
    /// The events and the data; EPOLL_CTL_DEL ignores it.
    pub event: epoll_event,
    /// The result: 0, or the errno that `epolyfill_ctl` would have set.
    pub error: c_int,
}

/// Makes `n` control calls in the order of the array, each with a result of its own.
///
/// A call that fails does not affect the others: its `error` is its errno, and 0 for a call that
/// succeeds. Returns the number of calls that succeeded or, if none was made, -1 with errno EBADF,
/// EINVAL (`epfd` is not an instance of epolyfill; `n` is larger than INT_MAX), EFAULT (`ops`) or
/// ENOMEM (in a signal handler that interrupted this library).
///
/// # Safety
/// `ops` must be NULL, outside user space, or readable and writable for `n` entries.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn epolyfill_ctl_batch(epfd: c_int, ops: *mut epolyfill_op, n: usize) -> c_int {
    // SAFETY: the caller answers for the array.
    calls::answer(unsafe { batch(epfd, ops, n) })
}

unsafe fn batch(epfd: c_int, ops: *mut epolyfill_op, n: usize) -> Result<c_int, Errno> {
    if lock::interrupted() {
        // In a signal handler, which would wait for what it interrupted.
        return Err(Errno::ENOMEM);
    }
    let _ep = open::find(epfd)?;
    let count = c_int::try_from(n).map_err(|_| Errno::EINVAL)?;
    uaccess::check_range(ops, n)?;
    let mut succeeded = 0;
    for index in 0..count as usize {
        // SAFETY: the caller answers for so many entries.
        let (made, error) = unsafe {
            let entry = ops.add(index);
            let error = &raw mut (*entry).error;
            // No call is made whose result could not be given.
            let op = match uaccess::read(entry).and_then(|op| uaccess::write(error, op.error).map(|()| op)) {
                Ok(op) => op,
                Err(errno) if index == 0 => return Err(errno),
                Err(_) => break,
            };
            (calls::control_one(epfd, op.op, op.fd, &raw const (*entry).event), error)
        };
        succeeded += c_int::from(made.is_ok());
        // SAFETY: the caller answers for the entry.
        unsafe { uaccess::write(error, made.map_or_else(|errno| errno as c_int, |()| 0)) }?;
    }
    Ok(succeeded)
}
