//! The results of a look at a descriptor: its level, and the count of its arrivals.

pub mod fleeting;
pub mod level;
pub mod observe;
pub mod sample;
