//! Hooks of the calls that fill and drain message queues, and that set timers.

use libc::c_int;
use nix::errno::Errno;

use super::watched;
use crate::edge::Facts;
use crate::events::IN;
use crate::sys;

/// Makes a call that adds a message to a queue from mq_open(3), or takes one from it. Either wakes
/// every waiter. A call that fails may have met a low level.
#[inline]
pub fn queueing(fd: c_int, low: Facts, call: impl FnOnce() -> isize) -> isize {
    let Some(file) = watched(fd) else { return call() };
    let at = file.begin_call();
    let n = call();
    if n >= 0 {
        file.tell(Facts::WAKE_ALL, at);
    } else if matches!(sys::last_errno(), Errno::EAGAIN | Errno::ETIMEDOUT) {
        file.tell(low, at);
    }
    n
}

/// Makes a call that sets a timer. It discards an unread expiration, as if a read had taken it.
#[inline]
pub fn setting_timer(fd: c_int, call: impl FnOnce() -> c_int) -> c_int {
    let Some(file) = watched(fd) else { return call() };
    let at = file.begin_call();
    let taking = file.begin_taking();
    let had_expired = sys::level(fd, IN) & IN != 0;
    let answer = call();
    if answer == 0 && had_expired {
        file.consume(1);
    }
    drop(taking);
    if answer == 0 {
        file.tell(if had_expired { Facts::READ_ALL } else { Facts::RECHECK }, at);
    }
    answer
}
