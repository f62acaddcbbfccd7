//! One sleep of a waiting thread, in `ppoll` or on a ring, with the signal mask of the wait (W8).

use libc::{c_int, fd_set, nfds_t, pollfd, sigset_t, timespec};
use nix::errno::Errno;

use crate::facts;
use crate::real;
use crate::sanitizer;
use crate::sync;
use crate::sync::atomic::AtomicI32;
use crate::sync::atomic::Ordering::Relaxed;
use crate::sys::{self, SigMask};

/// The first pause between two looks at descriptors that a sleep does not cover.
pub const TICK_NS: u64 = 1_000_000;
/// The longest of these pauses; each is twice as long as the previous one.
pub const LONGEST_TICK_NS: u64 = 50_000_000;

/// How the program makes a call that sleeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    /// By libc's name, which is a cancellation point.
    Name,
    /// By number, which is none: the call sleeps on if the thread is cancelled, unless it can be
    /// cancelled at any moment.
    Number,
}

impl By {
    /// ppoll(2), which leaves the time alone.
    ///
    /// # Safety
    /// As for ppoll.
    pub unsafe fn ppoll(self, set: *mut pollfd, n: nfds_t, limit: *const timespec, mask: *const sigset_t) -> c_int {
        // SAFETY: the caller answers for the addresses.
        unsafe {
            match self {
                By::Name => sync::ppoll(set, n, limit, mask),
                By::Number => {
                    let mut left = limit.as_ref().copied();
                    let left = left.as_mut().map_or(0, |left| std::ptr::from_mut(left).addr());
                    let words = [set.addr(), n as usize, left, mask.addr(), sys::KERNEL_SIGSET_BYTES, 0];
                    sys::any(libc::SYS_ppoll, words) as c_int
                }
            }
        }
    }

    /// pselect(2), which leaves the time alone.
    ///
    /// # Safety
    /// As for pselect.
    pub unsafe fn pselect(
        self,
        n: c_int,
        [r, w, e]: [*mut fd_set; 3],
        limit: *const timespec,
        mask: *const sigset_t,
    ) -> c_int {
        // SAFETY: the caller answers for the addresses.
        unsafe {
            match self {
                By::Name => real::pselect(n, r, w, e, limit, mask),
                By::Number => {
                    let mut left = limit.as_ref().copied();
                    let left = left.as_mut().map_or(0, |left| std::ptr::from_mut(left).addr());
                    let sixth = [mask.addr(), sys::KERNEL_SIGSET_BYTES];
                    let words = [n as usize, r.addr(), w.addr(), e.addr(), left, sixth.as_ptr().addr()];
                    sys::any(libc::SYS_pselect6, words) as c_int
                }
            }
        }
    }
}

/// A sleep in `ppoll`, with the signal mask of the wait.
#[derive(Debug)]
pub struct Sleep {
    by: By,
    /// The mask of epoll_pwait.
    pub mask: Option<SigMask>,
    /// The mask outside of the sleep, once all signals are blocked there.
    pub outside: Option<SigMask>,
}

impl Sleep {
    /// The sleep of a call with this mask.
    pub fn new(by: By, mask: Option<SigMask>) -> Sleep {
        Sleep { by, mask, outside: None }
    }

    /// Blocks all signals from here to the end of the wait, except while the thread sleeps.
    pub fn prepare(&mut self) {
        if self.outside.is_none() {
            self.outside = Some(sys::block_signals(sys::ALL_SIGNALS));
        }
    }

    /// Calls `ppoll` once. EINTR if a signal handler ran. The array must not move meanwhile. If
    /// `ppoll` refuses the array for its length, the thread sleeps on its first entries, the
    /// wake-up descriptor among them, and no longer than `tick`; then it looks at the others.
    ///
    /// # Safety
    /// The array must have `n` entries, which no other thread accesses meanwhile.
    #[inline(always)]
    pub unsafe fn sleep(&self, entries: *mut pollfd, n: usize, limit: Option<u64>, tick: u64) -> Result<usize, Errno> {
        let slept = self.ppoll(entries, n, limit);
        if !slept.is_err_and(sys::is_too_long) {
            return slept;
        }
        let tick = tick.min(LONGEST_TICK_NS);
        let limit = Some(limit.map_or(tick, |limit| limit.min(tick)));
        // SAFETY: the caller answers for the array.
        let entries = unsafe { std::slice::from_raw_parts_mut(entries, n) };
        sys::ppoll_in_pieces(entries, |piece| self.ppoll(piece.as_mut_ptr(), piece.len(), limit))
    }

    /// Sleeps until the ring has completions. EINTR if a signal handler ran. Unlike `ppoll`, the
    /// system call is not a cancellation point, so the thread can be cancelled at any moment
    /// meanwhile, if the program's call is a point.
    pub fn sleep_on_ring(&self, fd: &AtomicI32, limit: Option<u64>) -> Result<usize, Errno> {
        let careful = self.by == By::Name && facts::has_threads();
        let before = careful.then(|| real::let_cancel(real::CANCEL_AT_ANY_MOMENT));
        let slept = sync::io_uring_sleep(fd.load(Relaxed), limit, self.mask.or(self.outside));
        if let Some(before) = before {
            real::let_cancel(before);
        }
        match slept {
            Ok(()) => Ok(1),
            Err(Errno::ETIME) => Ok(0),
            Err(errno) => Err(errno),
        }
    }

    #[inline(always)]
    fn ppoll(&self, entries: *mut pollfd, n: usize, limit: Option<u64>) -> Result<usize, Errno> {
        let limit = limit.map(sys::timespec_of);
        let limit = limit.as_ref().map_or(std::ptr::null(), std::ptr::from_ref);
        let mask = self.mask.or(self.outside).map(|mask| mask | sys::own_signals()).map(|mask| {
            // SAFETY: all zeroes is a valid, empty set, of which the first eight bytes are the
            // kernel's.
            let mut set: libc::sigset_t = unsafe { std::mem::zeroed() };
            // SAFETY: the set is at least eight bytes long.
            unsafe { (&raw mut set).cast::<SigMask>().write_unaligned(mask) };
            set
        });
        let mask = mask.as_ref().map_or(std::ptr::null(), std::ptr::from_ref);
        sanitizer::takes(entries.cast());
        // SAFETY: `entries` is valid for `n` entries, and no other thread accesses it while
        // `poller` is set (or it is the caller's own); the other pointers are to locals. The thread
        // may be cancelled in here: no local of these frames needs dropping.
        let answer = unsafe { self.by.ppoll(entries, n as nfds_t, limit, mask) };
        let slept = if answer < 0 { Err(sys::last_errno()) } else { Ok(answer as usize) };
        sanitizer::lets_go(entries.cast());
        slept
    }
}
