//! Which descriptor numbers name descriptions that only this process has, and which of those send
//! signals (see `backend/signals.rs`).
//!
//! The owner of a description's signals is one process, whoever else has the description. So only
//! numbers that a call of this process made since its last fork are used: another process that gets
//! such a description, by fork or in a message, did not make it and leaves its owner alone.

use libc::c_int;

use crate::graph::own_table;
use crate::sync::atomic::Ordering::{Relaxed, SeqCst};
use crate::sync::atomic::{AtomicBool, AtomicI32, AtomicU8, AtomicU16};

/// The numbers that are followed. Higher ones are polled.
const NUMBERS: usize = 1 << 16;

/// A call of this process made the description.
const OWN: u8 = 1;
/// The description sends signals that carry this number.
const ARMED: u8 = 1 << 1;
/// The number was closed while signals that carry it may have been under way.
const TAINTED: u8 = 1 << 2;
/// The description is polled for a while, because too many signals came.
const RESTS: u8 = 1 << 3;

static STATES: [AtomicU8; NUMBERS] = [const { AtomicU8::new(0) }; NUMBERS];

/// For each number, [`UNREPORTED`], and how many more signals came than reports.
static RATES: [AtomicU8; NUMBERS] = [const { AtomicU8::new(0) }; NUMBERS];

/// A signal came since the last report.
const UNREPORTED: u8 = 1 << 7;
/// With so many more signals than reports, a poll sees the arrivals at a lower price.
const TOO_MANY: u8 = 100;

/// For each number, how many rests it has had (from bit [`TIMES`] on), and the number of reports
/// until the end of this one.
static REST_LENGTHS: [AtomicU16; NUMBERS] = [const { AtomicU16::new(0) }; NUMBERS];

const TIMES: u32 = 12;
/// The reports of a rest with which a description begins, if it has to prove that signals pay.
const TRIAL: u16 = 8;
/// The reports of the first rest. Each further rest is twice as long, up to [`MOST_TIMES`] of them,
/// so that the signals that end a rest soon cost little for each report.
const FIRST_REST: u16 = 32;
const MOST_TIMES: u16 = 6;

/// For each number, how many of its reports came in quick succession (from bit [`PACE`] on), and the
/// time of the last one.
static PACES: [AtomicU16; NUMBERS] = [const { AtomicU16::new(0) }; NUMBERS];

const PACE: u32 = 8;
/// The number of reports in quick succession that makes a description busy.
const BUSY: u16 = 8;
/// The most waits between two reports in quick succession.
const SPAN: u16 = 8;

/// Whether numbers are followed at all.
static FOLLOWED: AtomicBool = AtomicBool::new(false);
/// Whether a description begins with a rest.
static BEGINS_RESTING: AtomicBool = AtomicBool::new(false);
/// The highest number that was noted.
static HIGHEST: AtomicI32 = AtomicI32::new(-1);

fn state(fd: c_int) -> Option<&'static AtomicU8> {
    STATES.get(fd.cast_unsigned() as usize)
}

fn has(fd: c_int, bit: u8) -> bool {
    state(fd).is_some_and(|state| state.load(SeqCst) & bit != 0)
}

/// Follows numbers from here on. If `on_trial`, a description sends no signals until it has been
/// reported a few times.
pub fn follow(on_trial: bool) {
    BEGINS_RESTING.store(on_trial, SeqCst);
    FOLLOWED.store(true, SeqCst);
}

/// Whether numbers are followed.
#[inline(always)]
pub fn are_followed() -> bool {
    FOLLOWED.load(Relaxed)
}

/// Records that a call of this process has made the description under a number. Passes the number
/// on.
#[inline]
pub fn note_made(fd: c_int) -> c_int {
    if are_followed()
        && !own_table::is_borrowed()
        && let Some(state) = state(fd)
    {
        forget(fd);
        let at = fd.cast_unsigned() as usize;
        RATES[at].store(0, Relaxed);
        PACES[at].store(0, Relaxed);
        let is_on_trial = BEGINS_RESTING.load(Relaxed);
        REST_LENGTHS[at].store(if is_on_trial { TRIAL } else { 0 }, Relaxed);
        state.fetch_or(if is_on_trial { OWN | RESTS } else { OWN }, SeqCst);
        HIGHEST.fetch_max(fd, Relaxed);
    }
    fd
}

/// Forgets a number that is about to be closed and that no registration has. False if its
/// description sends signals. In a vfork child this clears the parent's entry; the parent polls that
/// description from then on.
#[inline(always)]
pub fn forgets(fd: c_int) -> bool {
    if !are_followed() {
        return true;
    }
    let Some(state) = state(fd) else { return true };
    let now = state.load(Relaxed);
    now & !TAINTED == 0 || now & ARMED == 0 && state.compare_exchange(now, now & TAINTED, SeqCst, Relaxed).is_ok()
}

/// Forgets a number that is about to be closed, or names another description now.
#[inline]
pub fn forget(fd: c_int) {
    if let Some(state) = state(fd).filter(|state| state.load(Relaxed) != 0) {
        let before = state.load(SeqCst);
        state.store(if before & (ARMED | TAINTED) != 0 { TAINTED } else { 0 }, SeqCst);
    }
}

/// Forgets a range of numbers.
pub fn forget_range(first: u32, last: u32) {
    let highest = HIGHEST.load(Relaxed);
    if highest >= 0 && are_followed() {
        (first..=last.min(highest.cast_unsigned())).for_each(|fd| forget(fd.cast_signed()));
    }
}

/// Whether the description may send signals: a call of this process made it, and it does not rest.
pub fn may_send(fd: c_int) -> bool {
    state(fd).is_some_and(|state| state.load(SeqCst) & (OWN | RESTS) == OWN)
}

/// Never uses the description again.
pub fn disown(fd: c_int) {
    if let Some(state) = state(fd) {
        state.fetch_and(!OWN, SeqCst);
    }
}

/// Whether the description sends signals that carry this number.
#[inline]
pub fn is_armed(fd: c_int) -> bool {
    has(fd, ARMED)
}

/// Records whether the description sends signals.
pub fn set_armed(fd: c_int, armed: bool) {
    if let Some(state) = state(fd) {
        if armed {
            state.fetch_or(ARMED, SeqCst);
        } else {
            state.fetch_and(!ARMED, SeqCst);
            state.fetch_or(TAINTED, SeqCst);
        }
    }
}

/// Counts a signal. True if signals come much more often than reports: of those that come before
/// the next report, each after the first is for nothing.
pub fn count_signal(fd: c_int) -> bool {
    let Some(rate) = RATES.get(fd.cast_unsigned() as usize) else { return false };
    let before = rate.load(Relaxed);
    let excess = before & !UNREPORTED;
    let now = if before & UNREPORTED != 0 { excess + 1 } else { excess.saturating_sub(1) };
    let are_too_many = now >= TOO_MANY;
    // Two threads may lose a count.
    rate.store(UNREPORTED | if are_too_many { TOO_MANY / 2 } else { now }, Relaxed);
    are_too_many
}

/// The description sends no signals for a number of reports, which grows with each rest.
pub fn begin_rest(fd: c_int) {
    if let (Some(state), Some(length)) = (state(fd), REST_LENGTHS.get(fd.cast_unsigned() as usize)) {
        let times = length.load(Relaxed) >> TIMES;
        length.store((times + 1).min(MOST_TIMES) << TIMES | FIRST_REST << times, Relaxed);
        state.fetch_or(RESTS, SeqCst);
    }
}

/// Ends the rest of a description, perhaps before its time.
pub fn end_rest(fd: c_int) {
    if let (Some(state), Some(length)) = (state(fd), REST_LENGTHS.get(fd.cast_unsigned() as usize)) {
        length.store(length.load(Relaxed) >> TIMES << TIMES, Relaxed);
        RATES[fd.cast_unsigned() as usize].store(0, Relaxed);
        state.fetch_and(!RESTS, SeqCst);
    }
}

/// Counts a report of a description that sends signals, in the wait of this number. True if it is
/// reported again and again: then a poll costs less than its signals.
pub fn is_busy(fd: c_int, wait: u64) -> bool {
    let Some(pace) = PACES.get(fd.cast_unsigned() as usize) else { return false };
    let (before, now) = (pace.load(Relaxed), wait as u16 & ((1 << PACE) - 1));
    let in_a_row = now.wrapping_sub(before) & ((1 << PACE) - 1) <= SPAN;
    let reports = if in_a_row { before >> PACE } else { 0 } + 1;
    // Two threads may lose a count.
    pace.store(if reports >= BUSY { 0 } else { reports << PACE } | now, Relaxed);
    reports >= BUSY
}

/// Whether the description rests.
#[inline]
pub fn rests(fd: c_int) -> bool {
    has(fd, RESTS)
}

/// Counts a report of a description that rests. True if that ends its rest.
pub fn count_rest(fd: c_int) -> bool {
    let Some(length) = REST_LENGTHS.get(fd.cast_unsigned() as usize) else { return false };
    let before = length.load(Relaxed);
    let is_over = before & ((1 << TIMES) - 1) <= 1;
    if is_over {
        end_rest(fd);
    } else {
        // Two threads may lose a count.
        length.store(before - 1, Relaxed);
    }
    is_over
}

/// Records a report of a registration of the description.
pub fn note_reported(fd: c_int) {
    if let Some(rate) = RATES.get(fd.cast_unsigned() as usize) {
        rate.fetch_and(!UNREPORTED, Relaxed);
    }
}

/// Whether signals of an earlier description may still carry the number. Not any more after this
/// call: the caller takes in all that are under way.
pub fn take_taint(fd: c_int) -> bool {
    has(fd, TAINTED) && state(fd).is_some_and(|state| state.fetch_and(!TAINTED, SeqCst) & TAINTED != 0)
}

/// The numbers that send signals.
pub fn armed() -> impl Iterator<Item = c_int> {
    (0..=HIGHEST.load(Relaxed)).filter(|fd| is_armed(*fd))
}

/// After a fork, the descriptions are also the child's.
pub fn share_all() {
    for state in &STATES[..(HIGHEST.load(Relaxed) + 1).cast_unsigned() as usize] {
        state.fetch_and(!OWN, SeqCst);
    }
}

/// In a forked child, forgets all numbers: the descriptions are the parent's, too.
pub fn reset_after_fork() {
    for fd in 0..=HIGHEST.load(Relaxed) {
        if let Some(state) = state(fd) {
            state.store(0, SeqCst);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A number that no other test counts.
    const FD: c_int = NUMBERS as c_int - 1;

    #[test]
    fn signals_that_come_much_more_often_than_reports_are_too_many() {
        // Two for each report are not.
        for _ in 0..1000 {
            assert!(!count_signal(FD) && !count_signal(FD));
            note_reported(FD);
        }
        let mut reports = 0;
        while !(count_signal(FD) | count_signal(FD) | count_signal(FD)) {
            note_reported(FD);
            reports += 1;
        }
        assert!((50..200).contains(&reports), "{reports}");
    }

    #[test]
    fn a_description_is_busy_if_most_waits_report_it() {
        const FD: c_int = NUMBERS as c_int - 3;
        let busy_after = |gap: u64| (1..100).find(|turn| is_busy(FD, 1000 + turn * gap));
        assert_eq!(busy_after(1), Some(u64::from(BUSY)));
        assert_eq!((1..100).find(|turn| is_busy(FD, turn * (u64::from(SPAN) + 1))), None);
    }

    #[test]
    fn each_rest_is_twice_as_long_as_the_one_before() {
        const FD: c_int = NUMBERS as c_int - 2;
        let mut lengths = Vec::new();
        for _ in 0..8 {
            begin_rest(FD);
            assert!(rests(FD) && !may_send(FD));
            lengths.push(1 + (0..).take_while(|_| !count_rest(FD)).count());
            assert!(!rests(FD));
        }
        assert_eq!(lengths, [32, 64, 128, 256, 512, 1024, 2048, 2048]);
    }
}
