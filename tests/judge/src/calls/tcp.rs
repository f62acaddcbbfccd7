//! The state of a TCP connection: its room and its progress.

use libc::c_int;

const SEND_BUFFER: usize = 3;
const QUEUED: usize = 5;

/// Whether a TCP socket has no room, without a look at its level, which would set SOCK_NOSPACE.
pub fn is_brimful(fd: c_int) -> bool {
    memory_of(fd).is_some_and(|memory| is_full(memory[SEND_BUFFER], memory[QUEUED]))
}

/// Whether a TCP socket may have no room for a moment during a write of `n` bytes.
pub fn may_fill(fd: c_int, n: usize) -> bool {
    // The overhead of each piece of a page.
    const HEAD: usize = 1024;
    let taken = n + (n / 4096 + 1) * HEAD;
    memory_of(fd).is_some_and(|memory| is_full(memory[SEND_BUFFER], memory[QUEUED].saturating_add(taken as u32)))
}

fn is_full(limit: u32, queued: u32) -> bool {
    limit.saturating_sub(queued) < queued >> 1
}

/// The values of SO_MEMINFO.
fn memory_of(fd: c_int) -> Option<[u32; 9]> {
    const SO_MEMINFO: c_int = 55;
    let mut memory = [0u32; 9];
    let mut length = size_of_val(&memory) as libc::socklen_t;
    // SAFETY: room for nine numbers.
    let asked =
        unsafe { libc::getsockopt(fd, libc::SOL_SOCKET, SO_MEMINFO, memory.as_mut_ptr().cast(), &raw mut length) };
    (asked == 0).then_some(memory)
}

/// The progress of a TCP connection: its state, the bytes that it sent and that were acknowledged,
/// and the bytes that it received.
pub type Progress = (u8, u64, u64);

pub fn progress(fd: c_int) -> Option<Progress> {
    const ACKNOWLEDGED: usize = 120;
    const RECEIVED: usize = 128;
    let mut info = [0u8; 136];
    let mut length = info.len() as libc::socklen_t;
    // SAFETY: room for as many bytes.
    let asked =
        unsafe { libc::getsockopt(fd, libc::IPPROTO_TCP, libc::TCP_INFO, info.as_mut_ptr().cast(), &raw mut length) };
    let number = |at: usize| info[at..at + 8].try_into().map(u64::from_ne_bytes).ok();
    (asked == 0).then_some((info[0], number(ACKNOWLEDGED)?, number(RECEIVED)?))
}
