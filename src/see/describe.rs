//! A descriptor in words: "tcp 127.0.0.1:80 <- 127.0.0.1:4711".

use std::fmt::Write;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};

use epolyfill_audit::Described;
use epolyfill_facts::Kind;
use libc::c_int;

use crate::sys;

/// Describes a descriptor.
pub fn describe(fd: c_int, kind: Kind) -> Described {
    let mut words = Described::nothing();
    // A `Described` takes what fits, and never fails.
    let _ = words.write_str(kind.name());
    match kind {
        Kind::Tcp | Kind::TcpListener | Kind::Mptcp | Kind::Udp => {
            if let Some(own) = address(fd, sys::socket_name) {
                let _ = write!(words, " {own}");
            }
            if let Some(peer) = address(fd, sys::peer_name) {
                let _ = write!(words, " <- {peer}");
            }
        }
        Kind::UnixStream | Kind::UnixSeqpacket | Kind::UnixDgram | Kind::UnixListener => {
            let (mut own, mut peer) = ([0; 110], [0; 110]);
            let own = path(sys::socket_name(fd, &mut own));
            let peer = path(sys::peer_name(fd, &mut peer));
            if let Some(path) = own.or(peer) {
                let _ = write!(words, " {path}");
            }
        }
        Kind::Fifo | Kind::Tty | Kind::Other => {
            let mut buffer = [0; 100];
            if let Ok(Ok(path)) = sys::descriptor_link(fd, &mut buffer).map(std::str::from_utf8) {
                let _ = write!(words, " {path}");
            }
        }
        _ => {}
    }
    words
}

type Name = fn(c_int, &mut [u8]) -> Option<&[u8]>;

fn address(fd: c_int, name: Name) -> Option<SocketAddr> {
    let mut buffer = [0; 128];
    let bytes = name(fd, &mut buffer)?;
    let family = i32::from(u16::from_ne_bytes(*bytes.first_chunk::<2>()?));
    let port = u16::from_be_bytes(*bytes.get(2..)?.first_chunk::<2>()?);
    match family {
        libc::AF_INET => {
            let ip = Ipv4Addr::from(*bytes.get(4..)?.first_chunk::<4>()?);
            Some(SocketAddrV4::new(ip, port).into())
        }
        libc::AF_INET6 => {
            let ip = Ipv6Addr::from(*bytes.get(8..)?.first_chunk::<16>()?);
            Some(SocketAddrV6::new(ip, port, 0, 0).into())
        }
        _ => None,
    }
}

/// The path of a unix address, or the name of an abstract one.
fn path(address: Option<&[u8]>) -> Option<&str> {
    let name = address?.get(2..)?;
    let text = std::str::from_utf8(name).ok()?;
    let text = text.trim_start_matches('\0').trim_end_matches('\0');
    (!text.is_empty()).then_some(text)
}
