//! The signals of the process: when the library takes them, and what becomes of them at a fork, in
//! an executed program, and when the program wants them itself.

use std::mem::MaybeUninit;

use libc::{c_int, c_void, siginfo_t};

use super::{
    ARE_PAUSED, PROCESS, READER, SIGNAL, TAKERS, are_used, choice, look_at_all, sent, take_in, take_in_all_but_others,
};
use crate::INTERPOSES;
use crate::backend::ring_cost;
use crate::events::Bits;
use crate::graph::eventpoll::Eventpoll;
use crate::graph::signal_numbers as numbers;
use crate::lock;
use crate::options::{self, Poller};
use crate::real;
use crate::sync;
use crate::sync::atomic::AtomicBool;
use crate::sync::atomic::Ordering::{Relaxed, SeqCst};
use crate::sys::{self, SigMask};

/// Whether the program has created an instance.
static HAVE_BEGUN: AtomicBool = AtomicBool::new(false);
/// Whether the program uses SIGIO itself.
static ARE_GIVEN_UP: AtomicBool = AtomicBool::new(false);

/// Follows the numbers that the program's calls make, if signals are the poller.
pub fn start() {
    let poller = options::poller();
    if INTERPOSES && matches!(poller, Poller::Signal | Poller::Auto) {
        numbers::follow(poller == Poller::Auto);
    }
}

/// Takes two signals for the library, when the program creates its first instance. A thread that it
/// has already does not block them, until one of them finds it.
pub fn begin() {
    if !numbers::are_followed() || HAVE_BEGUN.swap(true, SeqCst) || ARE_GIVEN_UP.load(SeqCst) || !is_free(libc::SIGIO) {
        return;
    }
    let Some(signal) = (libc::SIGRTMIN()..libc::SIGRTMAX()).rev().find(|signal| is_free(*signal)) else { return };
    let mask = sys::signal_bit(signal) | sys::signal_bit(libc::SIGIO);
    sys::set_own_signals(mask);
    let before = sys::change_signal_mask(libc::SIG_BLOCK, Some(mask)).unwrap_or(0);
    sys::set_seen_blocked(sys::seen_blocked() & !mask | before & mask);
    let made = sys::signalfd(mask).and_then(|fd| READER.adopt(fd));
    if made.is_err() || !handle(signal) || !handle(libc::SIGIO) {
        sys::set_own_signals(0);
        change_mask(libc::SIG_UNBLOCK, mask & !before);
        return;
    }
    PROCESS.store(sys::getpid(), Relaxed);
    SIGNAL.store(signal, SeqCst);
    ring_cost::ask_kernel();
}

/// Runs a call that executes another program, which returns only on failure. The program starts
/// without the library's mask, and no description sends it signals, whose default action would end
/// it.
pub fn executing<T>(call: impl FnOnce() -> T) -> T {
    if !are_used() {
        return call();
    }
    // A vfork child has the memory of its parent, but not its signals.
    let is_owner = PROCESS.load(Relaxed) == sys::getpid();
    let switch = |on| numbers::armed().filter(|_| is_owner).for_each(|fd| _ = sync::set_async(fd, on));
    switch(false);
    if is_owner {
        take_in(None);
    }
    let answer = starting(call);
    switch(true);
    if is_owner {
        look_at_all();
    }
    answer
}

/// Runs a call that starts another program, which gets the mask that this one sees.
pub fn starting<T>(call: impl FnOnce() -> T) -> T {
    let mask = sys::own_signals() & !sys::seen_blocked();
    if mask == 0 {
        return call();
    }
    change_mask(libc::SIG_UNBLOCK, mask);
    let answer = call();
    change_mask(libc::SIG_BLOCK, mask);
    answer
}

/// Gives up signals for good, because the program uses one of the two itself, which has its default
/// action from here on. If that is SIGIO, the library keeps the other one, of which some may be
/// under way.
#[cold]
pub fn give_up(wanted: c_int) {
    if !numbers::are_followed() || lock::interrupted() {
        return;
    }
    let is_first = !ARE_GIVEN_UP.swap(true, SeqCst);
    let own = sys::own_signals();
    if own == 0 {
        return;
    }
    if is_first {
        prepare_fork();
    }
    let ended = own & (sys::signal_bit(wanted) | sys::signal_bit(libc::SIGIO));
    sys::set_own_signals(own & !ended);
    let _ = READER.with(|fd| sys::change_signalfd(fd, own & !ended));
    (1..=64).filter(|signal| ended & sys::signal_bit(*signal) != 0).for_each(let_default);
    change_mask(libc::SIG_UNBLOCK, ended & !sys::seen_blocked());
}

/// Ends the handler of a signal. One that the program has installed since stays.
fn let_default(signal: c_int) {
    // SAFETY: zeroes are a valid sigaction, that of SIG_DFL.
    let [default, mut now]: [libc::sigaction; 2] = unsafe { std::mem::zeroed() };
    // SAFETY: the structures are libc's.
    unsafe {
        real::sigaction(signal, std::ptr::null(), &raw mut now);
        if now.sa_sigaction == on_signal as *const () as usize {
            real::sigaction(signal, &raw const default, std::ptr::null_mut());
        }
    }
}

/// Before a fork: the child, too, will have all descriptions, and what it does with them may send
/// no signal. They are polled from here on, here and in the child.
pub fn prepare_fork() {
    if !are_used() {
        return;
    }
    ARE_PAUSED.store(true, SeqCst);
    Eventpoll::for_each(|ep| {
        let mut st = ep.lock();
        if st.backend.signalled > 0 {
            for index in 0..st.items.interest.len() {
                let item = st.items.interest[index].get();
                st.leave_signals(item);
            }
            st.recheck.overdue = true;
            if let Some(poller) = st.queue.poller {
                poller.wake_up();
            }
        }
    });
    numbers::armed().for_each(|fd| _ = sync::set_async(fd, false));
    if take_in_all_but_others() {
        wake_all_that_left();
    }
    numbers::armed().for_each(|fd| numbers::set_armed(fd, false));
}

/// Wakes the registrations of descriptions that send no more signals, because another thread may
/// have one in hand.
#[cold]
fn wake_all_that_left() {
    Eventpoll::for_each(|ep| {
        let mut st = ep.lock();
        for index in 0..st.items.interest.len() {
            let item = st.items.interest[index].get();
            if let Some(file) = item.file().filter(|_| numbers::is_armed(item.via())) {
                st.wake(item, file);
            }
        }
        if let Some(poller) = st.queue.poller {
            poller.wake_up();
        }
    });
}

/// Continues in the parent after a fork.
pub fn go_on_after_fork() {
    if numbers::are_followed() {
        numbers::share_all();
        ARE_PAUSED.store(ARE_GIVEN_UP.load(Relaxed), SeqCst);
    }
}

/// In a forked child, whose descriptions are the parent's, too.
pub fn reset_after_fork() {
    if numbers::are_followed() {
        choice::reset_after_fork();
        numbers::reset_after_fork();
        TAKERS.store(0, SeqCst);
        PROCESS.store(sys::getpid(), Relaxed);
        ARE_PAUSED.store(ARE_GIVEN_UP.load(Relaxed), SeqCst);
    }
}

/// Blocks or unblocks signals in the calling thread, which cannot fail.
fn change_mask(how: c_int, mask: SigMask) {
    let _ = sys::change_signal_mask(how, Some(mask));
}

/// Whether the program does nothing with a signal.
fn is_free(signal: c_int) -> bool {
    let mut action = MaybeUninit::<libc::sigaction>::zeroed();
    // SAFETY: the kernel, and libc, write one sigaction.
    let asked = unsafe { real::sigaction(signal, std::ptr::null(), action.as_mut_ptr()) };
    // SAFETY: zeroes are a valid sigaction.
    asked == 0 && unsafe { action.assume_init() }.sa_sigaction == libc::SIG_DFL
}

/// Installs the handler.
fn handle(signal: c_int) -> bool {
    // SAFETY: zeroes are a valid sigaction.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    action.sa_sigaction = on_signal as *const () as usize;
    action.sa_flags = libc::SA_SIGINFO | libc::SA_RESTART | libc::SA_ONSTACK;
    // SAFETY: the handler is a function of this library, which is never unloaded.
    unsafe { real::sigaction(signal, &raw const action, std::ptr::null_mut()) == 0 }
}

/// Takes in a signal in a thread that does not block it. The thread blocks it from here on.
unsafe extern "C" fn on_signal(signal: c_int, info: *mut siginfo_t, context: *mut c_void) {
    /// `si_band` and `si_fd`, behind the three ints and the padding that all signals have.
    #[repr(C)]
    struct Poll {
        head: [c_int; 4],
        band: std::ffi::c_long,
        fd: c_int,
    }
    let errno = sys::last_errno();
    // SAFETY: the kernel passes the context that it restores. Its mask begins with the kernel's.
    unsafe {
        let mask = (&raw mut (*context.cast::<libc::ucontext_t>()).uc_sigmask).cast::<SigMask>();
        mask.write_unaligned(mask.read_unaligned() | sys::own_signals());
    }
    if signal == libc::SIGIO {
        look_at_all();
    } else {
        // SAFETY: the kernel passes a siginfo of this signal.
        let poll = unsafe { &*info.cast::<Poll>() };
        sent(poll.fd, poll.band as Bits, None);
    }
    sys::set_errno(errno);
}
