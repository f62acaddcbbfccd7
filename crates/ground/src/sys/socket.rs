//! Sockets: their options, and what is received without waiting.

use libc::c_int;
use nix::errno::Errno;
use syscalls::{Sysno, syscall};

use super::errno;

/// getsockopt(2) into `value`; returns the length that the kernel wrote.
pub fn getsockopt<T: Copy>(fd: c_int, level: c_int, name: c_int, value: &mut T) -> Result<usize, Errno> {
    let mut length = size_of::<T>() as libc::socklen_t;
    // SAFETY: `value` is writable for `length` bytes and `T` is plain data.
    unsafe { syscall!(Sysno::getsockopt, fd, level, name, std::ptr::from_mut(value), &raw mut length) }
        .map_err(errno)?;
    Ok(length as usize)
}

/// setsockopt(2) of an int.
pub fn setsockopt(fd: c_int, level: c_int, name: c_int, value: c_int) -> Result<(), Errno> {
    // SAFETY: the kernel reads one int.
    unsafe { syscall!(Sysno::setsockopt, fd, level, name, &raw const value, size_of::<c_int>()) }
        .map(drop)
        .map_err(errno)
}

/// The length of the next datagram, which stays in the queue. EAGAIN if there is none.
pub fn peek_length(fd: c_int) -> Result<usize, Errno> {
    let flags = libc::MSG_PEEK | libc::MSG_TRUNC | libc::MSG_DONTWAIT;
    // SAFETY: nothing is written to an empty buffer.
    unsafe { syscall!(Sysno::recvfrom, fd, 0usize, 0usize, flags, 0usize, 0usize) }.map_err(errno)
}

/// recv(2) without waiting; an error if nothing is there, or if the descriptor is not a socket.
pub fn receive(fd: c_int, bytes: &mut [u8]) -> Result<usize, Errno> {
    // SAFETY: the slice is valid and writable for its length.
    unsafe { syscall!(Sysno::recvfrom, fd, bytes.as_mut_ptr(), bytes.len(), libc::MSG_DONTWAIT, 0usize, 0usize) }
        .map_err(errno)
}

/// Makes a netlink socket of a protocol.
pub fn netlink(protocol: c_int) -> Result<c_int, Errno> {
    // SAFETY: no memory is passed.
    unsafe {
        syscall!(Sysno::socket, libc::AF_NETLINK, libc::SOCK_RAW | libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK, protocol)
    }
    .map(|n| n as c_int)
    .map_err(errno)
}
