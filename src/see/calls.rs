//! The calls of the program, as facts. Each function makes a call and records it.

use epolyfill_facts::{Call, Event, Fact, Form, NO_FD, Reason, SiteId};
use libc::{c_int, epoll_event};

use super::{chaos, recorder, wait};
use crate::sys::{self, SigMask};

pub use wait::{Limit, with_looks};

/// A result of a call: libc's -1 with errno becomes a negative errno.
pub trait Answer: Copy {
    /// The result as it is in a fact.
    fn answer(self) -> i64;
}

impl Answer for isize {
    fn answer(self) -> i64 {
        if self < 0 { -i64::from(sys::last_errno() as i32) } else { self as i64 }
    }
}

impl Answer for c_int {
    fn answer(self) -> i64 {
        (self as isize).answer()
    }
}

/// 0, or the errno of a failed call.
fn errno_of(result: c_int) -> i32 {
    if result < 0 { sys::last_errno() as i32 } else { 0 }
}

/// Makes a call on a descriptor, or on two.
#[inline]
pub fn transfer<R: Answer>(
    call: Call,
    [fd, other]: [c_int; 2],
    asked: impl FnOnce() -> usize,
    flags: c_int,
    make: impl FnOnce() -> R,
) -> R {
    if !recorder::is_on() {
        return make();
    }
    let began_ns = sys::now();
    let result = make();
    chaos::met(fd);
    let answer = result.answer();
    // The size of a message may be read only if the kernel has accepted it.
    let asked = if answer >= 0 { asked() as u64 } else { 0 };
    recorder::fact(&Fact::Call { call, fd, other, asked, answer, flags, began_ns });
    result
}

/// Makes an instance.
pub fn create(form: Form, flags: c_int, make: impl FnOnce() -> c_int) -> c_int {
    let began_ns = sys::now();
    let fd = make();
    let answer = if fd < 0 { -errno_of(fd) } else { fd };
    recorder::fact(&Fact::Create { form, fd: answer, flags, began_ns });
    fd
}

/// Makes a control call.
///
/// # Safety
/// As for libc's epoll_ctl, which `make` is.
pub unsafe fn control(
    epfd: c_int,
    op: c_int,
    fd: c_int,
    event: *const epoll_event,
    make: impl FnOnce() -> c_int,
) -> c_int {
    if !recorder::is_on() {
        return make();
    }
    let began_ns = sys::now();
    let is_chaos = chaos::is_on();
    // Until the fact is taken: an event that goes back must not overwrite this call.
    let turn = is_chaos.then(chaos::Turn::take);
    let fails = is_chaos && op == libc::EPOLL_CTL_ADD && chaos::manual::add_fails(epfd, fd);
    let result = if fails { -1 } else { make() };
    let errno = errno_of(result);
    let passed = match op {
        libc::EPOLL_CTL_DEL => None,
        // SAFETY: the call has read the event there.
        _ if errno == 0 => Some(unsafe { event.read_unaligned() }),
        _ => sys::copy_in(event).ok(),
    };
    let (events, data) = passed.map_or((0, event.addr() as u64), |event| (event.events, event.u64));
    let wants_site = op == libc::EPOLL_CTL_ADD || errno != 0;
    let site = if wants_site { recorder::site() } else { SiteId(0) };
    recorder::fact(&Fact::Control { epfd, op, fd, events, data, errno, site, began_ns });
    drop(turn);
    if is_chaos && op == libc::EPOLL_CTL_ADD && errno == 0 {
        chaos::manual::registered(epfd, fd);
    }
    result
}

/// A wait of the program, as it was called.
#[derive(Clone, Copy, Debug)]
pub struct Wait {
    /// Which of the calls.
    pub form: Form,
    /// The instance.
    pub epfd: c_int,
    /// Where the events go.
    pub events: *mut epoll_event,
    /// The room for them.
    pub max: c_int,
    /// The limit, in nanoseconds.
    pub limit: Limit,
    /// The signal mask, if one was passed.
    pub mask: Option<SigMask>,
}

/// Makes a wait.
///
/// # Safety
/// As for libc's epoll_wait, which `make` is.
pub unsafe fn wait(wait: Wait, make: impl FnOnce() -> c_int) -> c_int {
    if !recorder::is_on() {
        return make();
    }
    let Wait { form, epfd, events, max, limit, mask } = wait;
    let timeout_ns = limit.map_or(-1, |ns| i64::try_from(ns).unwrap_or(i64::MAX));
    let began_ns = recorder::fact(&Fact::Wait { epfd, max, timeout_ns }).unwrap_or_else(sys::now);
    let result = make();
    let errno = errno_of(result);
    let n = usize::try_from(result).unwrap_or(0);
    // SAFETY: the call has written as many events.
    let reported = if n > 0 { unsafe { std::slice::from_raw_parts(events.cast::<Packed>(), n) } } else { &[] };
    with_events(reported, |events| {
        recorder::fact(&Fact::Report { form, mask, epfd, max, timeout_ns, began_ns, errno, events });
    });
    result
}

/// An event as it may lie in memory.
#[repr(C, packed)]
#[derive(Clone, Copy)]
struct Packed(epoll_event);

/// Passes events on as those of a fact. If there is no memory for many, the rest is lost.
fn with_events(reported: &[Packed], take: impl FnOnce(&[Event])) {
    const FEW: usize = 64;
    let event = |reported: &Packed| {
        let event = reported.0;
        Event { bits: event.events, fd: NO_FD, data: event.u64, reason: Reason::Unknown }
    };
    let mut many = Vec::new();
    if reported.len() > FEW && many.try_reserve_exact(reported.len()).is_ok() {
        many.extend(reported.iter().map(event));
        return take(&many);
    }
    if reported.len() > FEW {
        recorder::lose();
    }
    let mut few = [Event::default(); FEW];
    let n = reported.len().min(FEW);
    for (to, from) in few.iter_mut().zip(reported) {
        *to = event(from);
    }
    take(&few[..n]);
}
