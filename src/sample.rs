//! Reading the counters behind `edge.rs`: how much ever arrived on a description, and how much waits to leave it.

use std::sync::atomic::Ordering::SeqCst;
use std::sync::atomic::{AtomicU8, AtomicU32};

use libc::c_int;
use nix::errno::Errno;

use crate::diagnosis;
use crate::events::{Bits, ERR, HUP, IN, PRI, RDHUP, READABLE, WRITABLE};
use crate::file::{File, Memory};
use crate::kind::{Arrivals, Kind};
use crate::options;
use crate::process;
use crate::sys;

/// The head of the kernel's `struct tcp_info`, as far as two counters are needed.
#[repr(C)]
#[derive(Clone, Copy)]
struct TcpInfo {
    state: TcpState,
    options: [u8; 7],
    timers: [u32; 4],
    /// `tcpi_unacked`: on a listening socket, the connections that wait to be accepted.
    unacked: u32,
    more: [u32; 19],
    rates: [u64; 2],
    bytes_acked: u64,
    /// `tcpi_bytes_received` (Linux 4.1).
    bytes_received: u64,
    segments: [u32; 2],
    /// `tcpi_notsent_bytes` (Linux 4.6).
    not_sent: u32,
    counts: [u32; 21],
    /// `tcpi_rcv_wnd`: how much the receiver has said that it has room for (Linux 6.2).
    receive_window: u32,
}

const _: () = {
    assert!(std::mem::offset_of!(TcpInfo, unacked) == 24 && std::mem::offset_of!(TcpInfo, bytes_received) == 128);
    assert!(std::mem::offset_of!(TcpInfo, not_sent) == 144 && std::mem::offset_of!(TcpInfo, receive_window) == 232);
};

impl TcpInfo {
    /// Nothing is known. Of what the kernel does not tell, nothing follows.
    const BLANK: TcpInfo = TcpInfo {
        state: 0,
        options: [0; 7],
        timers: [0; 4],
        unacked: 0,
        more: [0; 19],
        rates: [0; 2],
        bytes_acked: 0,
        bytes_received: 0,
        segments: [0; 2],
        not_sent: 0,
        counts: [0; 21],
        receive_window: u32::MAX,
    };
}

/// `SO_MEMINFO`: its first number is the memory of unread datagrams.
const SO_MEMINFO: c_int = 55;

/// A number that changes with every arrival and with nothing else, where the kind has one; `watched` are the levels that somebody
/// waits for.
#[inline]
pub fn arrivals(file: &'static File, fd: c_int, watched: Bits) -> Option<u64> {
    match file.kind().arrivals() {
        Arrivals::Received | Arrivals::Unknown => count(file, fd, watched),
        _ => {
            let (count, blurred) = file.while_others_take(|| count(file, fd, watched));
            count.map(|count| count | if blurred { BLURRED } else { 0 })
        }
    }
}

/// The same, for what comes later to be compared with, as at a report. What a call takes at that moment came before it, and were it missing
/// here it would be news after it: so the call is waited for.
pub fn settled_arrivals(file: &'static File, fd: c_int, watched: Bits) -> Option<u64> {
    let count = arrivals(file, fd, watched);
    if count.is_some_and(|count| count & BLURRED != 0) {
        file.await_takers();
        return arrivals(file, fd, watched);
    }
    count
}

fn count(file: &'static File, fd: c_int, watched: Bits) -> Option<u64> {
    match file.kind().arrivals() {
        // The state is part of it, for a change of state wakes everybody, and bytes those who wait for them.
        Arrivals::Received => tcp_info(fd).map(|info| {
            let room = watched & WRITABLE != 0 && awaits_ack(info.state) && has_stream_room(fd);
            let room = u64::from(room) << 4;
            note_errors(file, fd, &info);
            // That a connection begins wakes nobody until it is made, or fails.
            let state = if info.state == SYN_SENT { CLOSE } else { info.state };
            if watched & IN == 0 {
                return stream_count(0, (0, file.errors_found()), state) | room;
            }
            note_window(file, fd, &info);
            stream_count(info.bytes_received, findings(file), state) | room
        }),
        Arrivals::Backlog => tcp_info(fd).map(|info| file.consumed() + u64::from(info.unacked)),
        Arrivals::Queued => {
            let taken = file.consumed();
            match sys::ioctl_int(fd, libc::FIONREAD) {
                Ok(queued) => Some(taken + u64::from(queued.max(0).unsigned_abs())),
                // A terminal that was hung up does not even answer this; nothing comes from it any more.
                Err(Errno::EIO) => Some(taken),
                Err(_) => None,
            }
        }
        // Nothing comes to a unix socket that was shut, and what is there goes with the peer.
        Arrivals::Datagrams if file.kind() == Kind::UnixDgram && file.is_shut(libc::SHUT_RD) => Some(0),
        Arrivals::Datagrams => {
            let taken = file.consumed();
            let queued = file.while_nobody_peeks(|| datagrams(file, fd)).flatten();
            settle_peeks(file, fd);
            if file.kind() != Kind::Udp {
                return queued.map(|queued| taken + queued);
            }
            let queued = queued.unwrap_or(UNCOUNTED).min(UNCOUNTED);
            // With what errors have given back, so that an error that comes counts, and one that is
            // taken does not.
            let memory = receive_memory(fd)? + u64::from(file.errors_taken());
            Some(UDP | ((taken & 0x3_ffff) << 42) | (queued << 32) | (memory & 0xffff_ffff))
        }
        Arrivals::Memory => {
            let taken = file.consumed();
            let memory = receive_memory(fd)?;
            if memory == 0 && (taken == 0 || sys::level(fd, READABLE) & READABLE != 0) {
                // What comes has another place than the socket's queue: a ring in shared memory,
                // for instance.
                return None;
            }
            let queued = if memory == 0 { 0 } else { UNCOUNTED };
            let memory = memory + u64::from(file.errors_taken());
            Some(UDP | ((taken & 0x3_ffff) << 42) | (queued << 32) | (memory & 0xffff_ffff))
        }
        Arrivals::Listed => listed(file, fd),
        Arrivals::Diagnosed => {
            let taken = file.consumed();
            diagnosis::waiting_connections(fd).map(|waiting| taken + u64::from(waiting))
        }
        Arrivals::Signals => pending_signals(fd),
        Arrivals::Expirations => {
            let taken = file.consumed();
            Some(taken + u64::from(sys::level(fd, IN) & IN != 0))
        }
        Arrivals::Witnessed if is_shared_eventfd(file) => {
            let taken = file.consumed();
            eventfd_count(fd).map(|count| taken.wrapping_add(count) & !(SIGNALS | UDP | BLURRED))
        }
        Arrivals::Witnessed | Arrivals::Unknown => None,
    }
}

/// Marks the bytes and the state of a TCP connection, and how often there was no memory for more
/// bytes, and other numbers of which every change is an arrival.
const TCP: u64 = 1 << 60;

/// `found` is how often memory was found to be missing, and something to have come to the queue of
/// errors.
const fn stream_count(bytes: u64, found: (u8, u8), state: TcpState) -> u64 {
    const SHORTAGES: u32 = u64::BITS - 12;
    let (shortages, errors) = (found.0 as u64, found.1 as u64 & 7);
    TCP | shortages << SHORTAGES | (bytes << 8) & ((1 << SHORTAGES) - 1) | errors << 5 | state as u64
}

fn findings(file: &File) -> (u8, u8) {
    (file.shortages(), file.errors_found())
}

/// Looks whether something came to the queue of errors of a TCP connection, if something is in it.
fn note_errors(file: &File, fd: c_int, info: &TcpInfo) {
    if file.follows_errors()
        && let Some(memory) = error_memory(fd)
    {
        file.note_error_memory(memory.received, info.bytes_received.wrapping_add(file.consumed()));
    }
}

/// Looks whether a segment was dropped for want of memory.
fn note_window(file: &File, fd: c_int, info: &TcpInfo) {
    file.note_window((info.receive_window == 0).then_some(info.bytes_received), || stream_memory(fd));
}

/// The same at a report, of a window that need not be shut yet: what was dropped before is no news after it. Asked for only where much is queued.
fn note_drops(file: &File, fd: c_int, queued: u64) {
    const MUCH: u64 = 2048;
    if queued >= MUCH && !file.has_shut_window() {
        file.note_memory(stream_memory(fd));
    }
}

fn stream_memory(fd: c_int) -> Memory {
    let [used, limit, .., drops] = socket_memory(fd).unwrap_or_default();
    Memory { drops, is_short: used > limit }
}

/// The count at a report of `level`, for which of an established TCP connection less has to be asked: bytes queued, and the place that its readers
/// have come to. Somebody whom we do not see may have taken some, so it can be too low and then shows an arrival where there is
/// none; where it would show nothing, since `seen`, the kernel's own count is taken.
pub fn reported(file: &'static File, fd: c_int, watched: Bits, level: Bits, seen: u64) -> Option<u64> {
    if level & PRI != 0 {
        file.note_urgent();
    }
    file.follow_errors(level & ERR != 0);
    let is_open = level & (RDHUP | HUP | ERR | PRI) == 0 && !file.is_closing() && !file.has_shut_window();
    if !options::INTERPOSES || file.kind() != Kind::Tcp || watched & IN == 0 || !is_open {
        return settled_arrivals(file, fd, watched);
    }
    let (sum, blurred) = file.while_others_take(|| {
        let place = file.place()?;
        let queued = queued_bytes(fd)?;
        note_drops(file, fd, queued);
        Some(place + queued)
    });
    match sum.filter(|_| !blurred).map(|bytes| stream_count(bytes, findings(file), ESTABLISHED)) {
        Some(count) if count != seen => Some(count),
        _ => find_place(file, fd, watched),
    }
}

/// The kernel's count of a TCP connection, and from it the place that its readers have come to, if nothing came while it was asked for: with what
/// came the place would be too low, even lower than the beginning.
fn find_place(file: &'static File, fd: c_int, watched: Bits) -> Option<u64> {
    file.lose_place();
    let (found, blurred) =
        file.while_others_take(|| (file.consumed(), queued_bytes(fd), tcp_info(fd), queued_bytes(fd)));
    let (consumed, before, info, queued) = found;
    let info = info?;
    if info.state != ESTABLISHED {
        // Somebody whom we do not see has shut it, or its level did not tell.
        return count(file, fd, watched);
    }
    if let Some(queued) = queued.filter(|&queued| before == Some(queued) && queued > 0 && !blurred)
        && let Some(place) = info.bytes_received.checked_sub(queued)
    {
        file.set_place(place, consumed);
    }
    note_window(file, fd, &info);
    note_drops(file, fd, queued.unwrap_or(0));
    Some(stream_count(info.bytes_received, findings(file), info.state))
}

/// The count of an established TCP connection, all of whose bytes up to that count were taken, if these include all that there were at the
/// count `seen`; so this one shows whether what was taken since came since. No system call.
pub fn overtaken(file: &File, seen: u64) -> Option<u64> {
    const NO_BYTES: u64 = !(stream_count(u64::MAX, (0, 0), 0) ^ TCP);
    let none = stream_count(0, findings(file), ESTABLISHED);
    if file.kind() != Kind::Tcp || seen & NO_BYTES != none {
        return None;
    }
    let count = stream_count(file.place()?, findings(file), ESTABLISHED);
    (count >= seen).then_some(count)
}

fn queued_bytes(fd: c_int) -> Option<u64> {
    sys::ioctl_int(fd, libc::FIONREAD).ok().map(|queued| queued.max(0).unsigned_abs().into())
}
/// Marks a count of UDP datagrams: behind it stand how many were taken, how many are queued, and the memory in use.
const UDP: u64 = 1 << 61;
/// Marks the set of pending signals, with the number of those taken so far.
const SIGNALS: u64 = 1 << 62;
/// Marks a count that a call of this process ran into: what that took may be missing.
const BLURRED: u64 = 1 << 63;
/// Too many datagrams are queued, or they cannot be peeked at.
const UNCOUNTED: u64 = 0x3ff;

/// No datagram takes less memory.
const LEAST_DATAGRAM: i32 = 512;

/// What two counts show.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// Nothing came.
    Nothing,
    /// Something came.
    Arrival,
    /// Something was taken by somebody whom we do not see.
    Loss,
}

/// A count, whether a call ran into it or not.
pub const fn plain(count: u64) -> u64 {
    count & !BLURRED
}

/// Whether a count is changed by what others do, so that an arrival need not show.
pub fn is_loose(kind: Kind, count: u64) -> bool {
    kind == Kind::Signalfd && count & SIGNALS == 0
}

/// What happened between two counts of one description. Nobody need have taken what a call that ran into the second is about to
/// account for.
pub fn change(before: u64, now: u64) -> Change {
    match exact_change(before, plain(now)) {
        Change::Loss if now & BLURRED != 0 => Change::Nothing,
        change => change,
    }
}

/// The later of two counts between which nothing came, for what comes next: of datagrams that could not be counted before it may know how many
/// there were. One that a call ran into is less exact.
pub fn refined(before: u64, now: u64) -> u64 {
    let exact = now & BLURRED == 0 && before & now & UDP != 0 && before >> 42 == now >> 42;
    if exact && before & 0xffff_ffff == now & 0xffff_ffff { now } else { before }
}

fn exact_change(before: u64, now: u64) -> Change {
    let arrived = if before & now & SIGNALS != 0 {
        signal_arrived(before, now)
    } else if before & now & UDP != 0 {
        let split = |count: u64| ((count >> 42) & 0x3_ffff, (count >> 32) & 0x3ff, count & 0xffff_ffff);
        let ((taken, queued, memory), (taken_now, queued_now, memory_now)) = (split(before), split(now));
        let taken_since = taken_now.wrapping_sub(taken) & 0x3_ffff;
        let more_memory = (memory_now as u32).wrapping_sub(memory as u32).cast_signed();
        if taken_since == 0 {
            more_memory > 0
        } else if queued != UNCOUNTED && queued_now != UNCOUNTED {
            if taken_since + queued_now < queued {
                return Change::Loss;
            }
            taken_since + queued_now > queued
        } else {
            // Of an unknown number one was taken, and nothing is left: nothing need have come, but
            // an error that takes up what that gave back.
            queued != UNCOUNTED || queued_now > 0 || taken_since > 1 || more_memory > -LEAST_DATAGRAM
        }
    } else if before & now & TCP != 0 {
        now != before
    } else if now < before {
        return Change::Loss;
    } else {
        now > before
    };
    if arrived { Change::Arrival } else { Change::Nothing }
}

/// The memory in use by what a UDP socket received.
pub fn receive_memory(fd: c_int) -> Option<u64> {
    socket_memory(fd).map(|[received, ..]| u64::from(received))
}

/// The memory that a socket's queue of errors can take.
#[derive(Clone, Copy, Debug)]
pub struct ErrorMemory {
    /// That in use by what was received, which errors count among.
    pub received: u32,
    /// That of options, which notices about zero-copy writes take.
    pub optional: u32,
}

/// The memory in use, of what the queue of errors may have a part in.
pub fn error_memory(fd: c_int) -> Option<ErrorMemory> {
    socket_memory(fd).map(|[received, _, _, _, _, _, optional, ..]| ErrorMemory { received, optional })
}

/// Whether something can be in the socket's queue of errors: it was asked for.
pub fn queues_errors(fd: c_int) -> bool {
    const SO_ZEROCOPY: c_int = 60;
    let options = [
        (libc::IPPROTO_IP, libc::IP_RECVERR),
        (libc::IPPROTO_IPV6, libc::IPV6_RECVERR),
        (libc::SOL_SOCKET, libc::SO_TIMESTAMPING),
        (libc::SOL_SOCKET, SO_ZEROCOPY),
    ];
    options.into_iter().any(|(level, name)| {
        let mut value: c_int = 0;
        sys::getsockopt(fd, level, name, &mut value).is_ok() && value != 0
    })
}

/// What SO_MEMINFO tells of a socket.
fn socket_memory(fd: c_int) -> Option<[u32; 9]> {
    let mut memory = [0; 9];
    sys::getsockopt(fd, libc::SOL_SOCKET, SO_MEMINFO, &mut memory).ok().map(|_| memory)
}

/// The state of a TCP connection, as in the kernel's `tcp_states.h`.
pub type TcpState = u8;

/// The state of one that is open both ways.
pub const ESTABLISHED: TcpState = 1;
/// The state of one that was begun and not answered yet.
pub const SYN_SENT: TcpState = 2;
/// The state of one that is not there, or not any more.
pub const CLOSE: TcpState = 7;
/// The state of a socket that listens.
pub const LISTEN: TcpState = 10;
/// FIN_WAIT1, LAST_ACK and CLOSING: what was written, and the end behind it, is not acknowledged yet.
const AWAITS_ACK: [TcpState; 3] = [4, 9, 11];

/// The memory of what waits to leave a TCP socket.
#[derive(Clone, Copy, Debug)]
pub struct SendBuffer {
    /// How much there may be, but for the last segment.
    pub limit: u32,
    /// How much there is.
    pub queued: u32,
}

/// The send buffer of a TCP socket.
pub fn send_buffer(fd: c_int) -> Option<SendBuffer> {
    socket_memory(fd).map(|[_, _, _, limit, _, queued, ..]| SendBuffer { limit, queued })
}

/// Whether something that was sent to a UDP socket waits there for more to come.
pub fn is_held_back(file: &File, fd: c_int) -> bool {
    file.kind() == Kind::Udp && sys::ioctl_int(fd, libc::TIOCOUTQ).is_ok_and(|waiting| waiting > 0)
}

/// Whether a TCP connection that is readable has bytes, or the end that the peer sent, and is not
/// only shut.
pub fn has_stream_data(fd: c_int) -> bool {
    // Of one that is closed altogether nothing tells whether its end came, or it was reset.
    const PEER_CLOSED: [TcpState; 4] = [CLOSE, 8, 9, 11];
    queued_bytes(fd).is_some_and(|queued| queued > 0) || tcp_state(fd).is_some_and(|state| PEER_CLOSED.contains(&state))
}

/// Whether a TCP connection has room for more: what EPOLLOUT says, unless the program shut this side.
fn has_stream_room(fd: c_int) -> bool {
    send_buffer(fd).is_some_and(|buffer| buffer.limit.saturating_sub(buffer.queued) >= buffer.queued / 2)
}

/// The same, and whether little enough of it is unsent (TCP_NOTSENT_LOWAT).
pub fn has_unsent_room(fd: c_int) -> bool {
    let mut mark: c_int = 0;
    let marked = sys::getsockopt(fd, libc::IPPROTO_TCP, libc::TCP_NOTSENT_LOWAT, &mut mark).is_ok() && mark != 0;
    let unsent = tcp_info(fd).map_or(0, |info| u64::from(info.not_sent));
    has_stream_room(fd) && (!marked || unsent * 2 < u64::from(mark.cast_unsigned()))
}

/// Whether a TCP connection in this state was shut on this side, and the peer has not acknowledged it.
pub fn awaits_ack(state: TcpState) -> bool {
    AWAITS_ACK.contains(&state)
}

/// Whether states that a TCP connection can still go through wake somebody without a new level.
pub fn closes_still(fd: c_int) -> bool {
    const CLOSE_WAIT: TcpState = 8;
    match tcp_state(fd) {
        None | Some(CLOSE | CLOSE_WAIT) => false,
        Some(state) if awaits_ack(state) => true,
        // The peer has not closed its side, but the level that would tell is that of our own shutdown.
        Some(_) => sys::level(fd, RDHUP) & (RDHUP | HUP) != 0,
    }
}

/// Where a peek begins unless the program says otherwise.
const NO_OFFSET: c_int = -1;

fn put_back_peeks(fd: c_int) {
    let _ = sys::setsockopt(fd, libc::SOL_SOCKET, libc::SO_PEEK_OFF, NO_OFFSET);
}

/// To be called after a call that took datagrams while they may have been counted: the kernel's step that moves the place where a peek begins
/// by what was taken can undo what put it back.
#[inline]
pub fn settle_peeks(file: &'static File, fd: c_int) {
    file.settle_peeks(|| put_back_peeks(fd));
}

/// How many datagrams wait, by peeking at one after the other. Only if the program has no peek offset of its own and no error is
/// pending, which a peek would take; and not for long queues. The kernel steps over an empty datagram once it was peeked at, so
/// the description remembers those.
fn datagrams(file: &'static File, fd: c_int) -> Option<u64> {
    const MOST: u64 = 512;
    let level = sys::level(fd, READABLE | RDHUP);
    if level & READABLE == 0 {
        return Some(0);
    } else if level & ERR != 0 {
        return None;
    }
    let mut before: c_int = 0;
    sys::getsockopt(fd, libc::SOL_SOCKET, libc::SO_PEEK_OFF, &mut before).ok()?;
    if before != NO_OFFSET && !file.has_moved_peeks() {
        return None;
    }
    file.move_peeks();
    file.put_back_peeks(|| {
        let counted = peek_through(file, fd, level & RDHUP != 0, MOST);
        put_back_peeks(fd);
        counted
    })
}

/// Counts the datagrams, at most so many, of a socket that was shut or not, and leaves the place where a peek begins anywhere.
fn peek_through(file: &'static File, fd: c_int, is_shut: bool, most: u64) -> Option<u64> {
    // What memory a UDP queue that seems empty uses is that of real ones.
    let is_seen = |count: u64| count > 0 || file.kind() != Kind::Udp || receive_memory(fd) == Some(0);
    let mut offset = 0;
    let mut count = u64::from(file.empties());
    loop {
        if count >= most || sys::setsockopt(fd, libc::SOL_SOCKET, libc::SO_PEEK_OFF, offset).is_err() {
            break None;
        }
        match sys::peek_length(fd) {
            // At the end of a socket that was shut a peek finds nothing for ever, which looks like an empty datagram.
            Ok(0) if is_shut => break is_seen(count).then_some(count),
            Ok(0) => file.saw_empty(),
            Ok(length) => offset += length as c_int,
            // An empty one that the program peeked at is not shown again.
            Err(Errno::EAGAIN) => break is_seen(count).then_some(count),
            Err(_) => break None,
        }
        count += 1;
    }
}

/// An eventfd that others may write to where no witness is: another process, or the kernel itself.
pub fn is_shared_eventfd(file: &File) -> bool {
    file.kind().is_eventfd() && (process::has_forked() || !options::INTERPOSES || file.is_added_to_unseen())
}

/// How many calls were seen that can make an eventfd readable: what is left in a semaphore after a
/// read counts as added.
pub fn calls_that_add(file: &File) -> u32 {
    let reads = if file.kind() == Kind::EventfdSemaphore { file.consumed() as u32 } else { 0 };
    file.adds().wrapping_add(reads)
}

/// A count that the description itself gives: the completions of a ring, which only grow; the
/// messages in a queue, where every change wakes; the faults that wait, plus those read.
fn listed(file: &File, fd: c_int) -> Option<u64> {
    const BYTES_OF_FAULT: u64 = 32;
    match file.kind() {
        Kind::IoUring => descriptor_number(fd, b"CqTail:").map(|completions| TCP | completions),
        Kind::MessageQueue => sys::queued_messages(fd).map(|messages| TCP | messages),
        _ => descriptor_number(fd, b"pending:").map(|faults| file.consumed() + BYTES_OF_FAULT * faults),
    }
}

/// A decimal number of `/proc/self/fdinfo`.
fn descriptor_number(fd: c_int, name: &[u8]) -> Option<u64> {
    let mut buffer = [0; 512];
    std::str::from_utf8(sys::descriptor_info(fd, name, &mut buffer)?).ok()?.parse().ok()
}

fn eventfd_count(fd: c_int) -> Option<u64> {
    let mut buffer = [0; 256];
    let count = sys::descriptor_info(fd, b"eventfd-count:", &mut buffer)?;
    u64::from_str_radix(std::str::from_utf8(count).ok()?, 16).ok()
}

/// Real-time signals, of which several of one number can be pending.
const REAL_TIME: u64 = !0 << 31;

/// The signals that were last read from signalfds, and how many there were in all. Kept for the process, because all its
/// signalfds take from the same signals.
static TAKEN: [AtomicU8; 64] = [const { AtomicU8::new(0) }; 64];
static NUMBER_TAKEN: AtomicU32 = AtomicU32::new(0);

/// A signal was read from a signalfd.
pub fn note_taken_signal(number: u32) {
    let at = NUMBER_TAKEN.fetch_add(1, SeqCst) as usize % TAKEN.len();
    TAKEN[at].store(u8::try_from(number).unwrap_or(0), SeqCst);
}

/// Whether a signal came between two counts: one is pending, or was taken, that was not pending before or taken since.
fn signal_arrived(before: u64, now: u64) -> bool {
    const NUMBERS: u64 = (1 << 31) - 1;
    let split = |count: u64| ((count >> 31) & NUMBERS, count & NUMBERS);
    let ((mut pending, taken), (pending_now, taken_now)) = (split(before), split(now));
    let taken_since = taken_now.wrapping_sub(taken) & NUMBERS;
    if taken_since > TAKEN.len() as u64 {
        return true;
    }
    for at in 0..taken_since {
        let number = TAKEN[(taken + at) as usize % TAKEN.len()].load(SeqCst);
        let bit = 1_u64.checked_shl(u32::from(number).wrapping_sub(1)).unwrap_or(0);
        if bit & NUMBERS != 0 && pending & bit == 0 {
            return true;
        }
        pending &= !bit;
    }
    pending_now & !pending != 0
}

/// The signals that are pending for this thread or for the process, with the number of those taken: every signal that comes wakes
/// every signalfd, whatever its mask. Where the descriptor takes real-time signals the number of queued ones and of those taken
/// is all that counts; it is kept for all processes of the user and so may change for nothing.
fn pending_signals(fd: c_int) -> Option<u64> {
    let mut buffer = [0; 4096];
    let hexadecimal = |text: &[u8]| u64::from_str_radix(std::str::from_utf8(text).ok()?, 16).ok();
    let taken = u64::from(NUMBER_TAKEN.load(SeqCst) & 0x7fff_ffff);
    let mask = hexadecimal(sys::descriptor_info(fd, b"sigmask:", &mut buffer)?)?;
    let status = sys::read_file(b"/proc/thread-self/status\0", &mut buffer).ok()?;
    let field = |name: &[u8]| {
        status.split(|&byte| byte == b'\n').find_map(|line| line.strip_prefix(name)).map(<[u8]>::trim_ascii)
    };
    if mask & REAL_TIME == 0 {
        let pending = hexadecimal(field(b"SigPnd:")?)? | hexadecimal(field(b"ShdPnd:")?)?;
        return Some(SIGNALS | (pending & !REAL_TIME) << 31 | taken);
    }
    let text = std::str::from_utf8(field(b"SigQ:")?).ok()?;
    let queued = text.split('/').next()?.parse::<u64>().ok()?;
    Some(queued + taken)
}

/// The memory of what a unix socket sent and its peer has not read; it falls when the peer reads (E4). None for what is no unix socket, or if
/// nobody asked for room, which is all that a read of the peer's wakes for.
pub fn outgoing(file: &File, fd: c_int) -> Option<u32> {
    if !file.kind().is_unix_data() || !file.is_room_wanted() {
        return None;
    }
    sys::ioctl_int(fd, libc::TIOCOUTQ).ok().map(|bytes| bytes.max(0).unsigned_abs())
}

/// Whether a unix socket's outgoing queue holds less than at the last look: the peer read. What it holds now is noted.
pub fn has_departures(file: &'static File, fd: c_int) -> bool {
    file.awaits_departures() && outgoing(file, fd).is_some_and(|outgoing| outgoing < file.note_outgoing(outgoing))
}

/// The state of a TCP connection; none for other descriptors.
pub fn tcp_state(fd: c_int) -> Option<TcpState> {
    tcp_info(fd).map(|info| info.state)
}

/// Whether a unix datagram socket that was refused a write had memory for it, and so was refused by the one that it is connected to.
pub fn is_refused_by_peer(file: &File, fd: c_int) -> bool {
    let mut room: c_int = 0;
    file.kind() == Kind::UnixDgram
        && sys::getsockopt(fd, libc::SOL_SOCKET, libc::SO_SNDBUF, &mut room).is_ok()
        && sys::ioctl_int(fd, libc::TIOCOUTQ).is_ok_and(|used| used < room)
        && diagnosis::peer(fd).is_some_and(|inode| inode != 0)
}

/// Whether a unix socket has room for more of its own, whatever its peer has, when a buffer is freed. What it uses counts as one more
/// than is told, and as two more while a buffer is being freed.
pub fn has_room(fd: c_int) -> bool {
    let mut room: c_int = 0;
    let used = sys::ioctl_int(fd, libc::TIOCOUTQ).map_or(0, i64::from);
    sys::getsockopt(fd, libc::SOL_SOCKET, libc::SO_SNDBUF, &mut room).is_ok() && (used + 2) * 4 <= i64::from(room)
}

fn tcp_info(fd: c_int) -> Option<TcpInfo> {
    let mut info = TcpInfo::BLANK;
    let length = sys::getsockopt(fd, libc::IPPROTO_TCP, libc::TCP_INFO, &mut info).ok()?;
    (length >= std::mem::offset_of!(TcpInfo, segments)).then_some(info)
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};
    use std::os::fd::AsRawFd;

    use super::*;

    #[test]
    fn a_count_that_a_call_ran_into_shows_arrivals_only() {
        assert_eq!(change(5, 4), Change::Loss);
        assert_eq!(change(5, 4 | BLURRED), Change::Nothing);
        assert_eq!(change(5, 5 | BLURRED), Change::Nothing);
        assert_eq!(change(5, 6 | BLURRED), Change::Arrival);
    }

    #[test]
    fn a_count_that_a_call_ran_into_does_not_leave_the_socket_uncounted() {
        let (one, other) = std::os::unix::net::UnixDatagram::pair().expect("a pair");
        let fd = other.as_raw_fd();
        let file = File::create().expect("memory");
        assert_eq!(file.identify(fd), Kind::UnixDgram);
        assert_eq!(one.send(b"some").ok(), Some(4));
        // What the kernel leaves behind where a call takes while the place is put back.
        let leave_behind = || sys::setsockopt(fd, libc::SOL_SOCKET, libc::SO_PEEK_OFF, 0).expect("a place");
        let place = || {
            let mut place: c_int = 0;
            sys::getsockopt(fd, libc::SOL_SOCKET, libc::SO_PEEK_OFF, &mut place).map(|_| place)
        };
        leave_behind();
        assert_eq!(count(file, fd, IN), None, "the program has put it there");
        assert_eq!(place(), Ok(0));
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
            assert_eq!(count(file, fd, IN), Some(1));
            leave_behind();
            assert_eq!(count(file, fd, IN), Some(1), "it is not the program that has put it there");
            done.wait();
        });
        assert_eq!(place(), Ok(NO_OFFSET));
        assert!(!file.has_moved_peeks());
        file.retire();
    }

    #[test]
    fn a_stream_is_overtaken_when_all_that_was_counted_is_taken() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a listener");
        let stream = TcpStream::connect(listener.local_addr().expect("its address")).expect("a connection");
        let file = File::create().expect("memory");
        assert_eq!(file.identify(stream.as_raw_fd()), Kind::Tcp);
        assert_eq!(overtaken(file, stream_count(10, (0, 0), ESTABLISHED)), None, "the place is not known");
        file.consume(3);
        file.set_place(8, 3);
        assert_eq!(overtaken(file, stream_count(10, (0, 0), ESTABLISHED)), None, "two bytes are left");
        file.consume(2);
        let all = stream_count(10, (0, 0), ESTABLISHED);
        assert_eq!(overtaken(file, all), Some(all));
        file.consume(1);
        assert_eq!(overtaken(file, all).map(|count| change(all, count)), Some(Change::Arrival));
        assert_eq!(overtaken(file, stream_count(1, (0, 0), 8)), None, "the end counts, too");
        file.note_urgent();
        assert_eq!(overtaken(file, all), None);
        file.retire();
    }

    #[test]
    fn fewer_datagrams_than_there_were_are_a_loss() {
        let count = |taken: u64, queued: u64| UDP | taken << 42 | queued << 32 | queued;
        assert_eq!(change(count(0, 3), count(1, 2)), Change::Nothing);
        assert_eq!(change(count(0, 3), count(1, 3)), Change::Arrival);
        assert_eq!(change(count(0, 3), count(1, 1)), Change::Loss);
        assert_eq!(change(count(0, 3), count(1, 1) | BLURRED), Change::Nothing);
    }
}
