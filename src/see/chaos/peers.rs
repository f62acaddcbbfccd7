//! Whether what makes a descriptor ready is the doing of another process. Where that is not
//! certain, the answer is no.

use epolyfill_audit::{File, Mirror};
use epolyfill_facts::Kind;
use libc::c_int;

use crate::sys;

/// An answer that may be kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Outside {
    /// Not asked yet.
    #[default]
    Unknown,
    Yes,
    No,
}

/// Whether the peer of a connection is in another process.
pub fn is_outside(mirror: &Mirror, file: &File, fd: c_int) -> Outside {
    match file.kind {
        // The parent, or another child, may have both ends, and give this process the other.
        _ if file.is_inherited => Outside::No,
        Kind::Tcp | Kind::Udp => is_far(mirror, fd),
        Kind::UnixStream | Kind::UnixSeqpacket if is_accepted_from_another(fd) => Outside::Yes,
        _ => Outside::No,
    }
}

/// Whether no socket of this process has the port of the peer. Addresses are not compared, since
/// one host has many.
fn is_far(mirror: &Mirror, fd: c_int) -> Outside {
    /// Descriptors above the highest known one are looked at, too: they are dense.
    const MARGIN: c_int = 256;
    let mut buffer = [0; 128];
    // Not connected yet.
    let Some(peer) = sys::peer_name(fd, &mut buffer).and_then(port) else { return Outside::Unknown };
    let has_port = |own: c_int| sys::socket_name(own, &mut [0; 128]).and_then(port) == Some(peer);
    let highest = mirror.highest_number().max(fd) + MARGIN;
    if (0..=highest).any(has_port) { Outside::No } else { Outside::Yes }
}

/// The port of an internet address.
fn port(address: &[u8]) -> Option<u16> {
    let family = i32::from(u16::from_ne_bytes(*address.first_chunk::<2>()?));
    let is_internet = family == libc::AF_INET || family == libc::AF_INET6;
    address.get(2..4)?.first_chunk::<2>().filter(|_| is_internet).map(|port| u16::from_be_bytes(*port))
}

/// Whether a unix socket was accepted, and another process connected it. The other side of a
/// connection may have been accepted by anyone, and that of a pair is nowhere else for certain.
fn is_accepted_from_another(fd: c_int) -> bool {
    const FAMILY: usize = 2;
    let is_named = |name: Option<&[u8]>| name.is_some_and(|name| name.len() > FAMILY);
    let is_accepted = is_named(sys::socket_name(fd, &mut [0; 128])) && !is_named(sys::peer_name(fd, &mut [0; 128]));
    let mut peer = libc::ucred { pid: 0, uid: 0, gid: 0 };
    let is_told = sys::getsockopt(fd, libc::SOL_SOCKET, libc::SO_PEERCRED, &mut peer).is_ok();
    is_accepted && is_told && peer.pid > 0 && peer.pid != sys::getpid()
}
