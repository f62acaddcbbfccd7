//! What a look at a descriptor shows: its kind, its level, and how much has arrived.

pub mod fleeting;
pub mod kind;
pub mod level;
pub mod sample;
