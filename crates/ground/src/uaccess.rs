//! The program's memory. Addresses that cannot be the program's are EFAULT; others are trusted,
//! unless `EPOLYFILL_STRICT=1` lets the kernel make every copy.

use nix::errno::Errno;

use crate::options;
use crate::sys;

/// Nothing is mapped below this address, and everything from the end on is the kernel's. This is
/// the limit of `access_ok`, which on x86_64 also excludes the last page.
const START: usize = 1 << 16;
const END: usize = if cfg!(target_arch = "x86_64") { (1 << 47) - 4096 } else { 1 << 48 };

/// EFAULT if the kernel's own range check would fail, before anything is copied (W1).
pub fn check_range<T>(address: *const T, count: usize) -> Result<(), Errno> {
    let end = count.checked_mul(size_of::<T>()).and_then(|bytes| address.addr().checked_add(bytes));
    if end.is_some_and(|end| end <= END) { Ok(()) } else { Err(Errno::EFAULT) }
}

/// Whether the kernel checks every address.
pub fn is_checked() -> bool {
    options::STRICT.is_on()
}

/// Copies a structure in.
///
/// # Safety
/// The address must be readable, or cannot be the program's, or the library is strict.
pub unsafe fn read<T: Copy>(from: *const T) -> Result<T, Errno> {
    if from.addr() < START || from.addr() >= END {
        return Err(Errno::EFAULT);
    }
    if is_checked() {
        return sys::copy_in(from);
    }
    // SAFETY: the caller answers for the address; the structure may be packed.
    Ok(unsafe { from.read_unaligned() })
}

/// Copies bytes out where speed does not matter: the kernel checks the address, if it permits the
/// call.
///
/// # Safety
/// The address must be one at which the program expects the bytes.
pub unsafe fn write_bytes(to: *mut u8, bytes: &[u8]) -> Result<(), Errno> {
    if to.addr() < START {
        return Err(Errno::EFAULT);
    }
    check_range(to, bytes.len())?;
    match sys::copy_out_bytes(to, bytes) {
        Err(errno) if errno != Errno::EFAULT => {
            // SAFETY: the caller answers for the address.
            unsafe { to.copy_from_nonoverlapping(bytes.as_ptr(), bytes.len()) };
            Ok(())
        }
        answer => answer,
    }
}

/// Copies a structure out.
///
/// # Safety
/// As for [`read`], except that the address must be writable.
#[inline(always)]
pub unsafe fn write<T: Copy>(to: *mut T, value: T) -> Result<(), Errno> {
    if to.addr() < START || to.addr() >= END {
        return Err(Errno::EFAULT);
    }
    if is_checked() {
        return sys::copy_out(to, &value);
    }
    // SAFETY: the caller answers for the address.
    unsafe { to.write_unaligned(value) };
    Ok(())
}
