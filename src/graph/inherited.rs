//! The descriptors that were open when the process started. Two of them may name one description
//! without a `dup` that the library saw: standard input and output are often one terminal.

use libc::{c_int, pollfd};

use crate::events::NVAL;
use crate::sync::atomic::AtomicBool;
use crate::sync::atomic::Ordering::Relaxed;
use crate::sys;

/// The number of descriptors that are looked at when the process starts.
const INHERITED: usize = 256;
/// Whether each of them was open then. Only such a number can name the same description as another
/// one without the library's knowledge.
static WAS_OPEN: [AtomicBool; INHERITED] = [const { AtomicBool::new(false) }; INHERITED];

/// Asks the kernel, in one call, which of the first descriptors are open.
pub fn note() {
    let mut set: [pollfd; INHERITED] = std::array::from_fn(|fd| pollfd { fd: fd as c_int, events: 0, revents: 0 });
    sys::look(&mut set);
    for (open, entry) in WAS_OPEN.iter().zip(&set) {
        open.store(entry.revents.cast_unsigned() & NVAL == 0, Relaxed);
    }
}

/// Other numbers that named the same description as `fd` when the process started, and still do.
pub fn other_numbers(fd: c_int) -> impl Iterator<Item = c_int> {
    let inherited = WAS_OPEN.get(fd as usize).is_some_and(|open| open.load(Relaxed));
    let candidates = if inherited { INHERITED as c_int } else { 0 };
    (0..candidates).filter(move |&other| other != fd && WAS_OPEN[other as usize].load(Relaxed) && is_twin(fd, other))
}

fn is_twin(fd: c_int, other: c_int) -> bool {
    sys::same_description(fd, other).unwrap_or_else(|| match (sys::fstat(fd), sys::fstat(other)) {
        // The kernel does not tell: two numbers of one file, inherited together, are taken for the
        // same description.
        (Ok(a), Ok(b)) => {
            (a.st_dev, a.st_ino) == (b.st_dev, b.st_ino) && !matches!(a.st_mode & libc::S_IFMT, 0 | libc::S_IFIFO)
        }
        _ => false,
    })
}
