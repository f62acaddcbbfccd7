//! A wait that is cut into pieces, so that the rules can look while the program sleeps. The program
//! sees one wait: only the last piece can time out, and signals are blocked between the pieces.

use std::hint::black_box;

use epolyfill_environment::anchor::CutWait;
use libc::c_int;

use super::recorder;
use crate::sys::{self, SigMask};

/// The limit of a wait, in nanoseconds; `None` waits without limit.
pub type Limit = Option<u64>;

/// Waits by `whole` if no look is due meanwhile, and otherwise by `piece`, as often as it takes.
/// `piece` takes the limit and the signal mask during the piece. `mask` is the mask of the wait, if
/// it has one.
pub fn with_looks(
    limit: Limit,
    mask: Option<SigMask>,
    whole: impl FnOnce() -> c_int,
    mut piece: impl FnMut(Limit, SigMask) -> c_int,
) -> c_int {
    if limit == Some(0) || due_within(limit).is_none() {
        return whole();
    }
    let began = sys::now();
    let end = limit.map(|ns| began.saturating_add(ns));
    // For a reader of the stack from outside, which sees only the piece in the arguments.
    let cut = CutWait::new(limit, began);
    black_box(&cut);
    let before = sys::swap_signal_mask(sys::ALL_SIGNALS);
    let answer = loop {
        let left = end.map(|end| end.saturating_sub(sys::now()));
        let due = due_within(left);
        let answer = piece(due.or(left), mask.unwrap_or(before));
        if answer != 0 || due.is_none() {
            break answer;
        }
        recorder::tick();
    };
    black_box(&cut);
    let errno = sys::last_errno();
    sys::swap_signal_mask(before);
    if answer < 0 {
        sys::set_errno(errno);
    }
    answer
}

/// The time until a look, if one is due before the wait ends.
fn due_within(limit: Limit) -> Limit {
    /// Looks that are overdue do not make the wait spin.
    const LEAST_NS: u64 = 1_000_000;
    let until = recorder::next_look_ns()?.saturating_sub(sys::now()).max(LEAST_NS);
    (limit.is_none_or(|limit| until < limit)).then_some(until)
}
