//! How readiness is learnt where the waiting thread does not poll itself.

pub mod account;
pub mod watch;
