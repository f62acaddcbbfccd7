//! Sockets as histories open, connect and accept them.

use libc::c_int;

use super::{Desc, World};
use crate::calls::{self, Address};
use crate::kernel;
use crate::kinds::Kind;

impl World<'_> {
    /// Opens two connected unix sockets.
    pub(super) fn open_unix(&mut self, name: usize, other: usize, kind: Kind, variant: i64) -> Result<String, i32> {
        let fds = self.unix_sockets(kind, variant)?;
        if variant & 1 != 0 {
            let _ = calls::set_option(fds[0], libc::SOL_SOCKET, libc::SO_SNDBUF, 4608);
            let _ = calls::set_option(fds[1], libc::SOL_SOCKET, libc::SO_SNDBUF, 4608);
        }
        self.adopt_both(name, other, fds, kind)
    }

    /// Opens both ends of a connection of TCP or MPTCP.
    pub(super) fn open_connection(&mut self, name: usize, other: usize, kind: Kind) -> Result<String, i32> {
        let protocol = if kind == Kind::Mptcp { libc::IPPROTO_MPTCP } else { 0 };
        let (listener, address) = self.internet_listener(1, protocol)?;
        let fd = stream_socket(protocol)?;
        let connected = calls::connect(fd, address);
        let accepted = calls::accept(listener);
        kernel::close(listener);
        match (connected, accepted) {
            (Ok(_) | Err(libc::EINPROGRESS), Ok(accepted)) => self.adopt_both(name, other, [fd, accepted], kind),
            _ => {
                kernel::close(fd);
                let _ = accepted.map(kernel::close);
                Err(libc::EAGAIN)
            }
        }
    }

    pub(super) fn open_tcp_listener(&mut self, name: usize, variant: i64) -> Result<String, i32> {
        let (fd, address) = self.internet_listener(1 + (variant as c_int & 7), 0)?;
        let file = self.adopt(name, fd, Kind::TcpListener);
        self.files[file].address = Some(address);
        Ok(format!("{fd}"))
    }

    pub(super) fn open_unix_listener(&mut self, name: usize, variant: i64) -> Result<String, i32> {
        let kind = if variant & 1 != 0 { libc::SOCK_SEQPACKET } else { libc::SOCK_STREAM };
        let fd = calls::socket(libc::AF_UNIX, kind, 0)?;
        let address = Address::Unix(self.new_name());
        calls::bind(fd, address)?;
        calls::listen(fd, 1 + (variant as c_int & 7))?;
        let file = self.adopt(name, fd, Kind::UnixListener);
        self.files[file].address = Some(address);
        self.files[file].periodic = variant & 1 != 0;
        Ok(format!("{fd}"))
    }

    /// Opens two connected sockets of UDP or UDP-Lite.
    pub(super) fn open_udp(&mut self, name: usize, other: usize, variant: i64) -> Result<String, i32> {
        let protocol = if variant == 7 { libc::IPPROTO_UDPLITE } else { 0 };
        let mut bound = || -> Result<(c_int, Address), i32> {
            let host = self.new_host();
            let fd = calls::socket(libc::AF_INET, libc::SOCK_DGRAM, protocol)?;
            calls::bind(fd, Address::Internet(host, 0))?;
            Ok((fd, Address::Internet(host, calls::port_of(fd)?)))
        };
        let ((one, first), (two, second)) = (bound()?, bound()?);
        calls::connect(one, second)?;
        calls::connect(two, first)?;
        self.adopt_both(name, other, [one, two], Kind::Udp)
    }

    fn unix_sockets(&mut self, kind: Kind, variant: i64) -> Result<[c_int; 2], i32> {
        let kind = match kind {
            Kind::UnixStream => libc::SOCK_STREAM,
            Kind::UnixSeqpacket => libc::SOCK_SEQPACKET,
            _ => libc::SOCK_DGRAM,
        };
        if kind == libc::SOCK_DGRAM && variant & 2 != 0 {
            // The second sends to the first, which is not connected.
            let address = Address::Unix(self.new_name());
            let fds = [calls::socket(libc::AF_UNIX, kind, 0)?, calls::socket(libc::AF_UNIX, kind, 0)?];
            calls::bind(fds[0], address)?;
            calls::connect(fds[1], address)?;
            return Ok(fds);
        }
        calls::pair_of_sockets(kind)
    }

    fn internet_listener(&mut self, backlog: c_int, protocol: c_int) -> Result<(c_int, Address), i32> {
        let host = self.new_host();
        let fd = stream_socket(protocol)?;
        calls::bind(fd, Address::Internet(host, 0))?;
        let address = Address::Internet(host, calls::port_of(fd)?);
        calls::listen(fd, backlog)?;
        Ok((fd, address))
    }

    /// Returns a new address for each, because the ports would run out.
    fn new_host(&mut self) -> u32 {
        let name = self.new_name().wrapping_mul(0x9e37_79b1) >> 8;
        0x7f00_0000 | name.max(2) & 0x00ff_fffe
    }

    /// Connects a client to the listener.
    pub fn connect(&mut self, listener: Desc, name: usize) -> Result<String, i32> {
        if !self.is_free(name) {
            return Err(libc::EEXIST);
        }
        let file = &self.files[listener.file];
        let (kind, address) = (file.kind, file.address.ok_or(libc::EINVAL)?);
        let (fd, kind) = match kind {
            Kind::TcpListener => (stream_socket(0)?, Kind::Tcp),
            _ if file.periodic => (calls::socket(libc::AF_UNIX, libc::SOCK_SEQPACKET, 0)?, Kind::UnixSeqpacket),
            _ => (calls::socket(libc::AF_UNIX, libc::SOCK_STREAM, 0)?, Kind::UnixStream),
        };
        let connected = calls::connect(fd, address);
        self.adopt(name, fd, kind);
        Ok(format!("{fd}: {connected:?}"))
    }

    pub fn accept(&mut self, listener: Desc, name: usize) -> Result<String, i32> {
        if !self.is_free(name) {
            return Err(libc::EEXIST);
        }
        let fd = calls::accept(listener.fd)?;
        let kind = match self.kind(listener) {
            Kind::TcpListener => Kind::Tcp,
            _ if self.files[listener.file].periodic => Kind::UnixSeqpacket,
            _ => Kind::UnixStream,
        };
        self.adopt_one(name, fd, kind)
    }
}

/// A socket of TCP (0), or of MPTCP.
fn stream_socket(protocol: c_int) -> Result<c_int, i32> {
    let fd = calls::socket(libc::AF_INET, libc::SOCK_STREAM, protocol)?;
    // Small enough to be filled in a few calls.
    calls::set_option(fd, libc::SOL_SOCKET, libc::SO_SNDBUF, 16384)?;
    calls::set_option(fd, libc::SOL_SOCKET, libc::SO_RCVBUF, 16384)?;
    calls::set_option(fd, libc::IPPROTO_TCP, libc::TCP_NODELAY, 1)?;
    Ok(fd)
}
