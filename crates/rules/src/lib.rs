//! The rules of epolyfill that need nothing of the system: no descriptor, no lock, no allocation.
//!
//! | module | what it decides |
//! |---|---|
//! | `events`, `kind`, `tcp` | the bits of epoll; kinds of open file descriptions; states of TCP |
//! | `count` | what two counts of arrivals show |
//! | `edge` | which change of level is an edge |
//! | `habit`, `rest` | whether a wait looks before it sleeps; when a thread stays out of poll for a while |
//! | `account`, `shards` | whether watcher threads pay, and how many there must be |
//!
//! Facts about the process are passed as arguments.

#![no_std]
#![forbid(unsafe_code)]

#[cfg(test)]
extern crate std;

pub mod account;
pub mod count;
pub mod edge;
pub mod events;
pub mod habit;
pub mod kind;
pub mod rest;
pub mod shards;
pub mod tcp;
