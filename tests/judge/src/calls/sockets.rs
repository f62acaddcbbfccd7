//! Sockets: addresses, connections, options, and what is neither read nor written as plain data.

use std::ptr::null_mut;

use libc::{c_int, iovec, msghdr, sockaddr_in, sockaddr_un};

use super::{Outcome, answer, outcome};
use crate::kernel::Answer;

pub fn pair_of_sockets(kind: c_int) -> Result<[c_int; 2], i32> {
    let mut fds = [0; 2];
    let kind = kind | libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC;
    // SAFETY: room for two.
    answer(unsafe { libc::socketpair(libc::AF_UNIX, kind, 0, fds.as_mut_ptr()) }).map(|_| fds)
}

/// An address of a socket.
#[derive(Clone, Copy, Debug)]
pub enum Address {
    /// 127.x.y.z as a number, and a port.
    Internet(u32, u16),
    /// A number that names an abstract unix socket of this process.
    Unix(u32),
}

impl Address {
    fn with<T>(self, call: impl FnOnce(*const libc::sockaddr, libc::socklen_t) -> T) -> T {
        match self {
            Address::Internet(host, port) => {
                // SAFETY: zeroes are a valid address.
                let mut address: sockaddr_in = unsafe { std::mem::zeroed() };
                address.sin_family = libc::AF_INET as libc::sa_family_t;
                address.sin_port = port.to_be();
                address.sin_addr.s_addr = host.to_be();
                call((&raw const address).cast(), size_of::<sockaddr_in>() as libc::socklen_t)
            }
            Address::Unix(name) => {
                // SAFETY: zeroes are a valid address.
                let mut address: sockaddr_un = unsafe { std::mem::zeroed() };
                address.sun_family = libc::AF_UNIX as libc::sa_family_t;
                let text = format!("\0epolyfill-judge-{}-{name}", std::process::id());
                for (place, byte) in address.sun_path.iter_mut().zip(text.bytes()) {
                    *place = byte.cast_signed();
                }
                let length = std::mem::offset_of!(sockaddr_un, sun_path) + text.len();
                call((&raw const address).cast(), length as libc::socklen_t)
            }
        }
    }
}

pub fn bind(fd: c_int, to: Address) -> Answer {
    // SAFETY: the address lives during the call.
    to.with(|address, length| answer(unsafe { libc::bind(fd, address, length) }))
}

pub fn connect(fd: c_int, to: Address) -> Answer {
    // SAFETY: the address lives during the call.
    to.with(|address, length| answer(unsafe { libc::connect(fd, address, length) }))
}

/// Connects by a write of one byte, made by one of three calls.
pub fn connect_by_write(fd: c_int, to: Address, how: i64) -> Outcome {
    let flags = libc::MSG_FASTOPEN | libc::MSG_NOSIGNAL | libc::MSG_DONTWAIT;
    let mut byte = b"x".to_owned();
    let mut part = [iovec { iov_base: byte.as_mut_ptr().cast(), iov_len: 1 }];
    let mut message = message(&mut part);
    to.with(|address, length| {
        message.msg_name = address.cast_mut().cast();
        message.msg_namelen = length;
        // SAFETY: the address and the byte live during the call.
        outcome(unsafe {
            match how {
                1 => libc::sendmsg(fd, &raw const message, flags),
                2 => libc::syscall(libc::SYS_sendto, fd, byte.as_ptr(), 1, flags, address, length) as isize,
                _ => libc::sendto(fd, byte.as_ptr().cast(), 1, flags, address, length),
            }
        })
    })
}

pub fn disconnect(fd: c_int) -> Answer {
    // SAFETY: zeroes are an address of no family.
    let none: libc::sockaddr = unsafe { std::mem::zeroed() };
    // SAFETY: as above.
    answer(unsafe { libc::connect(fd, &raw const none, size_of::<libc::sockaddr>() as libc::socklen_t) })
}

pub fn port_of(fd: c_int) -> Result<u16, i32> {
    // SAFETY: zeroes are a valid address.
    let mut address: sockaddr_in = unsafe { std::mem::zeroed() };
    let mut length = size_of::<sockaddr_in>() as libc::socklen_t;
    // SAFETY: room for an address.
    answer(unsafe { libc::getsockname(fd, (&raw mut address).cast(), &raw mut length) })?;
    Ok(u16::from_be(address.sin_port))
}

pub fn accept(fd: c_int) -> Answer {
    // SAFETY: the address is not requested.
    answer(unsafe { libc::accept4(fd, null_mut(), null_mut(), libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC) })
}

/// The options that a step sets. The numbers are those of its `option`.
pub const OPTIONS: [(&str, c_int, c_int); 6] = [
    ("SO_SNDBUF", libc::SOL_SOCKET, libc::SO_SNDBUF),
    ("SO_RCVBUF", libc::SOL_SOCKET, libc::SO_RCVBUF),
    ("IP_RECVERR", libc::IPPROTO_IP, libc::IP_RECVERR),
    ("SO_TIMESTAMPING", libc::SOL_SOCKET, libc::SO_TIMESTAMPING),
    ("SO_RCVLOWAT", libc::SOL_SOCKET, libc::SO_RCVLOWAT),
    ("TCP_NOTSENT_LOWAT", libc::IPPROTO_TCP, libc::TCP_NOTSENT_LOWAT),
];

pub fn set_option(fd: c_int, level: c_int, name: c_int, value: c_int) -> Answer {
    let length = size_of::<c_int>() as libc::socklen_t;
    // SAFETY: an int of its length.
    answer(unsafe { libc::setsockopt(fd, level, name, (&raw const value).cast(), length) })
}

/// Makes the next close reset the connection.
pub fn reset_on_close(fd: c_int) -> Answer {
    let linger = libc::linger { l_onoff: 1, l_linger: 0 };
    let length = size_of::<libc::linger>() as libc::socklen_t;
    // SAFETY: a linger of its length.
    answer(unsafe { libc::setsockopt(fd, libc::SOL_SOCKET, libc::SO_LINGER, (&raw const linger).cast(), length) })
}

pub fn socket_error(fd: c_int) -> Outcome {
    let mut error: c_int = 0;
    let mut length = size_of::<c_int>() as libc::socklen_t;
    // SAFETY: room for an int.
    let asked =
        unsafe { libc::getsockopt(fd, libc::SOL_SOCKET, libc::SO_ERROR, (&raw mut error).cast(), &raw mut length) };
    answer(asked).map(|_| i64::from(error))
}

/// Takes the next entry from the error queue.
pub fn take_error(fd: c_int) -> Outcome {
    let (mut data, mut control) = ([0u8; 512], [0u64; 64]);
    let mut part = [iovec { iov_base: data.as_mut_ptr().cast(), iov_len: data.len() }];
    let mut message = message(&mut part);
    message.msg_control = control.as_mut_ptr().cast();
    message.msg_controllen = size_of_val(&control);
    // SAFETY: the message points at locals of these lengths.
    outcome(unsafe { libc::recvmsg(fd, &raw mut message, libc::MSG_DONTWAIT | libc::MSG_ERRQUEUE) })
}

pub(super) fn message(parts: &mut [iovec]) -> msghdr {
    // SAFETY: zeroes are a valid message.
    let mut message: msghdr = unsafe { std::mem::zeroed() };
    message.msg_iov = parts.as_mut_ptr();
    message.msg_iovlen = parts.len();
    message
}

pub fn peek(fd: c_int, buffer: &mut [u8]) -> Outcome {
    let flags = libc::MSG_DONTWAIT | libc::MSG_PEEK;
    // SAFETY: the buffer is as long as it says.
    outcome(unsafe { libc::recv(fd, buffer.as_mut_ptr().cast(), buffer.len(), flags) })
}

pub fn send_urgent(fd: c_int) -> Outcome {
    let flags = libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL | libc::MSG_OOB;
    // SAFETY: one byte.
    outcome(unsafe { libc::send(fd, b"!".as_ptr().cast(), 1, flags) })
}

pub fn read_urgent(fd: c_int) -> Outcome {
    let mut byte = 0u8;
    // SAFETY: room for one byte.
    outcome(unsafe { libc::recv(fd, (&raw mut byte).cast(), 1, libc::MSG_DONTWAIT | libc::MSG_OOB) })
}

/// Sends netlink an empty request for an acknowledgement, which arrives at once.
pub fn ask_netlink(fd: c_int) -> Outcome {
    const NOTHING: u16 = 1;
    const REQUEST_AND_ACKNOWLEDGE: u16 = 5;
    let mut header = [0u8; 16];
    header[0] = 16;
    header[4..6].copy_from_slice(&NOTHING.to_ne_bytes());
    header[6..8].copy_from_slice(&REQUEST_AND_ACKNOWLEDGE.to_ne_bytes());
    // SAFETY: the header is as long as it says.
    outcome(unsafe { libc::send(fd, header.as_ptr().cast(), header.len(), libc::MSG_DONTWAIT) })
}
