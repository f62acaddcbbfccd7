//! The log of the decisions: a mapped file that all processes of a run share. What was written
//! survives whatever ends the process. `crates/chaos` describes the file.

use std::ffi::CStr;
use std::sync::OnceLock;
use std::sync::atomic::Ordering::{Relaxed, Release};
use std::sync::atomic::{AtomicU8, AtomicU32, AtomicU64};

use epolyfill_chaos::Decision;
use epolyfill_chaos::log::{LINE, ROOM, line};
use nix::errno::Errno;

use crate::log::Line;
use crate::sys;

/// The mapped file.
#[repr(C)]
struct Log {
    lines: [AtomicU8; ROOM],
    /// The lines that are taken.
    taken: AtomicU64,
    /// The processes so far.
    processes: AtomicU64,
}

static LOG: OnceLock<&'static Log> = OnceLock::new();
/// The ordinal of this process.
static PROCESS: AtomicU32 = AtomicU32::new(0);

/// Makes or finds the log.
pub fn set_up(path: &[u8]) -> Result<(), Errno> {
    let mut name = Name::new();
    let fd = sys::open_own_file(c_path(path, &mut name)?)?;
    // Without the blocks a full disk would be SIGBUS in the program.
    let base = sys::allocate(fd, size_of::<Log>()).and_then(|()| sys::map_file(fd, size_of::<Log>()));
    let _ = sys::close(fd);
    // SAFETY: pages of a file that is large enough and is never unmapped; all fields are atomic.
    let _ = LOG.set(unsafe { &*base?.cast::<Log>() });
    enter();
    Ok(())
}

type Name = Line<{ libc::PATH_MAX as usize }>;

fn c_path<'a>(path: &[u8], name: &'a mut Name) -> Result<&'a CStr, Errno> {
    name.text(std::str::from_utf8(path).map_err(|_| Errno::EINVAL)?).text("\0");
    CStr::from_bytes_with_nul(name.as_bytes()).map_err(|_| Errno::ENAMETOOLONG)
}

/// Counts this process.
pub fn enter() {
    if let Some(log) = LOG.get() {
        PROCESS.store(log.processes.fetch_add(1, Relaxed) as u32, Relaxed);
    }
}

/// The ordinal of this process.
pub fn process() -> u32 {
    PROCESS.load(Relaxed)
}

/// Appends a decision; false if it has no room.
pub fn append(decision: &Decision) -> bool {
    let Some(log) = LOG.get() else { return false };
    let Some(line) = line(decision) else { return false };
    let at = log.taken.fetch_add(1, Relaxed).saturating_mul(LINE as u64);
    let Some(room) = usize::try_from(at).ok().and_then(|at| log.lines.get(at..at + LINE)) else { return false };
    // A line without its first byte is not there.
    for (to, from) in room.iter().zip(line).skip(1) {
        to.store(from, Relaxed);
    }
    room[0].store(line[0], Release);
    true
}

/// A whole file.
pub fn read(path: &[u8]) -> Result<Vec<u8>, Errno> {
    sys::read_whole_file(c_path(path, &mut Name::new())?)
}
