//! epolyfill: Linux epoll on top of `poll(2)`, as a C-ABI shared library that takes libc's place by
//! `LD_PRELOAD` or by linking.
//!
//! The modules are layers. Code may use its own layer and those below it, which `tests/layers.rs`
//! checks. How a wait runs through them, and the order of the locks, is in `docs/architecture.md`.
//!
//! | layer, top first | job |
//! |---|---|
//! | `raw/` | programs that make their own system calls |
//! | `abi/` | the names that programs link against: libc's, and those of `epolyfill.h` |
//! | `life/` | a process from its start to its end: start-up, fork, exec |
//! | `api/` | callbacks, readiness sources, counters |
//! | `hooks/` | read, write, accept and their kin: what a transfer shows about its descriptor |
//! | `see/` | the observer of libepolyfill-see.so |
//! | `nested/` | an epoll descriptor in another instance, in poll and in select |
//! | `instance/` | one epoll instance: control calls, waits, reports, closes |
//! | `backend/` | how readiness is learnt: poll, watcher threads, rings |
//! | `probe/` | what a look at a descriptor shows: level, count |
//! | `graph/` | the records: numbers, open file descriptions, registrations, instances |
//!
//! The two layers below these are crates, so that the compiler keeps them apart: `crates/ground`,
//! system calls, locks, memory; and `crates/rules`, what an edge is.

// Test builds do not export the hooks (see `abi/symbols/`), so nothing calls them there.
#![cfg_attr(any(test, not(feature = "interpose")), allow(dead_code))]

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64", target_arch = "riscv64")))]
compile_error!("epolyfill knows the calling conventions of x86_64, aarch64 and riscv64 only");
#[cfg(not(target_os = "linux"))]
compile_error!("epolyfill stands in front of Linux's epoll");

use epolyfill_environment::{preload, settings};
use epolyfill_ground::{
    facts, fork_mark, heap, io_uring, lock, log, options, poll_batch, pool, pooled, real, sanitizer, sleep, sock_diag,
    sync, sys, tcp_info, thread, thread_exit, thread_words, uaccess,
};
use epolyfill_rules::{account, count, edge, events, habit, kind, shards, tcp};

/// Whether the library interposes libc's functions, so that it sees the calls that the program
/// makes on its descriptors. If not, it exists beside the kernel's epoll, and learns of edges only
/// from the completions of a ring, from levels and from counts.
pub(crate) const INTERPOSES: bool = cfg!(feature = "interpose");

#[cfg(not(test))]
#[global_allocator]
static MEMORY: heap::Memory = heap::Memory;

pub mod abi;
mod api;
mod backend;
mod graph;
mod hooks;
mod instance;
mod life;
mod nested;
mod probe;
#[cfg(all(feature = "interpose", not(test), target_arch = "x86_64"))]
mod raw;
mod see;
