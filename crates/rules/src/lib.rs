//! The rules of epolyfill as pure functions: no descriptor, no lock, no allocation.
//!
//! | module | content |
//! |---|---|
//! | `events`, `kind`, `tcp` | the bits of epoll; kinds of open file descriptions; states of TCP |
//! | `count` | counts of arrivals, and the difference between two |
//! | `edge` | which change of level is an edge |
//! | `habit`, `rest` | whether a wait looks before it sleeps; pauses out of poll |
//! | `account`, `shards` | whether watcher threads pay, and how many there are |
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
