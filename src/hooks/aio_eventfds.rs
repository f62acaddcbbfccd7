//! Hooks of the calls after which the kernel itself adds to an eventfd. The library sees only calls
//! made by `syscall()`. Those of libaio are inline, and show as an eventfd that rises without a
//! call (`Edge::rose_by_itself`). Kernel counterpart: `eventfd_signal`.

use libc::{c_int, c_uint};

use crate::edge::Facts;
use crate::graph::file::File;
use crate::graph::lookup;
use crate::sys;

/// The kernel's `struct iocb`, of 64 bytes.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Request {
    head: [u64; 7],
    flags: u32,
    eventfd: u32,
}

const _: () = assert!(size_of::<Request>() == 64);

/// io_submit(2). Each request may name an eventfd to which its completion adds.
///
/// # Safety
/// The array must be as io_submit demands. Only the requests that the call accepted are read, and
/// the kernel copies them: another thread may have freed one that is complete.
pub unsafe fn submitting(requests: *const *const Request, call: impl FnOnce() -> isize) -> isize {
    const HAS_EVENTFD: u32 = 1;
    let taken = call();
    let seen = if File::any_edges() { usize::try_from(taken).unwrap_or(0) } else { 0 };
    for index in 0..seen {
        // SAFETY: the kernel has read as many addresses.
        let address = unsafe { requests.add(index).read_unaligned() };
        if let Ok(request) = sys::copy_in(address)
            && request.flags & HAS_EVENTFD != 0
        {
            note(request.eventfd as c_int);
        }
    }
    taken
}

/// io_uring_register(2), which may name the eventfd of a ring.
///
/// # Safety
/// The argument must be as io_uring_register demands. It is read only if the call succeeded.
pub unsafe fn registering(what: c_uint, argument: *const c_int, call: impl FnOnce() -> isize) -> isize {
    const EVENTFDS: [c_uint; 2] = [4, 7];
    /// The ring is named by its index among the registered rings.
    const BY_PLACE: c_uint = 1 << 31;
    let answer = call();
    if answer == 0 && EVENTFDS.contains(&(what & !BY_PLACE)) {
        // SAFETY: the kernel has read the number.
        note(unsafe { argument.read_unaligned() });
    }
    answer
}

#[doc(alias = "eventfd_signal")]
fn note(eventfd: c_int) {
    if let Some(file) = lookup::known(eventfd)
        && let Some(eventfd) = file.eventfd()
    {
        eventfd.note_unseen_add();
        // A registration whose level was reported notes the count; a larger count is then an
        // arrival.
        file.tell(Facts::RECHECK, file.begin_call());
    }
}
