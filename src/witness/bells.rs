//! Calls after which the kernel itself adds to an eventfd. Only those made through `syscall()` are
//! seen; those of libaio, which are inline, show in an eventfd that rises by itself
//! (`Edge::rose_by_itself`). Kernel counterpart: `eventfd_signal`.

use libc::{c_int, c_uint};

use crate::descriptors;
use crate::edge::UNSETTLED;

/// The head of the kernel's `struct iocb`, all of which is 64 bytes long.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Request {
    head: [u64; 7],
    flags: u32,
    bell: u32,
}

const _: () = assert!(size_of::<Request>() == 64);

/// io_submit(2) of requests, of which each may name an eventfd to be added to when it is done.
///
/// # Safety
/// The array must be as the call demands. It is looked at as far as the call has taken it.
pub unsafe fn submitting(requests: *const *const Request, call: impl FnOnce() -> isize) -> isize {
    const HAS_BELL: u32 = 1;
    let taken = call();
    for index in 0..usize::try_from(taken).unwrap_or(0) {
        // SAFETY: the kernel has read as many addresses, and what is there.
        let request = unsafe { requests.add(index).read_unaligned().read_unaligned() };
        if request.flags & HAS_BELL != 0 {
            note(request.bell as c_int);
        }
    }
    taken
}

/// io_uring_register(2), which may name the eventfd of a ring.
///
/// # Safety
/// The argument must be as the call demands. It is looked at if the call was answered.
pub unsafe fn registering(what: c_uint, argument: *const c_int, call: impl FnOnce() -> isize) -> isize {
    const BELLS: [c_uint; 2] = [4, 7];
    let answer = call();
    if answer == 0 && BELLS.contains(&what) {
        // SAFETY: the kernel has read the number.
        note(unsafe { argument.read_unaligned() });
    }
    answer
}

fn note(bell: c_int) {
    if let Some(file) = descriptors::known(bell).filter(|file| file.kind().is_eventfd()) {
        file.note_unseen_add();
        // Who has it unread takes down its count, of which more is an arrival.
        file.tell(UNSETTLED, file.begin_call());
    }
}
