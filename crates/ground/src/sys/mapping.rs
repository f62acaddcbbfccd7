//! Mappings of memory.

use libc::c_int;
use nix::errno::Errno;
use syscalls::{Sysno, syscall};

use super::errno;

/// Maps fresh pages of zeroes. ENOMEM on any failure, whatever the kernel's errno.
pub fn map(bytes: usize) -> Result<*mut u8, Errno> {
    let access = libc::PROT_READ | libc::PROT_WRITE;
    let kind = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
    // SAFETY: a new mapping touches no other.
    unsafe { syscall!(Sysno::mmap, 0usize, bytes, access, kind, -1isize, 0usize) }
        .map(|address| address as *mut u8)
        .map_err(|_| Errno::ENOMEM)
}

/// Maps pages that forked children share.
pub fn map_for_children(bytes: usize) -> Result<*mut u8, Errno> {
    let access = libc::PROT_READ | libc::PROT_WRITE;
    let kind = libc::MAP_SHARED | libc::MAP_ANONYMOUS;
    // SAFETY: a new mapping touches no other.
    unsafe { syscall!(Sysno::mmap, 0usize, bytes, access, kind, -1isize, 0usize) }
        .map(|address| address as *mut u8)
        .map_err(errno)
}

/// Maps pages that are shared with the kernel through a descriptor.
pub fn map_shared(fd: c_int, bytes: usize, offset: usize) -> Result<*mut u8, Errno> {
    let access = libc::PROT_READ | libc::PROT_WRITE;
    // SAFETY: a new mapping touches no other.
    unsafe { syscall!(Sysno::mmap, 0usize, bytes, access, libc::MAP_SHARED | libc::MAP_POPULATE, fd, offset) }
        .map(|address| address as *mut u8)
        .map_err(errno)
}

/// Maps pages of zeroes at an address where nothing is mapped.
pub fn map_at(address: usize, bytes: usize) -> Result<(), Errno> {
    let access = libc::PROT_READ | libc::PROT_WRITE;
    let kind = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_FIXED_NOREPLACE;
    // SAFETY: the new mapping touches no other.
    unsafe { syscall!(Sysno::mmap, address, bytes, access, kind, -1isize, 0usize) }.map(drop).map_err(errno)
}

/// Leaves these pages out of every forked child.
pub fn keep_from_children(pages: *mut u8, bytes: usize) -> Result<(), Errno> {
    // SAFETY: the pages are the library's own.
    unsafe { syscall!(Sysno::madvise, pages, bytes, libc::MADV_DONTFORK) }.map(drop).map_err(errno)
}

/// Makes the kernel clear these pages in every forked child; a vfork child, which shares all
/// memory, finds them unchanged. ENOSYS or EINVAL if the kernel cannot (before Linux 4.14).
pub fn wipe_on_fork(pages: *mut u8, bytes: usize) -> Result<(), Errno> {
    // SAFETY: the pages are the library's own.
    unsafe { syscall!(Sysno::madvise, pages, bytes, libc::MADV_WIPEONFORK) }.map(drop).map_err(errno)
}

/// Empties pages: the kernel takes the memory back, and provides zeroes when they are used again.
///
/// # Safety
/// The contents of the pages must not be needed any more.
pub unsafe fn discard(pages: *mut u8, bytes: usize) {
    // SAFETY: the caller answers for it.
    let _ = unsafe { syscall!(Sysno::madvise, pages, bytes, libc::MADV_DONTNEED) };
}

/// Unmaps pages of [`map`].
///
/// # Safety
/// Nothing may use the pages any more.
pub unsafe fn unmap(pages: *mut u8, bytes: usize) {
    // SAFETY: the caller answers for it.
    let _ = unsafe { syscall!(Sysno::munmap, pages, bytes) };
}

/// Gives pages of [`map`] another size, and possibly another address. ENOMEM, with the pages
/// unchanged, if the kernel has no memory.
///
/// # Safety
/// Nothing else may use the pages.
pub unsafe fn remap(pages: *mut u8, bytes: usize, wanted: usize) -> Result<*mut u8, Errno> {
    // SAFETY: the caller answers for it.
    unsafe { syscall!(Sysno::mremap, pages, bytes, wanted, libc::MREMAP_MAYMOVE) }
        .map(|address| address as *mut u8)
        .map_err(|_| Errno::ENOMEM)
}
