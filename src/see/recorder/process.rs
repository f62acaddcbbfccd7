//! The life of a process: its start, its forks, its numbers, its end.

use std::sync::OnceLock;
use std::sync::atomic::Ordering::Release;

use epolyfill_facts::Fact;
use epolyfill_facts::layout::{self, word};
use libc::c_int;

use super::state::State;
use super::{Changes, ON, STATE, TID, fact, is_on, parent, with};
use crate::facts;
use crate::graph::ranks;
use crate::lock::{self, Lock};
use crate::options;
use crate::see::observer::FindCallers;
use crate::see::observer::{Observer, Watch};
use crate::see::record::MOST_PATH;
use crate::see::{chaos, children, kernel, stack, ticker};
use crate::settings;

/// The bytes of the ring of facts.
const RING: usize = 8 << 20;

/// What the launcher asked for.
#[derive(Debug)]
pub(super) struct Wish {
    /// The directory of the records; without one there is none.
    pub(super) directory: Option<&'static [u8]>,
    pub(super) counts: bool,
    /// The bytes of the ring of facts.
    pub(super) room: usize,
}

pub(super) static WISH: OnceLock<Wish> = OnceLock::new();

impl Observer for Watch {
    fn started() {
        kernel::look_up();
        stack::set_up();
        let given = |setting| options::value(setting).filter(|value| !value.is_empty());
        let directory = given(&settings::SEE_IN).filter(|directory| directory.len() <= MOST_PATH);
        let chaos = given(&settings::CHAOS).zip(given(&settings::CHAOS_LOG));
        if (directory.is_none() && chaos.is_none()) || STATE.get().is_some() {
            return;
        }
        let wishes = options::value(&settings::SEE).unwrap_or_default();
        let has = |name: &[u8]| wishes.split(|byte| *byte == b',').any(|wish| wish == name);
        let directory = directory.and_then(copy);
        let _ = WISH.set(Wish { directory, counts: has(b"counts"), room: if has(b"facts") { RING } else { 0 } });
        children::set_up();
        let state = STATE.get_or_init(|| Lock::new(ranks::RECORDER, State::default()));
        state.lock().begin(false, parent());
        if let Some((plan, log)) = chaos {
            chaos::start(plan, log);
        }
        ON.store(true, Release);
        // SAFETY: a function of this library, which is never unloaded.
        unsafe { libc::atexit(end) };
    }

    fn closing(fd: c_int) {
        chaos::met(fd);
        fact(&Fact::Close { fd });
    }

    fn shortened(fd: c_int, n: usize) -> usize {
        chaos::manual::shortened(fd, n)
    }

    fn thread_ended() {
        chaos::thread_ended();
    }

    fn closing_range(first: u32, last: u32) {
        chaos::met_range(first, last);
        with(Changes::Numbers, |state, stamp| {
            let mut from = first;
            while let Some(fd) = state.auditor.mirror().next_number(from, last) {
                state.take(stamp, &Fact::Close { fd });
                from = fd as u32 + 1;
            }
        });
    }

    fn duplicated(from: c_int, to: c_int) {
        fact(&Fact::Dup { from, to });
    }

    fn forking() {
        fact(&Fact::Fork { child: 0 });
    }

    fn born() {
        if !is_on() {
            return;
        }
        TID.with(|tid| tid.set(0));
        ticker::reset_after_fork();
        children::enter(parent());
        chaos::born();
        if let Some(state) = STATE.get() {
            state.lock().begin(true, parent());
        }
    }

    fn lost() {
        ON.store(false, Release);
    }

    fn unsharing() {
        ticker::stop();
    }

    fn executing() {
        fact(&Fact::Exec);
    }

    fn exiting() {
        end();
    }

    fn finds_callers_by(find: FindCallers) {
        stack::finds_callers_by(find);
    }
}

/// The state, for a fork.
pub static AT_FORK: ForkOfState = ForkOfState;

/// The recorder's lock, which may not exist yet.
#[derive(Debug)]
pub struct ForkOfState;

impl lock::ForkLock for ForkOfState {
    fn lock_for_fork(&self) {
        if let Some(state) = STATE.get() {
            state.lock_for_fork();
        }
    }

    unsafe fn unlock_after_fork(&self) {
        if let Some(state) = STATE.get() {
            // SAFETY: as for the caller.
            unsafe { state.unlock_after_fork() };
        }
    }

    fn is_free(&self) -> bool {
        STATE.get().is_none_or(lock::ForkLock::is_free)
    }
}

/// A copy that is never freed.
fn copy(bytes: &[u8]) -> Option<&'static [u8]> {
    let mut copy = Vec::new();
    copy.try_reserve_exact(bytes.len()).ok()?;
    copy.extend_from_slice(bytes);
    Some(copy.leak())
}

/// The process ends: the rules conclude, and a reader has some time to read the rest.
extern "C" fn end() {
    fact(&Fact::Exit { status: 0 });
    ON.store(false, Release);
    let Some(state) = STATE.get() else { return };
    // A child that was forked unseen does not have the record.
    if lock::interrupted() || facts::is_another() {
        return;
    }
    // Not under the lock, which no thread may hold while it sleeps.
    let record = state.lock().record.take();
    if let Some(record) = record {
        record.word(word::STATE).store(layout::EXITING, Release);
        record.announce();
        record.await_reader();
        record.word(word::STATE).store(layout::ENDED, Release);
    }
}
