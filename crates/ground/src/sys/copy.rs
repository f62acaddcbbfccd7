//! Copies that the kernel makes, so that a bad address is an error and not a fault.

use std::mem::MaybeUninit;

use nix::errno::Errno;
use syscalls::{Sysno, syscall};

use super::{errno, getpid, gettid};

/// Lets the kernel copy a structure in: EFAULT if it is not readable.
pub fn copy_in<T: Copy>(from: *const T) -> Result<T, Errno> {
    let mut value = MaybeUninit::<T>::uninit();
    let local = libc::iovec { iov_base: value.as_mut_ptr().cast(), iov_len: size_of::<T>() };
    let remote = libc::iovec { iov_base: from.cast_mut().cast(), iov_len: size_of::<T>() };
    match copy_between(Sysno::process_vm_readv, &local, &remote)? {
        // SAFETY: every byte was written.
        n if n == size_of::<T>() => Ok(unsafe { value.assume_init() }),
        _ => Err(Errno::EFAULT),
    }
}

/// Lets the kernel copy a structure out: EFAULT if it is not writable.
pub fn copy_out<T: Copy>(to: *mut T, value: &T) -> Result<(), Errno> {
    copy_out_from(to.cast(), std::ptr::from_ref(value).cast(), size_of::<T>())
}

/// Lets the kernel copy bytes out.
pub fn copy_out_bytes(to: *mut u8, bytes: &[u8]) -> Result<(), Errno> {
    copy_out_from(to, bytes.as_ptr(), bytes.len())
}

fn copy_out_from(to: *mut u8, from: *const u8, size: usize) -> Result<(), Errno> {
    let local = libc::iovec { iov_base: from.cast_mut().cast(), iov_len: size };
    let remote = libc::iovec { iov_base: to.cast(), iov_len: size };
    if copy_between(Sysno::process_vm_writev, &local, &remote)? == size { Ok(()) } else { Err(Errno::EFAULT) }
}

/// process_vm_readv(2) or process_vm_writev(2) within this process. They take the process id, which
/// valgrind recognizes, unless the first thread has ended.
fn copy_between(call: Sysno, local: &libc::iovec, remote: &libc::iovec) -> Result<usize, Errno> {
    let copy = |id: i32| {
        // SAFETY: the kernel checks both ranges.
        unsafe { syscall!(call, id, std::ptr::from_ref(local), 1, std::ptr::from_ref(remote), 1, 0) }.map_err(errno)
    };
    match copy(getpid()) {
        Err(Errno::ESRCH) => copy(gettid()),
        answer => answer,
    }
}
