//! One epoll instance: control calls, waits, reports, and closes of the files that it watches.

pub mod any_ready;
pub mod close;
pub mod control;
pub mod dup;
pub mod epoll_file;
pub mod insert;
pub mod item_poll;
pub mod left;
pub mod lifecycle;
pub mod naming;
pub mod nesting_limits;
pub mod open;
pub mod parked;
pub mod poller_peek;
pub mod refresh;
pub mod registration_limit;
pub mod remove;
pub mod resample;
pub mod ring_use;
pub mod second_look;
pub mod send_events;
#[cfg(test)]
pub mod testing;
pub mod vanished;
pub mod wait;
