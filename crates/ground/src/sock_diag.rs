//! Asks the kernel's socket diagnosis (sock_diag(7)) about unix sockets: how many connections wait
//! on a listener, which socket is the peer, and whether a connection is still to be accepted. No
//! other interface of the kernel reports these.

use libc::c_int;

use crate::sys;

const NETLINK_SOCK_DIAG: c_int = 4;
const SOCK_DIAG_BY_FAMILY: u16 = 20;
const UDIAG_SHOW_PEER: u32 = 0x4;
const UDIAG_SHOW_ICONS: u32 = 0x8;
const UDIAG_SHOW_RQLEN: u32 = 0x10;
const UNIX_DIAG_PEER: u16 = 2;
const UNIX_DIAG_ICONS: u16 = 3;
const UNIX_DIAG_RQLEN: u16 = 4;
const UNIX_DIAG_SHUTDOWN: u16 = 6;
/// The state of a listener, as a bit.
const LISTENING: u32 = 1 << 10;
/// Two structures of sixteen bytes each, `struct nlmsghdr` and `struct unix_diag_msg`; the
/// attributes follow.
const ATTRIBUTES_AT: usize = 32;

/// `struct nlmsghdr`, followed by `struct unix_diag_req`.
#[repr(C)]
struct Request {
    length: u32,
    kind: u16,
    flags: u16,
    sequence: u32,
    port: u32,
    family: u8,
    protocol: u8,
    pad: u16,
    states: u32,
    inode: u32,
    show: u32,
    cookie: [u32; 2],
}

/// The number of connections that wait to be accepted; `None` if the kernel lacks the diagnosis, or
/// refuses it.
pub fn waiting_connections(fd: c_int) -> Option<u32> {
    ask(fd, UDIAG_SHOW_RQLEN, |answer| number(answer, UNIX_DIAG_RQLEN))?
}

/// The inode of a unix socket's peer; 0 if it has none, or if the peer is closed or not yet
/// accepted; `None` as above.
pub fn peer(fd: c_int) -> Option<u32> {
    ask(fd, UDIAG_SHOW_PEER, |answer| number(answer, UNIX_DIAG_PEER).unwrap_or(0))
}

/// Which sides of a unix socket are shut: bit 0 for receiving, bit 1 for sending; `None` as above.
pub fn shut_sides(fd: c_int) -> Option<u8> {
    ask(fd, 0, |answer| attribute(answer, UNIX_DIAG_SHUTDOWN)?.first().copied())?
}

/// Whether a unix socket's connection waits to be accepted; `None` as above. Only the listeners
/// know, so one request asks about all of them.
pub fn awaits_accept(fd: c_int) -> Option<bool> {
    let inode = inode(fd)?;
    let request = Request::new((libc::NLM_F_REQUEST | libc::NLM_F_DUMP) as u16, LISTENING, 0, UDIAG_SHOW_ICONS);
    converse(&request, |netlink| {
        // The kernel's messages are at most this long, unless the buffer is longer.
        let mut answer = [0; 8192];
        loop {
            // An empty message is not an answer: another thread has closed all descriptors, and the
            // program has opened something else under this number.
            let n = sys::receive(netlink, &mut answer).ok().filter(|&n| n > 0)?;
            let mut rest = &answer[..n];
            while !rest.is_empty() {
                let length = whole(rest, 0)? as usize;
                if half(rest, 4)? != SOCK_DIAG_BY_FAMILY {
                    return Some(false);
                }
                let waiting = attribute(rest.get(..length)?, UNIX_DIAG_ICONS).unwrap_or_default();
                if waiting.chunks_exact(4).any(|client| whole(client, 0) == Some(inode)) {
                    return Some(true);
                }
                rest = rest.get(length.max(4).next_multiple_of(4)..).unwrap_or_default();
            }
        }
    })
}

/// Asks about one socket, and passes the answer to `find`.
fn ask<T>(fd: c_int, show: u32, find: impl FnOnce(&[u8]) -> T) -> Option<T> {
    let request = Request::new(libc::NLM_F_REQUEST as u16, u32::MAX, inode(fd)?, show);
    converse(&request, |netlink| {
        let mut answer = [0; 256];
        let n = sys::receive(netlink, &mut answer).ok()?;
        let answer = &answer[..n];
        (half(answer, 4)? == SOCK_DIAG_BY_FAMILY).then(|| find(answer))
    })
}

/// Sends a request, and lets `hear` read the answer from the socket.
fn converse<T>(request: &Request, hear: impl FnOnce(c_int) -> Option<T>) -> Option<T> {
    let netlink = sys::netlink(NETLINK_SOCK_DIAG).ok()?;
    let asked = sys::write(netlink, request.as_bytes()).ok();
    let heard = asked.and_then(|_| hear(netlink));
    let _ = sys::close(netlink);
    heard
}

fn inode(fd: c_int) -> Option<u32> {
    u32::try_from(sys::fstat(fd).ok()?.st_ino).ok()
}

fn whole(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

fn half(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_ne_bytes(bytes.get(at..at + 2)?.try_into().ok()?))
}

/// The first number of an attribute of an answer.
fn number(answer: &[u8], wanted: u16) -> Option<u32> {
    whole(attribute(answer, wanted)?, 0)
}

/// An attribute of an answer.
fn attribute(answer: &[u8], wanted: u16) -> Option<&[u8]> {
    let mut rest = answer.get(ATTRIBUTES_AT..)?;
    loop {
        let length = usize::from(half(rest, 0)?);
        if half(rest, 2)? == wanted {
            return rest.get(4..length);
        }
        rest = rest.get(length.max(4).next_multiple_of(4)..)?;
    }
}

impl Request {
    fn new(flags: u16, states: u32, inode: u32, show: u32) -> Request {
        Request {
            length: size_of::<Request>() as u32,
            kind: SOCK_DIAG_BY_FAMILY,
            flags,
            sequence: 1,
            port: 0,
            family: libc::AF_UNIX as u8,
            protocol: 0,
            pad: 0,
            states,
            inode,
            show,
            cookie: [u32::MAX; 2],
        }
    }

    fn as_bytes(&self) -> &[u8] {
        // SAFETY: the structure is plain numbers without padding, and lives as long as the slice.
        unsafe { std::slice::from_raw_parts(std::ptr::from_ref(self).cast(), size_of::<Request>()) }
    }
}

const _: () = assert!(size_of::<Request>() == 40);

#[cfg(test)]
mod tests {
    use std::os::fd::AsRawFd;
    use std::os::unix::net::{UnixListener, UnixStream};

    use super::*;

    #[test]
    fn waiting_connections_are_counted() {
        let path = std::env::temp_dir().join(format!("epolyfill-diagnosis-{}", std::process::id()));
        let listener = UnixListener::bind(&path).expect("bind");
        let before = waiting_connections(listener.as_raw_fd());
        let clients: Vec<_> = (0..3).map(|_| UnixStream::connect(&path).expect("connect")).collect();
        let after = waiting_connections(listener.as_raw_fd());
        let waited = awaits_accept(clients[0].as_raw_fd());
        let accepted = listener.accept().expect("accept");
        let waits = awaits_accept(clients[0].as_raw_fd());
        drop(accepted);
        std::fs::remove_file(&path).expect("remove");
        drop(clients);
        // A kernel without the diagnosis supports neither request.
        assert!(matches!((before, after), (Some(0), Some(3)) | (None, None)), "{before:?} {after:?}");
        assert_eq!((waited, waits), (after.map(|_| true), after.map(|_| false)));
    }

    #[test]
    fn a_peer_is_there_until_it_is_closed() {
        let (one, other) = UnixStream::pair().expect("socketpair");
        let inode = |socket: &UnixStream| sys::fstat(socket.as_raw_fd()).map(|stat| stat.st_ino as u32).ok();
        let seen = peer(one.as_raw_fd());
        assert!(seen.is_none() || seen == inode(&other), "{seen:?}");
        drop(other);
        assert!(matches!(peer(one.as_raw_fd()), None | Some(0)));
    }

    #[test]
    fn sides_that_are_shut_are_known() {
        let (one, _other) = UnixStream::pair().expect("socketpair");
        one.shutdown(std::net::Shutdown::Write).expect("shutdown");
        assert!(matches!(shut_sides(one.as_raw_fd()), None | Some(2)));
    }

    #[test]
    fn nonsense_is_no_answer() {
        for answer in [&[][..], &[0xff; 20], &[0; 64]] {
            assert_eq!(number(answer, UNIX_DIAG_RQLEN), None);
        }
    }
}
