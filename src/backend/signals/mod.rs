//! Readiness by signals: a description with O_ASYNC sends a real-time signal at every wake-up of its
//! waiters, with its number (`si_fd`) and the bits of the wake-up (`si_band`). So a signal is an
//! edge, as a completion of a ring is.
//!
//! Every thread blocks the signal, and a thread that waits takes the pending ones from a signalfd,
//! for whichever instances they are. A thread that does not block it runs the handler, which does
//! the same. If the queue of signals is full, the kernel sends SIGIO instead, and every registration
//! is looked at once.
//!
//! A description has one owner, so only descriptions that this process made are used
//! (`graph/signal_numbers.rs`). Registrations that signals cannot serve exactly are polled beside
//! them, in the same instance.

mod choice;
mod process;
mod registration;

use std::mem::MaybeUninit;

use libc::{c_int, signalfd_siginfo};

use crate::edge::Facts;
use crate::events::{Bits, ERR, HUP, IN, INCOMING, RDHUP, WRITABLE};
use crate::graph::epitem::Epitem;
use crate::graph::epstate::EpState;
use crate::graph::eventpoll::Eventpoll;
use crate::graph::file::{File, FileGuard};
use crate::graph::internal_fd::InternalFd;
use crate::graph::lookup;
use crate::graph::signal_numbers as numbers;
use crate::kind::Kind;
use crate::lock;
use crate::sync;
use crate::sync::atomic::Ordering::{Relaxed, SeqCst};
use crate::sync::atomic::{AtomicBool, AtomicI32, AtomicU32};
use crate::sys;

pub use process::{begin, executing, give_up, go_on_after_fork, prepare_fork, reset_after_fork, start, starting};
pub use registration::may_keep;

/// The signalfd.
static READER: InternalFd = InternalFd::new();
/// The real-time signal; 0 while signals are not used.
static SIGNAL: AtomicI32 = AtomicI32::new(0);
/// The process that gets the signals.
static PROCESS: AtomicI32 = AtomicI32::new(0);
/// Whether no description is made to send signals, because the process is about to fork.
static ARE_PAUSED: AtomicBool = AtomicBool::new(false);

/// The threads that take signals at this moment, and may have some in hand.
static TAKERS: AtomicU32 = AtomicU32::new(0);

/// How often a lock of a description is tried that another thread may hold while it reports facts
/// and wakes a thread.
const TRIES: u32 = 10 * sync::SPINS;

/// The signals that are taken together.
const TOGETHER: usize = 32;
/// The most of such batches in one round of a wait.
const MOST_BATCHES: usize = 64;
/// The most of them otherwise: more than the kernel queues.
const ALL_BATCHES: usize = 1 << 16;

/// Whether signals are used at all.
#[inline]
pub fn are_used() -> bool {
    SIGNAL.load(Relaxed) != 0
}

/// Whether signals serve registrations of the instance.
pub fn serve(st: &EpState) -> bool {
    st.backend.reads_signals && !st.outer.is_observed()
}

/// Whether there are signals that no thread has taken.
pub fn are_pending() -> bool {
    sys::level(READER.number(), IN) & IN != 0
}

/// The signalfd.
pub(super) fn reader() -> c_int {
    READER.number()
}

/// The instance that a thread waits on and has the lock of.
type Own<'a> = (&'static Eventpoll, &'a mut EpState);

/// Takes in the pending signals as facts. Never waits.
pub fn take_all() {
    take_in(None);
}

/// The same, if the description under this number sends any.
pub fn take_all_of(fd: c_int) {
    if numbers::is_armed(fd) {
        take_all();
    }
}

/// Takes in the pending signals, whichever instances they are for. Never waits. False if there were
/// none.
pub(super) fn take_in(own: Option<Own>) -> bool {
    if SIGNAL.load(SeqCst) == 0 {
        return false;
    }
    TAKERS.fetch_add(1, SeqCst);
    let were_any = take_batches(own);
    TAKERS.fetch_sub(1, SeqCst);
    were_any
}

/// Takes in the pending signals. True if other threads may still have some in hand, of arrivals
/// before this call.
fn take_in_all_but_others() -> bool {
    take_in(None);
    TAKERS.load(SeqCst) != 0
}

/// Takes signals until none is pending. False if none was.
fn take_batches(mut own: Option<Own>) -> bool {
    let mut were_any = false;
    // Without an instance, the signals of descriptions that send no more are taken in, all of them.
    for _ in 0..if own.is_some() { MOST_BATCHES } else { ALL_BATCHES } {
        let mut room = [const { MaybeUninit::<signalfd_siginfo>::uninit() }; TOGETHER];
        let Ok(number) = READER.with(|fd| sync::take_signals(fd, &mut room)) else {
            make_anew();
            break;
        };
        were_any |= number > 0;
        // SAFETY: the kernel has written as many.
        let signals = unsafe { std::slice::from_raw_parts(room.as_ptr().cast::<signalfd_siginfo>(), number) };
        for signal in signals {
            if signal.ssi_signo == libc::SIGIO.cast_unsigned() {
                look_at_all();
                continue;
            }
            sent(signal.ssi_fd, signal.ssi_band as Bits, own.as_mut().map(|(ep, st)| (*ep, &mut **st)));
            if numbers::is_armed(signal.ssi_fd) && numbers::count_signal(signal.ssi_fd) {
                begin_rest(signal.ssi_fd);
                if let Some((_, st)) = &mut own {
                    st.backend.has_begun_rest = true;
                }
            }
        }
        if number < TOGETHER {
            break;
        }
    }
    were_any
}

/// Makes the signalfd anew if another internal descriptor has its number by now.
pub(super) fn ensure_reader() {
    if READER.number() < 0 {
        make_anew();
    }
}

/// Makes the signalfd anew, which was closed by a call that the library did not see. The signals are
/// still pending.
#[cold]
fn make_anew() {
    READER.give_up();
    let _ = sys::signalfd(sys::own_signals()).and_then(|fd| READER.adopt(fd));
}

/// Takes in a signal of the description under a number.
fn sent(fd: c_int, band: Bits, own: Option<Own>) {
    if !numbers::is_armed(fd) {
        return;
    }
    let Some(file) = lookup::known(fd) else { return };
    // At the close of a pipe's other end the bits are those of an arrival, or of room.
    let key = if file.kind() == Kind::Pipe { Bits::MAX } else { key(band) };
    let mut own = own;
    let at = file.clock();
    let (mut is_watched, mut is_asked) = (false, numbers::may_send(fd));
    let mut visit = |item: &'static Epitem| {
        is_watched = true;
        is_asked |= item.is_asked_by_signal();
        match &mut own {
            _ if !item.is_met_by(key) => {}
            Some((ep, st)) if item.is_of(ep) => st.woken_by_signal(item),
            _ => item.tell(Facts::SIGNALLED, at),
        }
    };
    // Past a lock that is taken, a fact can arrive twice, which would be one edge too many.
    let visited = (0..TRIES).any(|_| {
        let visited = file.try_visit(&mut visit);
        if !visited {
            sync::spin_loop();
        }
        visited
    });
    match visited {
        // A signal for room wakes no registration that waits for other edges.
        false if key & !WRITABLE == 0 => file.tell(Facts::SPACE_FREED, file.begin_call()),
        false => file.tell(Facts::SIGNALLED, at),
        true if !is_watched || !is_asked => {
            stop(fd);
            // A registration that began to wait for signals meanwhile is polled.
            file.tell(Facts::RECHECK, file.clock());
        }
        true => {}
    }
}

/// Makes a description send no more signals. Those under way are not taken in.
fn stop(fd: c_int) {
    let _ = sync::set_async(fd, false);
    numbers::set_armed(fd, false);
}

/// Makes a description send no more signals. Those under way are taken in as facts.
pub fn disarm(fd: c_int) {
    if numbers::is_armed(fd) {
        let _ = sync::set_async(fd, false);
        take_in(None);
        numbers::set_armed(fd, false);
    }
}

/// Makes a description send no more signals if no registration waits for them, because one has
/// ended. Those under way are not taken in.
pub fn disarm_unless_asked(file: &'static File, graph: &FileGuard, fd: c_int) {
    if numbers::is_armed(fd) && !graph.items().any(Epitem::is_asked_by_signal) {
        stop(fd);
        if graph.items().next().is_some() {
            // A registration that began to wait for signals meanwhile is polled.
            file.tell(Facts::RECHECK, file.clock());
        }
    }
}

/// The bits of the masks that a wake-up meets: every one of them, if it is of a hang-up or an error.
fn key(band: Bits) -> Bits {
    match () {
        () if band & (ERR | HUP) != 0 => Bits::MAX,
        () if band & IN != 0 => band | INCOMING | RDHUP,
        () => band,
    }
}

/// Looks at every registration once, because signals were lost.
#[cold]
fn look_at_all() {
    numbers::armed().for_each(|fd| sent(fd, Bits::MAX, None));
}

/// Lets the program have the signals of a description: its registrations are polled from here on.
#[cold]
pub fn let_go(fd: c_int) {
    let Some((file, number)) = armed_number(fd) else { return };
    numbers::disown(number);
    if !lock::interrupted() {
        leave_all(&file.graph());
    }
    disarm(number);
    let _ = sync::set_signal_owner(number, 0, 0);
    file.tell(Facts::RECHECK, file.clock());
}

/// The registrations of a description leave signals while it still sends them, so that no arrival
/// is without one. The caller has the poll sets updated.
pub fn leave_all(graph: &FileGuard) {
    for item in graph.items().filter(|item| item.is_asked_by_signal()) {
        if let Some(ep) = item.eventpoll() {
            ep.lock().leave_now(item);
        }
    }
}

/// Lets a description rest of which too many signals come. Its registrations leave signals when
/// their instances are waited on. If that takes too long, it is disarmed first; the signals under way
/// count no more, because a registration that leaves without them is woken.
#[cold]
fn begin_rest(fd: c_int) {
    let Some(file) = lookup::known(fd) else { return };
    if numbers::rests(fd) {
        stop(fd);
    } else {
        numbers::begin_rest(fd);
    }
    file.tell(Facts::RECHECK, file.clock());
}

/// Counts a report of a registration that is polled. At the end of a rest, its description sends
/// signals again.
pub fn note_polled_report(item: &'static Epitem) {
    if numbers::rests(item.via())
        && numbers::count_rest(item.via())
        && let Some(file) = item.file()
    {
        file.tell(Facts::RECHECK, file.clock());
    }
}

/// The description under a number, and the number that its signals carry; `None` if it sends none.
pub fn armed_number(fd: c_int) -> Option<(&'static File, c_int)> {
    let file = lookup::known(fd).filter(|_| are_used())?;
    if numbers::is_armed(fd) {
        return Some((file, fd));
    }
    if lock::interrupted() {
        return None;
    }
    // A duplicate of the number.
    let graph = file.graph();
    let number = graph.numbers.iter().copied().find(|number| numbers::is_armed(*number))?;
    Some((file, number))
}

/// Makes a description send signals. False if it cannot, or is not this process' own.
fn arm(file: &'static File, fd: c_int) -> bool {
    let signal = SIGNAL.load(SeqCst);
    if signal == 0 || !numbers::may_send(fd) || ARE_PAUSED.load(SeqCst) {
        return false;
    }
    if numbers::is_armed(fd) {
        return true;
    }
    let sleeps = sys::fcntl(fd, libc::F_GETFL, 0).is_ok_and(|flags| flags & libc::O_NONBLOCK == 0);
    // While a reader sleeps in recv(2), arrivals send no signal.
    let is_exact = !sleeps || matches!(file.kind(), Kind::TcpListener | Kind::UnixListener | Kind::Pipe | Kind::Udp);
    let own = PROCESS.load(Relaxed);
    if !is_exact || !sys::signal_owner(fd).is_ok_and(|owner| owner == 0 || owner == own) {
        numbers::disown(fd);
        return false;
    }
    if numbers::take_taint(fd) {
        // Those of an earlier description of this number.
        take_in(None);
    }
    let armed = sync::set_signal_owner(fd, own, signal).and_then(|()| sync::set_async(fd, true)).is_ok();
    if armed {
        numbers::set_armed(fd, true);
    } else {
        numbers::disown(fd);
        let _ = sync::set_signal_owner(fd, 0, 0);
    }
    armed
}
