//! How readiness is learnt.
//!
//! By `poll`, in the thread that waits (`pollset.rs`) and in watcher threads for what is silent for long (`watch`); or by requests that
//! stay with the kernel (`uring`), where one thread keeps waiting and the kernel has rings.

pub mod account;
mod busy;
pub mod crossing;
pub mod hold;
pub mod parking;
pub mod prospect;
pub mod request;
pub mod ring;
pub mod spares;
pub mod uring;
pub mod watch;
