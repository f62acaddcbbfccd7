//! poll and select on epoll descriptors. The instance is observed from then on, and a result that
//! says "readable" is checked, because the item that made it readable may no longer be ready (N1).

use libc::{c_int, fd_set, nfds_t, pollfd, sigset_t, timespec};

use super::look;
use crate::fork_mark;
use crate::graph::eventpoll::Eventpoll;
use crate::graph::file::File;
use crate::graph::lookup;
use crate::instance::naming;
use crate::instance::wait::{self, Timeout};
use crate::probe::fleeting;
use crate::sleep::By;
use crate::sys;
use crate::uaccess;

fn instance(fd: c_int) -> Option<&'static Eventpoll> {
    let ep = lookup::known(fd).and_then(File::eventpoll)?;
    fork_mark::settle();
    naming::is_instance(fd).then_some(ep)
}

/// Converts a timeout to `Some(nanoseconds)`, or `Some(None)` if there is none. `None` for an
/// invalid one, which the kernel will reject.
///
/// # Safety
/// As for [`uaccess::read`], or NULL.
pub unsafe fn nanoseconds(limit: *const timespec) -> Option<Timeout> {
    if limit.is_null() {
        return Some(None);
    }
    // SAFETY: the caller vouches for the address.
    let limit = unsafe { uaccess::read(limit) }.ok()?;
    let (seconds, rest) = (u64::try_from(limit.tv_sec).ok()?, u64::try_from(limit.tv_nsec).ok()?);
    (rest < 1_000_000_000).then(|| Some(seconds.saturating_mul(1_000_000_000).saturating_add(rest)))
}

/// Whether the set contains an epoll descriptor.
///
/// # Safety
/// `set` must be readable for `n` entries, or as [`uaccess::read`] allows.
pub unsafe fn in_poll_set(set: *const pollfd, n: nfds_t) -> bool {
    const CHUNK: usize = 16;
    let asks = |entry: &pollfd| entry.fd >= 0 && instance(entry.fd).is_some();
    let Ok(n) = usize::try_from(n) else { return false };
    if set.is_null() || uaccess::check_range(set, n).is_err() {
        return false;
    }
    if !uaccess::is_checked() {
        // SAFETY: the caller vouches for the array.
        return unsafe { std::slice::from_raw_parts(set, n) }.iter().any(asks);
    }
    let mut at = 0;
    let mut any = false;
    while at < n {
        // SAFETY: within the array, which the kernel checks for readability.
        let (entries, more) = unsafe {
            if at + CHUNK <= n {
                (uaccess::read(set.add(at).cast::<[pollfd; CHUNK]>()).map(|chunk| chunk.iter().any(asks)), CHUNK)
            } else {
                (uaccess::read(set.add(at)).map(|entry| asks(&entry)), 1)
            }
        };
        let Ok(asks) = entries else { return false };
        any |= asks;
        at += more;
    }
    any
}

/// Informs registrations of the changes that a poll of the program took away, because such a file
/// shows a change once. The kernel has just written the `n` entries of the set.
///
/// # Safety
/// `set` must be readable for `n` entries.
pub unsafe fn tell_shown(set: *const pollfd, n: nfds_t) {
    // SAFETY: the caller vouches for the array.
    for entry in unsafe { std::slice::from_raw_parts(set, n as usize) } {
        if entry.revents != 0 {
            fleeting::found_by_program(entry.fd, entry.revents.cast_unsigned());
        }
    }
}

/// The time that a look at epoll descriptors may still sleep: until the deadline, or until the next
/// pause ends if one of them has to be looked at again after a while.
#[derive(Debug)]
struct Patience {
    deadline: Timeout,
    tick: u64,
}

/// The epoll descriptors of a call that were ready before its sleep, by order or by number, up to
/// the number that fits. Those are not looked at again: a look may have taken the level away that
/// it found (see `fleeting.rs`), and the kernel makes a single look.
#[derive(Debug, Default)]
struct Readiness(u64);

impl Readiness {
    /// Looks at one more descriptor. True if it has to be looked at again after a while.
    fn look(&mut self, place: usize, ep: &'static Eventpoll) -> bool {
        let look = look::look_from_outside(ep);
        if place < u64::BITS as usize && look.level != 0 {
            self.0 |= 1 << place;
        }
        look.needs_resample
    }

    /// Whether a descriptor is ready after the sleep.
    fn still(&self, place: usize, ep: &'static Eventpoll) -> bool {
        (place < u64::BITS as usize && self.0 >> place & 1 != 0) || look::look_from_outside(ep).level != 0
    }
}

/// One sleep of a [`Patience`].
#[derive(Debug)]
struct Turn {
    limit: Option<timespec>,
    /// If the sleep finds nothing, the time of the call is not over.
    only_pauses: bool,
    is_last: bool,
}

impl Patience {
    fn new(timeout: Timeout) -> Patience {
        Patience { deadline: timeout.map(|ns| sys::now().saturating_add(ns)), tick: wait::TICK_NS }
    }

    fn turn(&mut self, to_resample: bool) -> Turn {
        let left = self.deadline.map(|deadline| deadline.saturating_sub(sys::now()));
        let pause = to_resample.then_some(self.tick);
        self.tick = (self.tick * 2).min(wait::LONGEST_TICK_NS);
        Turn {
            limit: [left, pause].into_iter().flatten().min().map(sys::timespec_of),
            only_pauses: pause.is_some_and(|pause| left.is_none_or(|left| pause < left)),
            is_last: left == Some(0),
        }
    }
}

impl Turn {
    fn limit(&self) -> *const timespec {
        self.limit.as_ref().map_or(std::ptr::null(), std::ptr::from_ref)
    }
}

/// ppoll(2) on a set with epoll descriptors in it.
///
/// # Safety
/// As for ppoll.
pub unsafe fn poll(by: By, set: *mut pollfd, n: nfds_t, timeout: Timeout, mask: *const sigset_t) -> c_int {
    const READABLE: i16 = libc::POLLIN | libc::POLLRDNORM;
    let mut patience = Patience::new(timeout);
    loop {
        // SAFETY: the caller vouches for the array. The borrow ends before the sleep.
        let entries = unsafe { std::slice::from_raw_parts(set, n as usize) };
        let instances = entries.iter().filter_map(|entry| instance(entry.fd));
        let mut ready = Readiness::default();
        let looked = instances.enumerate();
        let to_resample = looked.fold(false, |to_resample, (order, ep)| ready.look(order, ep) | to_resample);
        let turn = patience.turn(to_resample);
        // SAFETY: as for ppoll.
        let mut found = unsafe { by.ppoll(set, n, turn.limit(), mask) };
        if found < 0 || (found == 0 && !turn.only_pauses) {
            return found;
        }
        // SAFETY: the caller vouches for the array.
        let entries = unsafe { std::slice::from_raw_parts_mut(set, n as usize) };
        let instances = entries.iter_mut().filter_map(|entry| instance(entry.fd).map(|ep| (entry, ep)));
        for (order, (entry, ep)) in instances.enumerate() {
            if entry.revents & READABLE != 0 && !ready.still(order, ep) {
                entry.revents = 0;
                found -= 1;
            }
        }
        if found > 0 || turn.is_last {
            return found;
        }
    }
}

/// The highest count of numbers in a select that is checked for epoll descriptors. A larger select
/// is passed to the kernel unchanged.
const SELECTABLE: usize = 8192;
type Word = u64;
const WORD_BITS: usize = Word::BITS as usize;

/// The three sets of a select. Each consists of the whole words that contain its first `n` bits,
/// which may be less or more than an `fd_set`.
#[derive(Clone, Copy, Debug)]
pub struct Sets {
    sets: [*mut fd_set; 3],
    words: usize,
}

impl Sets {
    /// Returns the sets of a call, if the first of them contains an epoll descriptor.
    ///
    /// # Safety
    /// Each set must be NULL, or readable for `n` bits, or as [`uaccess::read`] allows.
    pub unsafe fn with_instances(n: c_int, sets: [*mut fd_set; 3]) -> Option<Sets> {
        let words = usize::try_from(n).ok().filter(|&n| n <= SELECTABLE)?.div_ceil(WORD_BITS);
        let sets = Sets { sets, words };
        if sets.sets[0].is_null() || sets.sets.iter().any(|set| !set.is_null() && !sets.is_readable(*set)) {
            return None;
        }
        // SAFETY: the caller vouches for the set.
        unsafe { sets.instances() }.next().is_some().then_some(sets)
    }

    fn is_readable(&self, set: *const fd_set) -> bool {
        let set = set.cast::<Word>();
        uaccess::check_range(set, self.words).is_ok()
            // SAFETY: within the set, which the kernel checks for readability.
            && (!uaccess::is_checked() || (0..self.words).all(|word| unsafe { uaccess::read(set.add(word)) }.is_ok()))
    }

    /// The epoll descriptors in the first set.
    unsafe fn instances(&self) -> impl Iterator<Item = (c_int, &'static Eventpoll)> {
        let set = self.sets[0].cast::<Word>();
        (0..self.words)
            // SAFETY: the caller vouches for the set.
            .map(move |word| (word, unsafe { set.add(word).read_unaligned() }))
            .filter(|(_, bits)| *bits != 0)
            .flat_map(|(word, bits)| {
                (0..WORD_BITS).filter(move |bit| bits >> bit & 1 != 0).map(move |bit| (word * WORD_BITS + bit) as c_int)
            })
            .filter_map(|fd| instance(fd).map(|ep| (fd, ep)))
    }

    unsafe fn take_out(&self, fd: c_int) {
        let (word, bit) = (fd as usize / WORD_BITS, fd as usize % WORD_BITS);
        // SAFETY: the caller vouches for the set, which contains the number.
        unsafe {
            let word = self.sets[0].cast::<Word>().add(word);
            word.write_unaligned(word.read_unaligned() & !(1 << bit));
        }
    }

    unsafe fn copy(&self, to: &mut [[Word; SELECTABLE / WORD_BITS]; 3]) {
        for (set, copy) in self.sets.iter().zip(to).filter(|(set, _)| !set.is_null()) {
            // SAFETY: the caller vouches for the set.
            unsafe {
                set.cast::<u8>().copy_to_nonoverlapping(copy.as_mut_ptr().cast(), self.words * size_of::<Word>())
            };
        }
    }

    unsafe fn restore(&self, from: &[[Word; SELECTABLE / WORD_BITS]; 3]) {
        for (set, copy) in self.sets.iter().zip(from).filter(|(set, _)| !set.is_null()) {
            // SAFETY: the caller vouches for the set.
            unsafe { set.cast::<u8>().copy_from_nonoverlapping(copy.as_ptr().cast(), self.words * size_of::<Word>()) };
        }
    }
}

/// pselect(2) on sets with epoll descriptors in them.
///
/// # Safety
/// As for pselect; the sets must be those of the call.
pub unsafe fn select(by: By, n: c_int, sets: Sets, timeout: Timeout, mask: *const sigset_t) -> c_int {
    let mut before = [[0; SELECTABLE / WORD_BITS]; 3];
    // SAFETY: the caller vouches for the sets, here and below.
    unsafe { sets.copy(&mut before) };
    let mut patience = Patience::new(timeout);
    loop {
        // SAFETY: as above.
        let instances = unsafe { sets.instances() };
        let mut ready = Readiness::default();
        let to_resample = instances.fold(false, |to_resample, (fd, ep)| ready.look(fd as usize, ep) | to_resample);
        let turn = patience.turn(to_resample);
        // SAFETY: as for pselect.
        let mut found = unsafe { by.pselect(n, sets.sets, turn.limit(), mask) };
        if found < 0 || (found == 0 && !turn.only_pauses) {
            return found;
        }
        // SAFETY: as above.
        for (fd, ep) in unsafe { sets.instances() } {
            if !ready.still(fd as usize, ep) {
                // SAFETY: as above, and the number was found in it.
                unsafe { sets.take_out(fd) };
                found -= 1;
            }
        }
        if found > 0 || turn.is_last {
            return found;
        }
        // SAFETY: as above.
        unsafe { sets.restore(&before) };
    }
}
