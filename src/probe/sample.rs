//! Reads the counts for the rules of edges: all arrivals on a description so far, and the data
//! that is waiting to be sent.

use libc::c_int;
use linux_raw_sys::net::{SO_MEMINFO, SO_ZEROCOPY, tcp_info as TcpInfo};
use nix::errno::Errno;

use crate::INTERPOSES;
use crate::count::{self as counts, Count, LastCount, TakenSignals};
use crate::edge::View;
use crate::events::{Bits, ERR, HUP, IN, PRI, RDHUP, READABLE, WRITABLE};
use crate::graph::file::{ByMemory, Datagrams, Eventfd, File, Tcp};
use crate::kind::{Arrivals, Kind};
use crate::sock_diag;
use crate::sys;
use crate::tcp::{CLOSE, CLOSE_WAIT, CLOSING, ESTABLISHED, LAST_ACK, SYN_SENT, TcpState, awaits_ack};
use crate::tcp_info;

/// The signals that the process has read from signalfds.
static TAKEN_SIGNALS: TakenSignals = TakenSignals::new();

/// The facts about this process for the rules of edges.
pub static VIEW: View<'static> = View { sees_calls: INTERPOSES, taken_signals: &TAKEN_SIGNALS };

/// A number that changes with every arrival and with nothing else, if the kind has one. `watched`
/// are the levels that a registration waits for.
#[inline]
pub fn arrivals(file: &'static File, fd: c_int, watched: Bits) -> Option<Count> {
    match file.kind().arrivals() {
        Arrivals::Received | Arrivals::Unknown => count(file, fd, watched),
        _ => {
            let (count, blurred) = file.while_others_take(|| count(file, fd, watched));
            count.map(|count| count.blurred(blurred))
        }
    }
}

/// As [`arrivals`], for later counts to be compared with, as at a report. Data that a call takes at
/// that moment arrived before. If it were missing from this count, it would be news in the next, so
/// this function waits for the call: shortly if the call may sleep, otherwise for as long as its
/// thread may have to wait for a processor.
pub fn settled_arrivals(file: &'static File, fd: c_int, watched: Bits) -> Option<Count> {
    const NAPS: u32 = 200;
    let count = arrivals(file, fd, watched);
    if count.is_some_and(Count::is_blurred) {
        let may_sleep = sys::fcntl(fd, libc::F_GETFL, 0).is_ok_and(|flags| flags & libc::O_NONBLOCK == 0);
        file.await_takers(if may_sleep { 1 } else { NAPS });
        return arrivals(file, fd, watched);
    }
    count
}

fn count(file: &'static File, fd: c_int, watched: Bits) -> Option<Count> {
    match file.kind().arrivals() {
        Arrivals::Received => bytes_and_state(file, fd, watched),
        Arrivals::Backlog => {
            tcp_info::read(fd).map(|info| Count::total(file.consumed() + u64::from(info.tcpi_unacked)))
        }
        Arrivals::Queued => bytes(file, fd),
        // No data reaches a unix socket that was shut down, and queued data is discarded with the
        // peer.
        Arrivals::Datagrams if file.kind() == Kind::UnixDgram && file.is_shut(libc::SHUT_RD) => Some(Count::total(0)),
        Arrivals::Datagrams => datagrams_and_memory(file, fd),
        Arrivals::Memory => memory_and_errors(file, fd),
        Arrivals::Listed => listed(file, fd),
        Arrivals::Diagnosed => {
            let taken = file.consumed();
            sock_diag::waiting_connections(fd).map(|waiting| Count::total(taken + u64::from(waiting)))
        }
        Arrivals::Signals => pending_signals(fd),
        Arrivals::Expirations => {
            let taken = file.consumed();
            Some(Count::total(taken + u64::from(sys::level(fd, IN) & IN != 0)))
        }
        Arrivals::Hooked if file.is_shared_eventfd() => {
            let taken = file.consumed();
            eventfd_count(fd).map(|count| Count::total(taken.wrapping_add(count)))
        }
        Arrivals::Hooked | Arrivals::Unknown => None,
    }
}

/// The bytes that a TCP connection received, and its state. A change of state wakes every waiter;
/// bytes wake the waiters for data.
fn bytes_and_state(file: &File, fd: c_int, watched: Bits) -> Option<Count> {
    let info = tcp_info::read(fd)?;
    let has_space = watched & WRITABLE != 0 && awaits_ack(info.tcpi_state) && has_stream_room(fd);
    note_errors(file, fd, &info);
    // A connection in progress wakes no waiter until it is established or fails.
    let state = if info.tcpi_state == SYN_SENT { CLOSE } else { info.tcpi_state };
    let bytes = if watched & IN == 0 { 0 } else { info.tcpi_bytes_received };
    Some(Count::stream(bytes, errors_found(file), state).with_space(has_space))
}

/// The bytes that are queued, plus those that were taken.
fn bytes(file: &File, fd: c_int) -> Option<Count> {
    let taken = file.consumed();
    match sys::ioctl_int(fd, libc::FIONREAD) {
        Ok(queued) => Some(Count::total(taken + u64::from(queued.max(0).unsigned_abs()))),
        // A terminal that was hung up fails even this call, and has no more input.
        Err(Errno::EIO) => Some(Count::total(taken)),
        Err(_) => None,
    }
}

/// The datagrams that are queued, and those that were taken. For a UDP socket also the memory.
fn datagrams_and_memory(file: &'static File, fd: c_int) -> Option<Count> {
    let taken = file.consumed();
    let queued = queued_datagrams(file, fd);
    if file.kind() != Kind::Udp {
        return queued.map(|queued| Count::total(taken + queued));
    }
    // Includes the memory that taken errors have given back, so that an error that arrives changes
    // the count, and one that is taken does not.
    let memory = receive_memory(fd)? + u64::from(file.by_memory().map_or(0, ByMemory::errors_taken));
    Some(Count::datagrams(taken, queued, memory))
}

/// The memory of a socket whose messages cannot be counted.
fn memory_and_errors(file: &File, fd: c_int) -> Option<Count> {
    let taken = file.consumed();
    let memory = receive_memory(fd)?;
    if memory == 0 && (taken == 0 || sys::level(fd, READABLE) & READABLE != 0) {
        // Arrivals go outside the socket's queue, for instance to a ring in shared memory.
        return None;
    }
    let queued = (memory == 0).then_some(0);
    let memory = memory + u64::from(file.by_memory().map_or(0, ByMemory::errors_taken));
    Some(Count::datagrams(taken, queued, memory))
}

fn errors_found(file: &File) -> u8 {
    file.tcp().map_or(0, Tcp::errors_found)
}

/// Checks for arrivals in the error queue of a TCP connection, if it has entries.
fn note_errors(file: &File, fd: c_int, info: &TcpInfo) {
    if let Some(tcp) = file.tcp().filter(|tcp| tcp.follows_errors())
        && let Some(memory) = error_memory(fd)
    {
        tcp.note_error_memory(memory.received, info.tcpi_bytes_received.wrapping_add(file.consumed()));
    }
}

/// The count at a report of `level`. For an established TCP connection it is cheaper: the bytes
/// queued, plus the position of its readers in the stream. A process whose calls are not seen may
/// have taken some, so the sum can be too low, and then shows an arrival where there is none. If it
/// shows no change since `last`, the kernel's own count is read.
pub fn count_at_report(file: &'static File, fd: c_int, watched: Bits, level: Bits, last: LastCount) -> Option<Count> {
    let Some(tcp) = file.tcp() else { return settled_arrivals(file, fd, watched) };
    if level & PRI != 0 {
        tcp.note_urgent();
    }
    tcp.follow_errors(level & ERR != 0);
    let is_open = level & (RDHUP | HUP | ERR | PRI) == 0 && !file.is_closing();
    if !INTERPOSES || watched & IN == 0 || !is_open {
        return settled_arrivals(file, fd, watched);
    }
    let (sum, blurred) = file.while_others_take(|| {
        let place = tcp.position()?;
        let queued = queued_bytes(fd)?;
        Some(place + queued)
    });
    match sum.filter(|_| !blurred).map(|bytes| Count::stream(bytes, errors_found(file), ESTABLISHED)) {
        Some(count) if LastCount::Count(count) != last => Some(count),
        _ => find_position(file, fd, watched),
    }
}

/// The kernel's count of a TCP connection. It also gives the position of the readers in the stream
/// if nothing arrived during the calls; an arrival would make the position too low, even lower than
/// the beginning.
fn find_position(file: &'static File, fd: c_int, watched: Bits) -> Option<Count> {
    let tcp = file.tcp()?;
    tcp.forget_position();
    let (found, blurred) =
        file.while_others_take(|| (file.consumed(), queued_bytes(fd), tcp_info::read(fd), queued_bytes(fd)));
    let (consumed, before, info, queued) = found;
    let info = info?;
    if info.tcpi_state != ESTABLISHED {
        // Another process has shut it down, or the level did not show it.
        return count(file, fd, watched);
    }
    if let Some(queued) = queued.filter(|&queued| before == Some(queued) && queued > 0 && !blurred)
        && let Some(place) = info.tcpi_bytes_received.checked_sub(queued)
    {
        tcp.set_position(place, consumed);
    }
    Some(Count::stream(info.tcpi_bytes_received, errors_found(file), info.tcpi_state))
}

/// The number of bytes that the readers of an established TCP connection have taken, as a count. It
/// is returned only if it has reached the count `last`, so that it shows whether bytes that were
/// taken since have also arrived since. No system call.
pub fn overtaken(file: &File, last: LastCount) -> Option<Count> {
    let (tcp, LastCount::Count(last)) = (file.tcp()?, last) else { return None };
    if last.without_bytes() != Count::stream(0, errors_found(file), ESTABLISHED) {
        return None;
    }
    let count = Count::stream(tcp.position()?, errors_found(file), ESTABLISHED);
    count.has_reached(last).then_some(count)
}

fn queued_bytes(fd: c_int) -> Option<u64> {
    sys::ioctl_int(fd, libc::FIONREAD).ok().map(|queued| queued.max(0).unsigned_abs().into())
}
/// The memory in use by received data of a UDP socket.
pub fn receive_memory(fd: c_int) -> Option<u64> {
    socket_memory(fd).map(|[received, ..]| u64::from(received))
}

/// The memory in use that may belong to a socket's error queue.
#[derive(Clone, Copy, Debug)]
pub struct ErrorMemory {
    /// The receive memory, which includes errors.
    pub received: u32,
    /// The option memory, which notifications of zero-copy writes use.
    pub optional: u32,
}

/// Reads the memory in use that may belong to the error queue.
pub fn error_memory(fd: c_int) -> Option<ErrorMemory> {
    socket_memory(fd).map(|[received, _, _, _, _, _, optional, ..]| ErrorMemory { received, optional })
}

/// Whether the socket's error queue can have entries, because an option enables it.
pub fn queues_errors(fd: c_int) -> bool {
    let options = [
        (libc::IPPROTO_IP, libc::IP_RECVERR),
        (libc::IPPROTO_IPV6, libc::IPV6_RECVERR),
        (libc::SOL_SOCKET, libc::SO_TIMESTAMPING),
        (libc::SOL_SOCKET, SO_ZEROCOPY as c_int),
    ];
    options.into_iter().any(|(level, name)| {
        let mut value: c_int = 0;
        sys::getsockopt(fd, level, name, &mut value).is_ok() && value != 0
    })
}

/// The fields of SO_MEMINFO. The first is the memory of unread datagrams.
fn socket_memory(fd: c_int) -> Option<[u32; 9]> {
    let mut memory = [0; 9];
    sys::getsockopt(fd, libc::SOL_SOCKET, SO_MEMINFO as c_int, &mut memory).ok().map(|_| memory)
}

/// Whether a readable TCP connection has bytes, or the peer's FIN, and is not merely shut down on
/// this side.
pub fn has_stream_data(fd: c_int) -> bool {
    // The state CLOSE does not show whether the connection was shut down or reset.
    const PEER_CLOSED: [TcpState; 4] = [CLOSE, CLOSE_WAIT, LAST_ACK, CLOSING];
    queued_bytes(fd).is_some_and(|queued| queued > 0)
        || tcp_info::state(fd).is_some_and(|state| PEER_CLOSED.contains(&state))
}

/// Whether a TCP connection has space: the level of EPOLLOUT, unless the program shut down this
/// side.
pub fn has_stream_room(fd: c_int) -> bool {
    socket_memory(fd).is_some_and(|[_, _, _, limit, _, queued, ..]| limit.saturating_sub(queued) >= queued / 2)
}

/// As [`has_stream_room`], and whether the unsent data is below half of TCP_NOTSENT_LOWAT, if that
/// is set.
pub fn has_unsent_room(fd: c_int) -> bool {
    let mut mark: c_int = 0;
    let marked = sys::getsockopt(fd, libc::IPPROTO_TCP, libc::TCP_NOTSENT_LOWAT, &mut mark).is_ok() && mark != 0;
    let unsent = tcp_info::read(fd).map_or(0, |info| u64::from(info.tcpi_notsent_bytes));
    has_stream_room(fd) && (!marked || unsent * 2 < u64::from(mark.cast_unsigned()))
}

/// Whether a TCP connection can still change to states that wake waiters without a new level.
pub fn closes_still(fd: c_int) -> bool {
    match tcp_info::state(fd) {
        None | Some(CLOSE | CLOSE_WAIT) => false,
        Some(state) if awaits_ack(state) => true,
        // The peer has not closed its side, but the shutdown on this side has already raised the
        // level that would show it.
        Some(_) => sys::level(fd, RDHUP) & (RDHUP | HUP) != 0,
    }
}

/// The default peek offset.
const NO_OFFSET: c_int = -1;

fn put_back_peeks(fd: c_int) {
    let _ = set_peek_offset(fd, NO_OFFSET);
}

/// Sets the offset of peeks. Before Linux 6.9 a signal can interrupt that on a unix socket.
fn set_peek_offset(fd: c_int, offset: c_int) -> Result<(), Errno> {
    loop {
        match sys::setsockopt(fd, libc::SOL_SOCKET, libc::SO_PEEK_OFF, offset) {
            Err(Errno::EINTR) => {}
            result => return result,
        }
    }
}

/// The offset of peeks.
fn peek_offset(fd: c_int) -> Option<c_int> {
    let mut offset = 0;
    sys::getsockopt(fd, libc::SOL_SOCKET, libc::SO_PEEK_OFF, &mut offset).ok().map(|_| offset)
}

/// Restores the peek offset after a call that took datagrams while they may have been counted. The
/// kernel moves the offset back by the amount taken, which can overwrite the restored value.
#[inline]
pub fn settle_peeks(file: &'static File, fd: c_int) {
    file.settle_peeks(|| put_back_peeks(fd));
}

/// The datagrams that are queued; `None` if they cannot be counted at present.
fn queued_datagrams(file: &'static File, fd: c_int) -> Option<u64> {
    let queued = file.while_nobody_peeks(|| datagrams(file, fd)).flatten();
    settle_peeks(file, fd);
    queued
}

/// Counts the queued datagrams by peeking at each in turn. `None` if the program uses a peek offset
/// itself, if an error is pending, which a peek would take, or if the queue is long. The kernel
/// steps over an empty datagram once it was peeked at, so the description remembers those.
fn datagrams(file: &'static File, fd: c_int) -> Option<u64> {
    const MOST: u64 = 512;
    let level = sys::level(fd, READABLE | RDHUP);
    if level & READABLE == 0 {
        return Some(0);
    } else if level & ERR != 0 {
        return None;
    }
    if peek_offset(fd)? != NO_OFFSET && !file.has_moved_peeks() {
        return None;
    }
    file.move_peeks();
    file.put_back_peeks(|| {
        let counted = peek_through(file, fd, level & RDHUP != 0, MOST);
        put_back_peeks(fd);
        counted
    })
}

/// Counts the datagrams of a socket, at most `most`. `is_shut` is true if it was shut down. Leaves
/// the peek offset at an arbitrary value. A call that takes datagrams meanwhile may hide some from
/// the count, but none is counted twice.
fn peek_through(file: &'static File, fd: c_int, is_shut: bool, most: u64) -> Option<u64> {
    // A UDP queue that seems empty but uses memory holds datagrams.
    let is_seen = |count: u64| count > 0 || file.kind() != Kind::Udp || receive_memory(fd) == Some(0);
    let mut offset = 0;
    let mut count = u64::from(file.datagrams().map_or(0, Datagrams::empties));
    loop {
        if count >= most || set_peek_offset(fd, offset).is_err() {
            break None;
        }
        match sys::peek_length(fd) {
            // At the end of a socket that was shut down each peek returns 0, which looks like an
            // empty datagram.
            Ok(0) if is_shut => break is_seen(count).then_some(count),
            Ok(0) => {
                if let Some(datagrams) = file.datagrams() {
                    datagrams.saw_empty();
                }
            }
            Ok(length) if offset > 0 && !has_peeked_at(file, fd, offset, length) => break Some(count),
            Ok(length) => offset += length as c_int,
            // An empty datagram that the program peeked at does not show again.
            Err(Errno::EAGAIN) => break is_seen(count).then_some(count),
            Err(_) => break None,
        }
        count += 1;
    }
}

/// Whether a peek that found a datagram of this length began at this offset. The kernel reads and
/// writes the offset in two steps when a datagram is taken, so it may have put an earlier one back,
/// and the peek has found a datagram that was counted already. The peek itself moves the offset of
/// a UDP socket by the length of the datagram, and that of a unix socket by the size of the buffer,
/// which is 0.
fn has_peeked_at(file: &File, fd: c_int, offset: c_int, length: usize) -> bool {
    let moved = if file.kind() == Kind::Udp { length as c_int } else { 0 };
    peek_offset(fd) == Some(offset + moved)
}

/// The number of calls seen that can make an eventfd readable. The rest in a semaphore after a read
/// counts as added.
pub fn calls_that_add(file: &File) -> u32 {
    let reads = if file.kind() == Kind::EventfdSemaphore { file.consumed() as u32 } else { 0 };
    file.eventfd().map_or(0, Eventfd::adds).wrapping_add(reads)
}

/// A count that the description itself reports: the completions of an io_uring instance, which only
/// grow; the messages in a queue, where every change wakes; or the pending faults, plus those read.
fn listed(file: &File, fd: c_int) -> Option<Count> {
    const BYTES_OF_FAULT: u64 = 32;
    match file.kind() {
        Kind::IoUring => descriptor_number(fd, b"CqTail:").map(Count::version),
        Kind::MessageQueue => sys::queued_messages(fd).map(Count::version),
        _ => descriptor_number(fd, b"pending:").map(|faults| Count::total(file.consumed() + BYTES_OF_FAULT * faults)),
    }
}

/// A decimal number in `/proc/thread-self/fdinfo`.
fn descriptor_number(fd: c_int, name: &[u8]) -> Option<u64> {
    let mut buffer = [0; 512];
    std::str::from_utf8(sys::descriptor_info(fd, name, &mut buffer)?).ok()?.parse().ok()
}

fn eventfd_count(fd: c_int) -> Option<u64> {
    let mut buffer = [0; 256];
    let count = sys::descriptor_info(fd, b"eventfd-count:", &mut buffer)?;
    u64::from_str_radix(std::str::from_utf8(count).ok()?, 16).ok()
}

/// Notes a signal that was read from a signalfd.
pub fn note_taken_signal(number: u32) {
    TAKEN_SIGNALS.note(number);
}

/// The signals that are pending for this thread or for the process, with the number of signals
/// taken. Every signal wakes every signalfd, whatever its mask. If the mask has real-time signals,
/// only the sum of queued and taken signals is used. The kernel keeps the number of queued signals
/// per user, so it may change without an arrival here.
fn pending_signals(fd: c_int) -> Option<Count> {
    let mut buffer = [0; 4096];
    let hexadecimal = |text: &[u8]| u64::from_str_radix(std::str::from_utf8(text).ok()?, 16).ok();
    let taken = TAKEN_SIGNALS.number();
    let mask = hexadecimal(sys::descriptor_info(fd, b"sigmask:", &mut buffer)?)?;
    let status = sys::read_file(b"/proc/thread-self/status\0", &mut buffer).ok()?;
    let field = |name: &[u8]| {
        status.split(|&byte| byte == b'\n').find_map(|line| line.strip_prefix(name)).map(<[u8]>::trim_ascii)
    };
    if mask & counts::REAL_TIME == 0 {
        let pending = hexadecimal(field(b"SigPnd:")?)? | hexadecimal(field(b"ShdPnd:")?)?;
        return Some(Count::signals(pending, taken));
    }
    let text = std::str::from_utf8(field(b"SigQ:")?).ok()?;
    let queued = text.split('/').next()?.parse::<u64>().ok()?;
    Some(Count::total(queued + u64::from(taken)))
}

/// The memory of data that a unix socket sent and its peer has not read. It falls when the peer
/// reads (E4). `None` for other files, or if no registration asked for space: the peer's read wakes
/// no other waiter.
pub fn outgoing(file: &File, fd: c_int) -> Option<u32> {
    if !file.kind().is_unix_data() || !file.is_room_wanted() {
        return None;
    }
    sys::ioctl_int(fd, libc::TIOCOUTQ).ok().map(|bytes| bytes.max(0).unsigned_abs())
}

/// Whether a unix socket's outgoing queue holds less than at the last look, because the peer has
/// read. Notes the new amount.
pub fn has_departures(file: &'static File, fd: c_int) -> bool {
    file.unix()
        .filter(|unix| unix.awaits_reads())
        .is_some_and(|unix| outgoing(file, fd).is_some_and(|outgoing| outgoing < unix.note_outgoing(outgoing)))
}

/// Whether the full queue of the peer refused a write to a unix datagram socket: the socket itself
/// has memory left.
pub fn is_refused_by_peer(file: &File, fd: c_int) -> bool {
    let mut room: c_int = 0;
    file.kind() == Kind::UnixDgram
        && sys::getsockopt(fd, libc::SOL_SOCKET, libc::SO_SNDBUF, &mut room).is_ok()
        && sys::ioctl_int(fd, libc::TIOCOUTQ).is_ok_and(|used| used < room)
        && sock_diag::peer(fd).is_some_and(|inode| inode != 0)
}

/// Whether a unix socket has space in its own send buffer when a buffer is freed, whatever its peer
/// has. The memory in use is one more than TIOCOUTQ reports, and two more while a buffer is being
/// freed.
pub fn has_room(fd: c_int) -> bool {
    let mut room: c_int = 0;
    let used = sys::ioctl_int(fd, libc::TIOCOUTQ).map_or(0, i64::from);
    sys::getsockopt(fd, libc::SOL_SOCKET, libc::SO_SNDBUF, &mut room).is_ok() && (used + 2) * 4 <= i64::from(room)
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream, UdpSocket};
    use std::os::fd::AsRawFd;
    use std::os::unix::net::UnixDatagram;
    use std::sync::atomic::AtomicBool;
    use std::sync::atomic::Ordering::SeqCst;

    use super::*;

    #[test]
    fn a_count_that_a_call_ran_into_does_not_leave_the_socket_uncounted() {
        let (one, other) = UnixDatagram::pair().expect("a pair");
        let fd = other.as_raw_fd();
        let file = File::create().expect("memory");
        assert_eq!(file.identify(fd), Kind::UnixDgram);
        assert_eq!(one.send(b"some").ok(), Some(4));
        // The offset that the kernel leaves if a call takes while the offset is put back.
        let leave_behind = || sys::setsockopt(fd, libc::SOL_SOCKET, libc::SO_PEEK_OFF, 0).expect("a place");
        leave_behind();
        assert_eq!(count(file, fd, IN), None, "the program has put it there");
        assert_eq!(peek_offset(fd), Some(0));
        put_back_peeks(fd);
        let (begun, done) = (std::sync::Barrier::new(2), std::sync::Barrier::new(2));
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let taking = file.begin_taking();
                begun.wait();
                done.wait();
                leave_behind();
                drop(taking);
                settle_peeks(file, fd);
            });
            begun.wait();
            assert_eq!(count(file, fd, IN), Some(Count::total(1)));
            leave_behind();
            assert_eq!(count(file, fd, IN), Some(Count::total(1)), "it is not the program that has put it there");
            done.wait();
        });
        assert_eq!(peek_offset(fd), Some(NO_OFFSET));
        assert!(!file.has_moved_peeks());
        file.retire();
    }

    /// Counts four datagrams of four bytes while another thread does to the offset of peeks what
    /// the kernel does when a datagram is taken.
    fn count_four(fd: c_int, kind: Kind) {
        let file = File::create().expect("memory");
        assert_eq!(file.identify(fd), kind);
        let over = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while !over.load(SeqCst) {
                    let taking = file.begin_taking();
                    if let Some(offset @ 4..) = peek_offset(fd) {
                        set_peek_offset(fd, offset - 4).expect("an offset");
                    }
                    drop(taking);
                    settle_peeks(file, fd);
                }
            });
            let too_high = (0..20_000).filter_map(|_| queued_datagrams(file, fd)).find(|&count| count > 4);
            over.store(true, SeqCst);
            assert_eq!(too_high, None);
        });
        settle_peeks(file, fd);
        assert_eq!(queued_datagrams(file, fd), Some(4));
        file.retire();
    }

    #[test]
    fn a_unix_datagram_is_counted_once_whatever_a_call_does_to_the_offset() {
        let (one, other) = UnixDatagram::pair().expect("a pair");
        (0..4).for_each(|_| assert_eq!(one.send(b"some").ok(), Some(4)));
        count_four(other.as_raw_fd(), Kind::UnixDgram);
    }

    #[test]
    fn a_udp_datagram_is_counted_once_whatever_a_call_does_to_the_offset() {
        let socket = UdpSocket::bind("127.0.0.1:0").expect("a socket");
        let own = socket.local_addr().expect("its address");
        (0..4).for_each(|_| assert_eq!(socket.send_to(b"some", own).ok(), Some(4)));
        count_four(socket.as_raw_fd(), Kind::Udp);
    }

    #[test]
    fn a_stream_is_overtaken_when_all_that_was_counted_is_taken() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a listener");
        let stream = TcpStream::connect(listener.local_addr().expect("its address")).expect("a connection");
        let file = File::create().expect("memory");
        assert_eq!(file.identify(stream.as_raw_fd()), Kind::Tcp);
        assert_eq!(
            overtaken(file, LastCount::Count(Count::stream(10, 0, ESTABLISHED))),
            None,
            "the place is not known"
        );
        file.consume(3);
        let tcp = file.tcp().expect("it is one");
        tcp.set_position(8, 3);
        assert_eq!(overtaken(file, LastCount::Count(Count::stream(10, 0, ESTABLISHED))), None, "two bytes are left");
        file.consume(2);
        let all = Count::stream(10, 0, ESTABLISHED);
        assert_eq!(overtaken(file, LastCount::Count(all)), Some(all));
        file.consume(1);
        assert_eq!(
            overtaken(file, LastCount::Count(all)).map(|count| counts::change(all, count, &TAKEN_SIGNALS)),
            Some(counts::Change::Arrival)
        );
        assert_eq!(overtaken(file, LastCount::Count(Count::stream(1, 0, 8))), None, "the end counts, too");
        tcp.note_urgent();
        assert_eq!(overtaken(file, LastCount::Count(all)), None);
        file.retire();
    }
}
