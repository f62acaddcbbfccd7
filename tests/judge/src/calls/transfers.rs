//! The ways to write and to read.

use std::ptr::{null, null_mut};

use libc::{c_int, c_void, iovec, mmsghdr};

use super::sockets::message;
use super::{Outcome, errno, memory_file, outcome, pair_of_pipes};
use crate::kernel;

/// The ways in which a step writes. The indices are the numbers of its `how`.
pub const WRITES: [&str; 13] = [
    "write",
    "writev",
    "send",
    "sendto",
    "sendmsg",
    "sendmmsg",
    "sendfile",
    "splice",
    "vmsplice",
    "pwritev2",
    "eventfd_write",
    "syscall",
    "tee",
];

/// The ways in which a step reads.
pub const READS: [&str; 12] = [
    "read",
    "readv",
    "recv",
    "recvfrom",
    "recvmsg",
    "recvmmsg",
    "preadv2",
    "splice",
    "vmsplice",
    "recv-trunc",
    "eventfd_read",
    "syscall",
];

/// The judge's own descriptors, which are not watched: a file and a pipe for the calls that move
/// data between two.
#[derive(Debug)]
pub struct Tools {
    file: c_int,
    pipe: [c_int; 2],
}

impl Tools {
    pub fn new() -> Result<Tools, i32> {
        Ok(Tools { file: memory_file(1 << 20)?, pipe: pair_of_pipes(0)? })
    }

    fn empty(&self, buffer: &mut [u8]) {
        while kernel::read(self.pipe[0], buffer) > 0 {}
    }

    /// Writes `buffer` to `fd` in one of the ways of [`WRITES`], or twice the buffer by sendmmsg;
    /// for an eventfd it is the number to add. Returns a number of bytes.
    pub fn write(&self, fd: c_int, buffer: &mut [u8], how: i64) -> Outcome {
        let (at, n) = (buffer.as_mut_ptr(), buffer.len());
        let quiet = libc::MSG_NOSIGNAL | libc::MSG_DONTWAIT;
        let mut halves = parts(at, n);
        // SAFETY: all pointers are to locals, or into the buffer, whose length is passed.
        outcome(unsafe {
            match how {
                1 => libc::writev(fd, halves.as_ptr(), 2),
                2 => libc::send(fd, at.cast(), n, quiet),
                3 => libc::sendto(fd, at.cast(), n, quiet, null(), 0),
                4 => libc::sendmsg(fd, &raw const *Box::new(message(&mut halves)), quiet),
                5 => {
                    let mut again = parts(at, n);
                    let mut messages = [
                        mmsghdr { msg_hdr: message(&mut halves), msg_len: 0 },
                        mmsghdr { msg_hdr: message(&mut again), msg_len: 0 },
                    ];
                    // The last message may have been cut short, so the result is a number of bytes.
                    match libc::sendmmsg(fd, messages.as_mut_ptr(), 2, quiet) {
                        sent @ 0.. => messages[..sent as usize].iter().map(|message| message.msg_len as isize).sum(),
                        failed => failed as isize,
                    }
                }
                6 => {
                    let mut from = 0;
                    libc::sendfile(fd, self.file, &raw mut from, n)
                }
                7 | 12 => {
                    let n = kernel::write(self.pipe[1], &buffer[..n.min(32768)]).max(0) as usize;
                    let flags = libc::SPLICE_F_NONBLOCK;
                    let moved = if how == 7 {
                        libc::splice(self.pipe[0], null_mut(), fd, null_mut(), n, flags)
                    } else {
                        libc::tee(self.pipe[0], fd, n, flags)
                    };
                    let failed = errno();
                    self.empty(buffer);
                    *libc::__errno_location() = failed;
                    moved
                }
                8 => libc::vmsplice(fd, halves.as_ptr(), 2, libc::SPLICE_F_NONBLOCK),
                9 => libc::pwritev2(fd, halves.as_ptr(), 2, -1, 0),
                10 => {
                    libc::eventfd_write(fd, buffer.first_chunk().map_or(1, |bytes| u64::from_ne_bytes(*bytes))) as isize
                }
                11 => libc::syscall(libc::SYS_write, fd, at, n) as isize,
                _ => libc::write(fd, at.cast(), n),
            }
        })
    }

    /// Reads from `fd` in one of the ways of [`READS`].
    pub fn read(&self, fd: c_int, buffer: &mut [u8], how: i64) -> Outcome {
        let (at, n) = (buffer.as_mut_ptr(), buffer.len());
        let mut halves = parts(at, n);
        // SAFETY: all pointers are to locals, or into the buffer, whose length is passed.
        outcome(unsafe {
            match how {
                1 => libc::readv(fd, halves.as_ptr(), 2),
                2 => libc::recv(fd, at.cast(), n, libc::MSG_DONTWAIT),
                3 => libc::recvfrom(fd, at.cast(), n, libc::MSG_DONTWAIT, null_mut(), null_mut()),
                4 => libc::recvmsg(fd, &raw mut *Box::new(message(&mut halves)), libc::MSG_DONTWAIT),
                5 => {
                    let mut again = parts(at, n);
                    let mut messages = [
                        mmsghdr { msg_hdr: message(&mut halves), msg_len: 0 },
                        mmsghdr { msg_hdr: message(&mut again), msg_len: 0 },
                    ];
                    libc::recvmmsg(fd, messages.as_mut_ptr(), 2, libc::MSG_DONTWAIT, null_mut()) as isize
                }
                6 => libc::preadv2(fd, halves.as_ptr(), 2, -1, 0),
                7 => {
                    let flags = libc::SPLICE_F_NONBLOCK;
                    let moved = libc::splice(fd, null_mut(), self.pipe[1], null_mut(), n.min(65536), flags);
                    let failed = errno();
                    self.empty(buffer);
                    *libc::__errno_location() = failed;
                    moved
                }
                8 => libc::vmsplice(fd, halves.as_ptr(), 2, libc::SPLICE_F_NONBLOCK),
                9 => libc::recv(fd, at.cast(), n, libc::MSG_DONTWAIT | libc::MSG_TRUNC),
                10 => {
                    let mut value = 0;
                    libc::eventfd_read(fd, &raw mut value) as isize
                }
                11 => libc::syscall(libc::SYS_read, fd, at, n) as isize,
                _ => libc::read(fd, at.cast(), n),
            }
        })
    }
}

fn parts(at: *mut u8, n: usize) -> [iovec; 2] {
    let half = n / 2;
    [
        iovec { iov_base: at.cast(), iov_len: half },
        iovec { iov_base: at.wrapping_add(half).cast::<c_void>(), iov_len: n - half },
    ]
}

pub fn splice(from: c_int, to: c_int, n: usize) -> Outcome {
    // SAFETY: no offsets.
    outcome(unsafe { libc::splice(from, null_mut(), to, null_mut(), n, libc::SPLICE_F_NONBLOCK) })
}

pub fn tee(from: c_int, to: c_int, n: usize) -> Outcome {
    // SAFETY: no pointers.
    outcome(unsafe { libc::tee(from, to, n, libc::SPLICE_F_NONBLOCK) })
}
