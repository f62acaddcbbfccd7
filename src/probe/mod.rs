//! What a look at a descriptor shows: its level, and how much has arrived.

pub mod fleeting;
pub mod level;
pub mod observe;
pub mod sample;
