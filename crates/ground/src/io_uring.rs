//! A ring of io_uring(7), reduced to the parts that polling needs: requests go in through one array
//! that is shared with the kernel, completions come out through another.
//!
//! The ring belongs to the thread that made it (IORING_SETUP_SINGLE_ISSUER), and completions are
//! made only when that thread asks for them (IORING_SETUP_DEFER_TASKRUN), so nothing interrupts the
//! program.

use std::mem::offset_of;
use std::ptr::NonNull;

use libc::c_int;
use linux_raw_sys::io_uring::{
    IORING_ASYNC_CANCEL_ALL, IORING_ASYNC_CANCEL_ANY, IORING_CQE_F_MORE, IORING_FEAT_EXT_ARG, IORING_FEAT_NODROP,
    IORING_FEAT_SINGLE_MMAP, IORING_OFF_SQ_RING, IORING_OFF_SQES, IORING_POLL_ADD_MULTI, IORING_SETUP_CQSIZE,
    IORING_SETUP_DEFER_TASKRUN, IORING_SETUP_SINGLE_ISSUER, IORING_SETUP_SUBMIT_ALL, IORING_SETUP_TASKRUN_FLAG,
    IORING_SQ_CQ_OVERFLOW, IORING_SQ_TASKRUN, io_uring_cqe, io_uring_op, io_uring_params, io_uring_sqe,
    io_uring_sqe_flags_bit,
};
use nix::errno::Errno;

use crate::events::{Bits, IN};
use crate::sync::atomic::AtomicI32;
use crate::sync::atomic::Ordering::Relaxed;
use crate::sys;

use std::sync::atomic::Ordering::{Acquire, Release};
use std::sync::atomic::{AtomicU32, AtomicUsize};

/// The number of requests that fit into the ring before they are submitted to the kernel.
const SUBMISSIONS: u32 = 128;
/// The number of completions that fit into the ring, at least and at most. The kernel keeps the
/// others, at a price.
pub const FEWEST_COMPLETIONS: usize = 1024;
const MOST_COMPLETIONS: usize = 32 * 1024;

/// The next request starts when this one has succeeded, or has ended in any way.
const LINKED: u8 = 1 << io_uring_sqe_flags_bit::IOSQE_IO_LINK_BIT as u8;
const HARD_LINKED: u8 = 1 << io_uring_sqe_flags_bit::IOSQE_IO_HARDLINK_BIT as u8;
const SKIP_SUCCESS: u8 = 1 << io_uring_sqe_flags_bit::IOSQE_CQE_SKIP_SUCCESS_BIT as u8;

/// The user data of requests whose completion is ignored.
const NOBODYS: u64 = 0;

/// Empty parameters for io_uring_setup(2).
pub const fn no_params() -> io_uring_params {
    // SAFETY: numbers only, for which all zeroes is valid.
    unsafe { std::mem::zeroed() }
}

/// The kernel's `struct io_uring_sqe`, without its unions.
#[repr(C)]
#[derive(Debug, Default)]
struct Submission {
    op: u8,
    flags: u8,
    priority: u16,
    fd: i32,
    offset: u64,
    address: u64,
    length: u32,
    /// The events to poll for, or the flags of a cancellation.
    what: u32,
    user_data: u64,
    more: [u64; 3],
}

impl Submission {
    fn poll(number: c_int, mask: Bits) -> Submission {
        let what = if cfg!(target_endian = "big") { u32::from(mask).rotate_left(16) } else { u32::from(mask) };
        Submission {
            op: io_uring_op::IORING_OP_POLL_ADD as u8,
            fd: number,
            what,
            user_data: NOBODYS,
            ..Default::default()
        }
    }

    /// Of several of these requests on one file, in whatever process, a wake-up completes one.
    fn poll_exclusively(number: c_int, mask: Bits) -> Submission {
        let flag = libc::EPOLLEXCLUSIVE.cast_unsigned();
        let flag = if cfg!(target_endian = "big") { flag.rotate_left(16) } else { flag };
        let poll = Submission::poll(number, mask);
        Submission { what: poll.what | flag, ..poll }
    }

    fn cancel(user_data: u64) -> Submission {
        Submission {
            op: io_uring_op::IORING_OP_ASYNC_CANCEL as u8,
            fd: -1,
            address: user_data,
            user_data: NOBODYS,
            ..Default::default()
        }
    }

    fn cancel_all() -> Submission {
        Submission { what: IORING_ASYNC_CANCEL_ANY | IORING_ASYNC_CANCEL_ALL, ..Submission::cancel(NOBODYS) }
    }
}

/// The kernel's `struct io_uring_cqe`, in its default size.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Completion {
    /// The user data of the request.
    pub user_data: u64,
    /// The events found, or a negative errno.
    pub result: i32,
    flags: u32,
}

impl Completion {
    /// Whether the request makes no more completions.
    pub const fn is_last(&self) -> bool {
        self.flags & IORING_CQE_F_MORE == 0
    }
}

const _: () = {
    assert!(
        size_of::<Submission>() == size_of::<io_uring_sqe>() && size_of::<Completion>() == size_of::<io_uring_cqe>()
    );
    assert!(offset_of!(Submission, length) == offset_of!(io_uring_sqe, len));
    assert!(offset_of!(Submission, user_data) == offset_of!(io_uring_sqe, user_data));
};

/// The number of rings in the process, including those that threads keep for later.
static IN_USE: AtomicUsize = AtomicUsize::new(0);

/// Whether the kernel has rings and permits them to this process: then a request for a ring without
/// entries fails with EINVAL.
pub fn is_permitted() -> bool {
    sys::io_uring_setup(0, &mut no_params()) == Err(Errno::EINVAL)
}

/// The number of rings in the process.
pub fn in_use() -> usize {
    IN_USE.load(Relaxed)
}

/// Counts one ring of the process.
#[derive(Debug)]
struct Counted;

impl Counted {
    fn new() -> Counted {
        IN_USE.fetch_add(1, Relaxed);
        Counted
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        IN_USE.fetch_sub(1, Relaxed);
    }
}

/// A ring. The instance keeps its descriptor's number, because that can change.
#[derive(Debug)]
pub struct Ring {
    _rings: Mapping,
    submissions: Mapping,
    sq_tail: NonNull<AtomicU32>,
    sq_flags: NonNull<AtomicU32>,
    sq_mask: u32,
    cq_head: NonNull<AtomicU32>,
    cq_tail: NonNull<AtomicU32>,
    cq_mask: u32,
    cqes: NonNull<Completion>,
    /// The number of requests in the ring that have not been submitted.
    queued: u32,
    _counted: Counted,
}

// SAFETY: the memory is reached only through the ring, whichever thread has it.
unsafe impl Send for Ring {}

#[derive(Debug)]
struct Mapping {
    pages: NonNull<u8>,
    bytes: usize,
}

impl Mapping {
    fn new(fd: c_int, bytes: usize, offset: usize) -> Result<Mapping, Errno> {
        let pages = sys::map_shared(fd, bytes, offset)?;
        let mapping = Mapping { pages: NonNull::new(pages).ok_or(Errno::ENOMEM)?, bytes };
        // The ring does not belong to a forked child.
        sys::keep_from_children(pages, bytes)?;
        mapping.note();
        Ok(mapping)
    }

    fn note(&self) {
        let place = MAPPED.iter().find(|place| place.0.compare_exchange(0, self.address(), Relaxed, Relaxed).is_ok());
        if let Some((_, bytes)) = place {
            bytes.store(self.bytes, Relaxed);
        }
    }

    fn strike_out(&self) {
        let place = MAPPED.iter().find(|place| place.0.load(Relaxed) == self.address());
        if let Some((address, bytes)) = place {
            bytes.store(0, Relaxed);
            address.store(0, Relaxed);
        }
    }

    fn address(&self) -> usize {
        self.pages.addr().get()
    }

    /// A pointer to the field at an offset that the kernel returned.
    fn at<T>(&self, offset: u32) -> NonNull<T> {
        debug_assert!(offset as usize + size_of::<T>() <= self.bytes);
        // SAFETY: the kernel's offsets are within the mapping, and aligned for their fields.
        unsafe { self.pages.add(offset as usize).cast() }
    }
}

/// The addresses of the first 256 mappings.
static MAPPED: [(AtomicUsize, AtomicUsize); 256] = [const { (AtomicUsize::new(0), AtomicUsize::new(0)) }; 256];

/// Replaces the rings of the parent by empty ones, in a child that returns into code that a signal
/// handler interrupted, possibly in the middle of a lap, so that this code can end it. The kernel
/// refuses its requests, because the ring belongs to another thread.
pub fn stand_in() {
    for (address, bytes) in MAPPED.iter().map(|(address, bytes)| (address.load(Relaxed), bytes.load(Relaxed))) {
        if bytes != 0 {
            let _ = sys::map_at(address, bytes);
        }
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        self.strike_out();
        // SAFETY: only the ring that is dropped refers to the pages.
        unsafe { sys::unmap(self.pages.as_ptr(), self.bytes) }
    }
}

impl Ring {
    /// Makes a ring of the calling thread for about `requests` requests; returns it and its
    /// descriptor. An error if the kernel has none, or none that leaves the program undisturbed.
    pub fn new(requests: usize) -> Result<(Ring, c_int), Errno> {
        let completions = (2 * requests).clamp(FEWEST_COMPLETIONS, MOST_COMPLETIONS).next_power_of_two();
        let flags = IORING_SETUP_CQSIZE | IORING_SETUP_SUBMIT_ALL | IORING_SETUP_TASKRUN_FLAG;
        let own = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN;
        let mut params = io_uring_params { cq_entries: completions as u32, flags: flags | own, ..no_params() };
        let fd = sys::io_uring_setup(SUBMISSIONS, &mut params)?;
        Ring::mapped(fd, &params).map(|ring| (ring, fd)).inspect_err(|_| _ = sys::close(fd))
    }

    fn mapped(fd: c_int, params: &io_uring_params) -> Result<Ring, Errno> {
        const NEEDED: u32 = IORING_FEAT_SINGLE_MMAP | IORING_FEAT_NODROP | IORING_FEAT_EXT_ARG;
        if params.features & NEEDED != NEEDED {
            return Err(Errno::ENOSYS);
        }
        let (sq, cq) = (&params.sq_off, &params.cq_off);
        let (array, cqes) = (sq.array, cq.cqes);
        let end_of_array = array as usize + params.sq_entries as usize * size_of::<u32>();
        let end_of_cqes = cqes as usize + params.cq_entries as usize * size_of::<Completion>();
        let rings = Mapping::new(fd, end_of_array.max(end_of_cqes), IORING_OFF_SQ_RING as usize)?;
        let bytes = params.sq_entries as usize * size_of::<Submission>();
        let submissions = Mapping::new(fd, bytes, IORING_OFF_SQES as usize)?;
        // Entries of one array are submitted in the order of the other, for good.
        for index in 0..params.sq_entries {
            // SAFETY: the array has an entry for each submission.
            unsafe { rings.at::<u32>(array).add(index as usize).write(index) };
        }
        Ok(Ring {
            sq_tail: rings.at(sq.tail),
            sq_flags: rings.at(sq.flags),
            sq_mask: params.sq_entries - 1,
            cq_head: rings.at(cq.head),
            cq_tail: rings.at(cq.tail),
            cq_mask: params.cq_entries - 1,
            cqes: rings.at(cqes),
            queued: 0,
            _counted: Counted::new(),
            _rings: rings,
            submissions,
        })
    }

    /// Requests a completion at every wake-up of the file that meets the mask, and one now if the
    /// level does.
    pub fn poll(&mut self, fd: &AtomicI32, number: c_int, mask: Bits, user_data: u64) -> Result<(), Errno> {
        self.push(fd, Submission { length: IORING_POLL_ADD_MULTI, user_data, ..Submission::poll(number, mask) })
    }

    /// Cancels the request with this user data.
    pub fn cancel(&mut self, fd: &AtomicI32, user_data: u64) -> Result<(), Errno> {
        self.push(fd, Submission { flags: SKIP_SUCCESS, ..Submission::cancel(user_data) })
    }

    /// Cancels every request.
    pub fn cancel_all(&mut self, fd: &AtomicI32) -> Result<(), Errno> {
        self.push(fd, Submission::cancel_all())
    }

    /// Requests one completion, when the file has one of these levels.
    pub fn poll_once(&mut self, fd: &AtomicI32, number: c_int, mask: Bits, user_data: u64) -> Result<(), Errno> {
        self.push(fd, Submission { user_data, ..Submission::poll(number, mask) })
    }

    /// As [`Ring::poll_once`], but of several such requests on one file, in whatever process, a
    /// wake-up completes one.
    pub fn poll_exclusively(&mut self, fd: &AtomicI32, number: c_int, mask: Bits, user_data: u64) -> Result<(), Errno> {
        self.push(fd, Submission { user_data, ..Submission::poll_exclusively(number, mask) })
    }

    /// Removes the poll request with this user data from its file. Unlike a cancelled request, it
    /// takes no wake-up between the removal and its completion.
    pub fn remove_poll(&mut self, fd: &AtomicI32, user_data: u64) -> Result<(), Errno> {
        let op = io_uring_op::IORING_OP_POLL_REMOVE as u8;
        self.push(fd, Submission { op, flags: SKIP_SUCCESS, ..Submission::cancel(user_data) })
    }

    /// Makes the kernel cancel every request when the thread exits, or when the ring is closed, if
    /// the request with the user data `gate` still exists then. `anchor` is another ring, in which
    /// nothing ever completes.
    pub fn cancel_at_exit(&mut self, fd: &AtomicI32, anchor: c_int, gate: u64) -> Result<(), Errno> {
        self.make_room(fd, 3)?;
        self.push(fd, Submission { flags: HARD_LINKED, ..Submission::poll(anchor, IN) })?;
        self.push(fd, Submission { flags: LINKED, ..Submission::cancel(gate) })?;
        self.push(fd, Submission::cancel_all())
    }

    /// Makes the kernel cancel the request with the user data `which` when the thread exits, or
    /// when `user_data` is cancelled.
    pub fn cancel_one_at_exit(
        &mut self,
        fd: &AtomicI32,
        anchor: c_int,
        which: u64,
        user_data: u64,
    ) -> Result<(), Errno> {
        self.make_room(fd, 2)?;
        self.push(fd, Submission { flags: HARD_LINKED, user_data, ..Submission::poll(anchor, IN) })?;
        self.push(fd, Submission::cancel(which))
    }

    /// Makes room for linked requests, which must be submitted together.
    fn make_room(&mut self, fd: &AtomicI32, requests: u32) -> Result<(), Errno> {
        if self.queued + requests > self.sq_mask + 1 {
            self.submit(fd)?;
        }
        if self.queued + requests > self.sq_mask + 1 { Err(Errno::EAGAIN) } else { Ok(()) }
    }

    fn push(&mut self, fd: &AtomicI32, submission: Submission) -> Result<(), Errno> {
        self.make_room(fd, 1)?;
        // SAFETY: the ring is mapped.
        let tail = unsafe { self.sq_tail.as_ref() };
        let at = tail.load(Relaxed);
        // SAFETY: the index is masked, and the kernel has consumed the previous entry there.
        unsafe { self.submissions.at::<Submission>(0).add((at & self.sq_mask) as usize).write(submission) };
        tail.store(at.wrapping_add(1), Release);
        self.queued += 1;
        Ok(())
    }

    /// Whether there are completions that the kernel has not made yet.
    pub fn is_behind(&self) -> bool {
        // SAFETY: the ring is mapped.
        let flags = unsafe { self.sq_flags.as_ref() }.load(Acquire);
        flags & (IORING_SQ_TASKRUN | IORING_SQ_CQ_OVERFLOW) != 0
    }

    /// Whether the kernel has work for this ring, or the ring has requests for the kernel.
    pub fn has_work(&self) -> bool {
        self.queued > 0 || self.is_behind()
    }

    /// Submits the requests, and lets the kernel make the completions that are due. Never sleeps.
    pub fn submit(&mut self, fd: &AtomicI32) -> Result<(), Errno> {
        loop {
            match sys::io_uring_enter(fd.load(Relaxed), self.queued) {
                Ok(taken) => {
                    self.queued -= (taken as u32).min(self.queued);
                    if self.queued == 0 {
                        return Ok(());
                    }
                }
                // Completions must be reaped before more can be made: the caller does so, and calls
                // again.
                Err(Errno::EBUSY | Errno::EAGAIN) => return Ok(()),
                Err(Errno::EINTR) => {}
                Err(errno) => return Err(errno),
            }
        }
    }

    /// Whether there are completions to reap.
    pub fn has_completions(&self) -> bool {
        // SAFETY: the ring is mapped.
        let (head, tail) = unsafe { (self.cq_head.as_ref(), self.cq_tail.as_ref()) };
        head.load(Relaxed) != tail.load(Acquire)
    }

    /// Takes the next completion, if there is one.
    pub fn reap(&mut self) -> Option<Completion> {
        // SAFETY: the ring is mapped.
        let (head, tail) = unsafe { (self.cq_head.as_ref(), self.cq_tail.as_ref()) };
        let at = head.load(Relaxed);
        // More completions than possible also means none: see `stand_in`.
        if tail.load(Acquire).wrapping_sub(at).wrapping_sub(1) > self.cq_mask {
            return None;
        }
        // SAFETY: the index is masked; the kernel wrote the entry before it moved the tail.
        let completion = unsafe { self.cqes.add((at & self.cq_mask) as usize).read() };
        head.store(at.wrapping_add(1), Release);
        Some(completion)
    }

    /// Drops the ring without unmapping its memory: in a forked child, where it is not mapped.
    pub fn forget(self) {
        self._rings.strike_out();
        self.submissions.strike_out();
        IN_USE.fetch_sub(1, Relaxed);
        std::mem::forget(self);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A ring, unless the kernel refuses it.
    fn ring() -> Option<(Ring, AtomicI32)> {
        let (ring, fd) = Ring::new(1).ok()?;
        Some((ring, AtomicI32::new(fd)))
    }

    fn results((ring, fd): &mut (Ring, AtomicI32)) -> Vec<(u64, i32)> {
        ring.submit(fd).expect("a ring that takes requests");
        std::iter::from_fn(|| ring.reap()).map(|done| (done.user_data, done.result)).collect()
    }

    #[test]
    fn an_arrival_completes_one_exclusive_request_and_none_that_was_removed() {
        let (Some(mut one), Some(mut other)) = (ring(), ring()) else { return };
        let [end, tail] = sys::pipe2(libc::O_CLOEXEC).expect("a pipe");
        for (at, (ring, fd)) in [&mut one, &mut other].into_iter().enumerate() {
            ring.poll_exclusively(fd, end, IN, 1 + at as u64).expect("room for a request");
            ring.submit(fd).expect("a ring that takes requests");
        }
        sys::write(tail, b"a").expect("a pipe with room");
        assert_eq!(results(&mut one), [(1, i32::from(IN))]);
        assert_eq!(results(&mut other), []);
        other.0.remove_poll(&other.1, 2).expect("room for a request");
        assert_eq!(results(&mut other), [(2, -(Errno::ECANCELED as i32))]);
        for fd in [end, tail, one.1.into_inner(), other.1.into_inner()] {
            sys::close(fd).expect("an open descriptor");
        }
    }
}
