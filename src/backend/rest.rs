//! Pauses out of poll (`epolyfill_rules::rest` decides on them).

use crate::graph::waitq::Sleeper;
use crate::sync;
use crate::sys;

pub use epolyfill_rules::rest::Rest;

/// Records that the thread was in poll on `descriptors` descriptors. Returns the length of its
/// pause, if there is one.
pub fn after(rest: &mut Rest, me: &Sleeper, descriptors: usize, in_vain: bool) -> Option<u32> {
    rest.after(me.evictions(), descriptors, in_vain, sys::now)
}

/// Sleeps for `pause`, after the threads that wait for this one to leave poll have run. The caller
/// holds no lock.
pub fn rest(me: &Sleeper, pause: u32) {
    const STEP_NS: u32 = 200_000;
    const STEPS: u32 = 100;
    for _ in 0..STEPS {
        if !me.is_waited_for() {
            break;
        }
        sync::nap(STEP_NS);
    }
    sync::nap(pause);
}
