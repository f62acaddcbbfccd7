//! Watcher threads. Each of them polls a shard of parked registrations, and hands those that fire
//! back to their instances.
//!
//! The poll set of a shard belongs to its thread. Other threads leave notes in the shard's mail,
//! and wake the watcher if they cannot wait.

mod set;

use std::alloc::Layout;
use std::ptr;
use std::sync::OnceLock;

use libc::c_void;
use nix::errno::Errno;

use crate::INTERPOSES;
use crate::backend::rest::{self, Rest};
use crate::graph::epitem::{Epitem, Home, NO_SHARD};
use crate::graph::epstate::EpState;
use crate::graph::eventpoll::Eventpoll;
use crate::graph::pin::FilePin;
use crate::graph::ranks;
use crate::graph::stats;
use crate::graph::waitq::Sleeper;
use crate::heap;
use crate::lock::{ForkLock, Lock};
use crate::pool::AtomicRef;
use crate::shards;
use crate::sleep::TICK_NS;
use crate::sync::atomic::Ordering::Relaxed;
use crate::sync::atomic::{AtomicU32, AtomicU64};
use crate::sys;
use crate::thread;
use set::Set;

/// The most shards. Registrations that do not fit stay with the waiting threads.
const SHARDS: usize = 512;
/// A watcher needs little stack, because its set is on the heap.
const STACK_BYTES: usize = 64 * 1024;

/// The shards. Each is made when those before it are full, and is never freed. Most programs need
/// none.
static POOL: [AtomicRef<Shard>; SHARDS] = [const { AtomicRef::none() }; SHARDS];

/// The registrations that one watcher thread polls.
#[derive(Debug)]
struct Shard {
    sleeper: Sleeper,
    mail: Lock<Mail>,
    /// The number of registrations in the shard, including those that are only in a note.
    load: AtomicU32,
}

#[derive(Debug)]
struct Mail {
    /// Registrations that were added, removed or changed, linked through `Epitem::next_note`. Each
    /// is pinned by its note.
    first: Option<&'static Epitem>,
    count: u32,
    /// Whether the thread reads the mail.
    running: bool,
    /// Whether the thread was created and has not run yet. It may take long to run, so it gets no
    /// registrations until then.
    starting: bool,
    /// The arrays for a thread that is being started.
    set: Option<Set>,
}

impl Mail {
    /// Leaves a note. It allocates nothing, so no note is lost for lack of memory.
    fn post(&mut self, item: &'static Epitem) {
        if item.enter_mail(self.first) {
            item.pin();
            self.first = Some(item);
            self.count += 1;
        }
    }

    /// Takes the note on top. The caller unpins its registration.
    fn take(&mut self) -> Option<&'static Epitem> {
        let item = self.first?;
        self.first = item.leave_mail();
        self.count -= 1;
        Some(item)
    }
}

impl Shard {
    const fn new() -> Shard {
        Shard {
            sleeper: Sleeper::new(),
            mail: Lock::new(ranks::MAIL, Mail { first: None, count: 0, running: false, starting: false, set: None }),
            load: AtomicU32::new(0),
        }
    }

    /// Makes a shard that is not in the table yet; `None` without memory.
    fn create() -> Option<&'static Shard> {
        let shard = heap::forever(Layout::new::<Shard>()).cast::<Shard>();
        if shard.is_null() {
            return None;
        }
        // SAFETY: the memory is large enough and aligned, belongs to no other code, and is never
        // freed.
        unsafe {
            shard.write(Shard::new());
            Some(&*shard)
        }
    }

    /// How many more registrations the shard takes, if `number` is its number.
    fn room(&self, number: u16) -> usize {
        shards::size(number).saturating_sub(self.load.load(Relaxed) as usize)
    }

    /// Whether the thread sleeps and cannot be woken.
    fn cannot_wake(&self) -> bool {
        self.sleeper.cannot_wake()
    }
}

/// The shards that were made, which are the first ones of the table.
fn shards() -> impl Iterator<Item = &'static Shard> {
    POOL.iter().map_while(AtomicRef::get)
}

fn shard(number: u16) -> Option<&'static Shard> {
    POOL.get(number as usize)?.get()
}

/// The sleepers of all watchers that ever ran.
pub fn sleepers() -> impl Iterator<Item = &'static Sleeper> {
    shards().map(|shard| &shard.sleeper).filter(|sleeper| sleeper.wake_fd() >= 0)
}

/// Makes the watchers read their mail and release the registrations that were taken back.
#[cold]
pub fn wake_poller() {
    sleepers().for_each(Sleeper::wake_up);
}

/// Parks registrations of one instance, whose lock is held. Returns how many it parked. Those for
/// which there is no thread or no memory stay in place.
pub fn park(st: &mut EpState, items: impl Iterator<Item = &'static Epitem>) -> usize {
    let mut parked = 0;
    let mut to_wake: Option<&'static Shard> = None;
    let mut roomy: Option<(u16, &'static Shard)> = None;
    for item in items {
        // A registration that may still be in another watcher's set goes there again, because a
        // close would not know of two watchers.
        let before = item.at(&st.held).shard();
        let place = if before != NO_SHARD {
            shard(before).map(|shard| (before, shard))
        } else {
            roomy = roomy.filter(|(number, shard)| shard.room(*number) > 0).or_else(shard_with_room);
            roomy
        };
        let Some((number, shard)) = place else { break };
        if before != NO_SHARD && shard.cannot_wake() {
            continue;
        }
        if to_wake.is_some_and(|before| !ptr::eq(before, shard)) {
            wake(to_wake.take());
        }
        let posted = {
            let mut mail = shard.mail.lock();
            if !mail.running && !mail.starting {
                let _ = start(number, shard, &mut mail);
            }
            // Without hooks the library does not see polls of an instance's descriptor, so no
            // thread would look at registrations that are not with a watcher.
            let takes = mail.running || (mail.starting && !INTERPOSES);
            if takes {
                mail.post(item);
            }
            takes
        };
        if !posted {
            break;
        }
        // The order does not matter: the watcher takes the instance's lock before it acts on the
        // note.
        st.backend.set.remove(item, &st.held);
        item.at(&st.held).set_parked(true);
        item.at(&st.held).set_shard(number);
        // The bits that the watcher asks for, which are those that the instance would ask for.
        item.set_asked(asked(st, item));
        st.backend.parked += 1;
        shard.load.fetch_add(1, Relaxed);
        st.stats.parks += 1;
        parked += 1;
        to_wake = Some(shard);
    }
    wake(to_wake);
    parked
}

fn wake(shard: Option<&'static Shard>) {
    if let Some(shard) = shard {
        shard.sleeper.wake_up();
    }
}

fn shard_with_room() -> Option<(u16, &'static Shard)> {
    for (number, place) in (0..).zip(&POOL) {
        if place.get().is_none() {
            // If another thread made the shard meanwhile, that one stays.
            place.replace(None, Shard::create());
        }
        let shard = place.get()?;
        if shard.room(number) > 0 && !shard.cannot_wake() {
            return Some((number, shard));
        }
    }
    None
}

/// Starts the threads for `registrations` more registrations, so that all of them can be parked
/// together once the threads run.
pub fn prepare(registrations: usize) {
    let mut room = 0;
    for number in 0..SHARDS as u16 {
        let place = &POOL[number as usize];
        if place.get().is_none() {
            // If another thread made the shard meanwhile, that one stays.
            place.replace(None, Shard::create());
        }
        let Some(shard) = place.get() else { return };
        let mut mail = shard.mail.lock();
        if !mail.running && !mail.starting && start(number, shard, &mut mail).is_err() {
            return;
        }
        drop(mail);
        room += shard.room(number);
        if room >= registrations {
            return;
        }
    }
}

/// The bits to poll for on behalf of a registration.
pub fn asked(st: &EpState, item: &Epitem) -> u16 {
    item.file().and_then(|file| st.bits_to_ask(item, file)).unwrap_or(0)
}

/// Takes a registration back from its watcher, if it is parked. The watcher may go on polling it
/// until it reads the note, which matters only for a close (see [`pin`]).
pub fn take_back(st: &mut EpState, item: &'static Epitem) {
    let state = item.at(&st.held);
    let Home::Parked(number) = state.home() else { return };
    state.set_parked(false);
    st.backend.parked -= 1;
    if let Some(shard) = shard(number) {
        shard.mail.lock().post(item);
    }
}

/// Returns the pin of the watcher of a shard on each file that it polls, if it may be in poll at
/// this moment (D4).
pub fn pin(number: u16) -> Option<FilePin> {
    shard(number)?.sleeper.pin()
}

/// The time after a failed start of a watcher during which no other start is tried.
const REFUSED_NS: u64 = 100_000_000;
/// The end of that time.
static REFUSED_UNTIL: AtomicU64 = AtomicU64::new(0);

/// Starts a shard's thread, unless a start failed just now: an attempt is expensive, and waits make
/// attempts often.
fn start(number: u16, shard: &'static Shard, mail: &mut Mail) -> Result<(), Errno> {
    if sys::now() < REFUSED_UNTIL.load(Relaxed) {
        return Err(Errno::EAGAIN);
    }
    start_now(number, shard, mail).inspect_err(|_| REFUSED_UNTIL.store(sys::now() + REFUSED_NS, Relaxed))
}

/// Starts a shard's thread, with a small stack.
fn start_now(number: u16, shard: &'static Shard, mail: &mut Mail) -> Result<(), Errno> {
    shard.sleeper.ensure_wake()?;
    mail.set = Some(Set::new(number)?);
    // SAFETY: a shard is never freed, and `watch` takes a pointer to one.
    unsafe { thread::start(Some(STACK_BYTES), watch, ptr::from_ref(shard).cast_mut().cast())? };
    stats::WATCHERS.count();
    mail.starting = true;
    Ok(())
}

extern "C" fn watch(argument: *mut c_void) -> *mut c_void {
    // SAFETY: `start` passes a reference to a shard, which is never freed.
    let shard: &'static Shard = unsafe { &*argument.cast::<Shard>() };
    thread::set_name(c"epolyfill-watch");
    shard.sleeper.set_tid(sys::gettid());
    let taken = {
        let mut mail = shard.mail.lock();
        mail.starting = false;
        mail.running = true;
        mail.set.take()
    };
    let Some(mut set) = taken else { return ptr::null_mut() };
    let mut tick = TICK_NS;
    let mut rest = Rest::new(shard.sleeper.evictions());
    loop {
        set.read_mail(shard);
        let epoch = shard.sleeper.enter_poll();
        // Tried again in each round, because a number may be free by now.
        set.entries[0].fd = shard.sleeper.ensure_wake().unwrap_or(-1);
        // A closing thread first posts its note and then checks whether this thread is in poll, so
        // this thread checks for notes once more here.
        if shard.mail.lock().first.is_none() {
            set.poll(&mut tick);
            stats::WATCHER_POLLS.count();
        }
        shard.sleeper.leave_poll(epoch);
        match set.entries[0].revents {
            0 => {}
            libc::POLLNVAL => {
                shard.sleeper.lose_wake();
                let _ = shard.sleeper.ensure_wake();
            }
            _ => shard.sleeper.clear_wakeup(),
        }
        set.hand_back_fired(shard);
        if let Some(pause) = rest::after(&mut rest, &shard.sleeper, set.items.len(), false) {
            rest::rest(&shard.sleeper, pause);
        }
    }
}

/// The function that a watcher calls with a registration that fired; none before start-up.
static ON_FIRED: OnceLock<OnFired> = OnceLock::new();

/// Takes a registration that fired, and is no longer parked, back into its instance, whose lock is
/// held.
pub type OnFired = fn(&'static Eventpoll, &mut EpState, &'static Epitem);

/// Sets the function that a watcher calls with a registration that fired. Called once, at start-up.
pub fn set_up(on_fired: OnFired) {
    let _ = ON_FIRED.set(on_fired);
}

fn fired(ep: &'static Eventpoll, st: &mut EpState, item: &'static Epitem) {
    if let Some(on_fired) = ON_FIRED.get() {
        on_fired(ep, st, item);
    }
}

/// In a forked child there are no watchers: their registrations are polled by the instance again
/// (`lifecycle::reset_all_after_fork`), and the shards are empty.
pub fn reset_after_fork() {
    for shard in shards() {
        let mut mail = shard.mail.lock();
        let started = std::mem::take(&mut mail.running) | std::mem::take(&mut mail.starting);
        if !started && shard.sleeper.wake_fd() < 0 {
            continue;
        }
        mail.set = None;
        while let Some(item) = mail.take() {
            item.unpin();
        }
        drop(mail);
        shard.load.store(0, Relaxed);
        shard.sleeper.reset_after_fork(false);
    }
}

/// The mail of every shard.
#[derive(Debug)]
pub struct AllMail;

impl ForkLock for AllMail {
    fn lock_for_fork(&self) {
        shards().for_each(|shard| shard.mail.lock_for_fork());
    }

    unsafe fn unlock_after_fork(&self) {
        // SAFETY: the caller guarantees it.
        shards().for_each(|shard| unsafe { shard.mail.unlock_after_fork() });
    }

    fn is_free(&self) -> bool {
        shards().all(|shard| shard.mail.is_free())
    }
}
