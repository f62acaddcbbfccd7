//! Reading the counters behind `edge.rs`: how much ever arrived on a description, and how much waits to leave it.

use libc::c_int;
use nix::errno::Errno;

use crate::diagnosis;
use crate::file::File;
use crate::kind::{Arrivals, Kind};
use crate::process;
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

const _: () =
    assert!(std::mem::offset_of!(TcpInfo, unacked) == 24 && std::mem::offset_of!(TcpInfo, bytes_received) == 128);

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
        Arrivals::Datagrams => {
            let taken = file.consumed();
            file.while_nobody_peeks(|| datagrams(fd)).flatten().map(|queued| taken + queued)
        }
        Arrivals::Diagnosed => {
            let taken = file.consumed();
            diagnosis::waiting_connections(fd).map(|waiting| taken + u64::from(waiting))
        }
        Arrivals::Signals => pending_signals(fd),
        Arrivals::Witnessed if is_shared_eventfd(file) => eventfd_count(fd),
        Arrivals::Witnessed | Arrivals::Unknown => None,
    }
}

/// How many datagrams wait, by peeking at one after the other. Only if the program has no peek offset of its own, and not for
/// long queues, or those with empty datagrams, which cannot be stepped over.
fn datagrams(fd: c_int) -> Option<u64> {
    const MOST: u64 = 16;
    const NO_OFFSET: c_int = -1;
    let mut before: c_int = 0;
    sys::getsockopt(fd, libc::SOL_SOCKET, libc::SO_PEEK_OFF, &mut before).ok()?;
    if before != NO_OFFSET {
        return None;
    }
    let mut offset = 0;
    let mut count = 0;
    let counted = loop {
        if count == MOST || sys::setsockopt(fd, libc::SOL_SOCKET, libc::SO_PEEK_OFF, offset).is_err() {
            break None;
        }
        match sys::peek_length(fd) {
            Ok(0) => break None,
            Ok(length) => offset += length as c_int,
            Err(Errno::EAGAIN) => break Some(count),
            Err(_) => break None,
        }
        count += 1;
    };
    let _ = sys::setsockopt(fd, libc::SOL_SOCKET, libc::SO_PEEK_OFF, NO_OFFSET);
    counted
}

/// An eventfd that another process may write to, where no witness is.
pub fn is_shared_eventfd(file: &File) -> bool {
    process::has_forked() && matches!(file.kind(), Kind::Eventfd | Kind::EventfdSemaphore)
}

fn eventfd_count(fd: c_int) -> Option<u64> {
    let mut buffer = [0; 256];
    let count = sys::descriptor_info(fd, b"eventfd-count:", &mut buffer)?;
    u64::from_str_radix(std::str::from_utf8(count).ok()?, 16).ok()
}

/// A number that changes when a signal that the descriptor takes becomes pending, for this thread or for the process. Real-time
/// signals queue: where the descriptor takes any, the number of queued ones counts, too, which is kept for all processes of the
/// user and so may change for nothing.
fn pending_signals(fd: c_int) -> Option<u64> {
    const REAL_TIME: u64 = !0 << 31;
    let mut buffer = [0; 4096];
    let hexadecimal = |text: &[u8]| u64::from_str_radix(std::str::from_utf8(text).ok()?, 16).ok();
    let taken = hexadecimal(sys::descriptor_info(fd, b"sigmask:", &mut buffer)?)?;
    let status = sys::read_file(b"/proc/thread-self/status\0", &mut buffer).ok()?;
    let field = |name: &[u8]| {
        status.split(|&byte| byte == b'\n').find_map(|line| line.strip_prefix(name)).map(<[u8]>::trim_ascii)
    };
    let pending = hexadecimal(field(b"SigPnd:")?)? | hexadecimal(field(b"ShdPnd:")?)?;
    let queued = if taken & REAL_TIME == 0 {
        0
    } else {
        let text = std::str::from_utf8(field(b"SigQ:")?).ok()?;
        text.split('/').next()?.parse::<u64>().ok()?
    };
    Some((pending & taken) ^ queued.rotate_left(40))
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
