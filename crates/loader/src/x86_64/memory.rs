//! Reading and writing the guest's memory where an address may be wrong: then the answer is EFAULT,
//! and not a signal.

use std::ffi::{CStr, c_void};

use libc::{EFAULT, iovec, pid_t};
use syscalls::{Errno, Sysno, syscall};

/// Nothing is mapped below this address.
const LOWEST: usize = 1 << 16;

fn own_id() -> pid_t {
    // SAFETY: no arguments. Not libc's gettid, which may have been told another number than a child
    // of vfork has.
    unsafe { syscall!(Sysno::gettid) }.unwrap_or(0) as pid_t
}

/// Copies from one of the process's addresses to another; returns how many bytes.
fn copy(number: Sysno, local: *mut c_void, remote: usize, bytes: usize) -> usize {
    let local = iovec { iov_base: local, iov_len: bytes };
    let remote = iovec { iov_base: remote as *mut c_void, iov_len: bytes };
    // SAFETY: the kernel checks the remote address; the caller's is valid.
    let copied = unsafe { syscall!(number, own_id(), &raw const local, 1usize, &raw const remote, 1usize, 0usize) };
    match copied {
        Ok(bytes) => bytes,
        Err(Errno::EFAULT) => 0,
        // The kernel lacks the call, or a filter refuses it: then the address is trusted.
        Err(_) if remote.iov_base.addr() < LOWEST => 0,
        Err(_) => {
            let (from, to) = match number {
                Sysno::process_vm_readv => (remote.iov_base, local.iov_base),
                _ => (local.iov_base, remote.iov_base),
            };
            // SAFETY: the guest answers for its address.
            unsafe { to.cast::<u8>().copy_from(from.cast(), bytes) };
            bytes
        }
    }
}

/// Reads as many bytes as there are in the buffer; false if an address is wrong.
pub fn read_all(from: usize, bytes: &mut [u8]) -> bool {
    copy(Sysno::process_vm_readv, bytes.as_mut_ptr().cast(), from, bytes.len()) == bytes.len()
}

/// Whether the page of an address can be read. rt_sigprocmask takes a set from there before it finds
/// that there is no such `how`. It costs a fifth of process_vm_readv, and programs that open files
/// make many calls with a path.
fn is_readable(address: usize) -> bool {
    const NO_HOW: usize = usize::MAX;
    let set = address & !(size_of::<u64>() - 1);
    // SAFETY: the kernel checks the address, and changes nothing.
    let answer = unsafe { syscall!(Sysno::rt_sigprocmask, NO_HOW, set, 0usize, size_of::<u64>()) };
    answer != Err(Errno::EFAULT) && address >= LOWEST
}

/// Reads up to the length of `bytes`, and up to a NUL or the next address that is not mapped.
fn read(from: usize, bytes: &mut [u8]) -> &[u8] {
    const PAGE: usize = 4096;
    let mut length = 0;
    while length < bytes.len() {
        let at = from.wrapping_add(length);
        if !is_readable(at) {
            break;
        }
        let part = (PAGE - (at & (PAGE - 1))).min(bytes.len() - length);
        // SAFETY: the page of these bytes can be read.
        unsafe { bytes[length..].as_mut_ptr().copy_from(at as *const u8, part) };
        length += part;
        if bytes[length - part..length].contains(&0) {
            break;
        }
    }
    &bytes[..length]
}

/// Reads a string; `None` if it does not end within the buffer.
pub fn string(from: usize, buffer: &mut [u8]) -> Option<&CStr> {
    CStr::from_bytes_until_nul(read(from, buffer)).ok()
}

/// Writes bytes; the error is negative.
pub fn write(to: usize, bytes: &[u8]) -> Result<(), isize> {
    let from = bytes.as_ptr().cast_mut().cast();
    match copy(Sysno::process_vm_writev, from, to, bytes.len()) == bytes.len() {
        true => Ok(()),
        false => Err(-EFAULT as isize),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_address_is_no_signal() {
        let mut buffer = [0; 16];
        assert_eq!(string(0, &mut buffer), None);
        assert!(!read_all(usize::MAX - 3, &mut buffer));
        assert!(write(8, b"word").is_err());
        assert_eq!(string(c"text".as_ptr().addr(), &mut buffer), Some(c"text"));
    }

    #[test]
    fn a_string_may_end_before_memory_that_is_not_mapped() {
        const PAGE: usize = 4096;
        // SAFETY: a mapping of two pages, the second of which is unmapped again.
        let page = unsafe {
            let (access, kind) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS);
            let page = libc::mmap(std::ptr::null_mut(), 2 * PAGE, access, kind, -1, 0);
            libc::munmap(page.byte_add(PAGE), PAGE);
            page.addr()
        };
        let mut buffer = [0; 64];
        assert_eq!(write(page + PAGE - 4, b"end\0"), Ok(()));
        assert_eq!(string(page + PAGE - 4, &mut buffer), Some(c"end"));
        // The string does not end before the page does.
        assert_eq!(write(page + PAGE - 1, b"!"), Ok(()));
        assert_eq!(string(page + PAGE - 4, &mut buffer), None);
        assert!(write(page + PAGE - 2, b"beyond").is_err());
    }
}
