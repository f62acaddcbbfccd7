//! Reading the counters behind `edge.rs`: how much ever arrived on a description, and how much waits to leave it.

use libc::c_int;

use crate::file::File;
use crate::kind::{Arrivals, Kind};
use crate::sys;

/// The head of the kernel's `struct tcp_info`, as far as two counters are needed.
#[repr(C)]
#[derive(Clone, Copy)]
struct TcpInfo {
    states: [u8; 8],
    timers: [u32; 4],
    /// `tcpi_unacked`: on a listening socket, the connections that wait to be accepted.
    unacked: u32,
    more: [u32; 19],
    rates: [u64; 2],
    bytes_acked: u64,
    /// `tcpi_bytes_received` (Linux 4.1).
    bytes_received: u64,
}

const _: () = assert!(std::mem::offset_of!(TcpInfo, unacked) == 24 && std::mem::offset_of!(TcpInfo, bytes_received) == 128);

/// `SO_MEMINFO`: its first number is the memory of unread datagrams.
const SO_MEMINFO: c_int = 55;

/// A number that grows with every arrival and with nothing else, where the kind has one.
pub fn arrivals(file: &File, fd: c_int) -> Option<u64> {
    match file.kind().arrivals() {
        Arrivals::Received => tcp_info(fd).map(|info| info.bytes_received),
        Arrivals::Backlog => tcp_info(fd).map(|info| file.consumed() + u64::from(info.unacked)),
        Arrivals::Queued => {
            // The program may read between these two lines; its bytes are then missing from the sum, never counted twice.
            let taken = file.consumed();
            sys::ioctl_int(fd, libc::FIONREAD).ok().map(|queued| taken + u64::from(queued.max(0).unsigned_abs()))
        }
        Arrivals::Memory => {
            let mut memory = [0u32; 9];
            sys::getsockopt(fd, libc::SOL_SOCKET, SO_MEMINFO, &mut memory).ok().map(|_| u64::from(memory[0]))
        }
        Arrivals::Witnessed | Arrivals::Unknown => None,
    }
}

/// The memory of what a unix socket sent and its peer has not read; it falls when the peer reads (E4).
pub fn outgoing(kind: Kind, fd: c_int) -> Option<u32> {
    if !kind.is_unix_data() {
        return None;
    }
    sys::ioctl_int(fd, libc::TIOCOUTQ).ok().map(|bytes| bytes.max(0).unsigned_abs())
}

fn tcp_info(fd: c_int) -> Option<TcpInfo> {
    let mut info = TcpInfo {
        states: [0; 8],
        timers: [0; 4],
        unacked: 0,
        more: [0; 19],
        rates: [0; 2],
        bytes_acked: 0,
        bytes_received: 0,
    };
    let length = sys::getsockopt(fd, libc::IPPROTO_TCP, libc::TCP_INFO, &mut info).ok()?;
    (length == size_of::<TcpInfo>()).then_some(info)
}
