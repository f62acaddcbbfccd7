//! epolyfill: Linux epoll on top of `poll(2)`, as a C-ABI shared library that takes libc's place by `LD_PRELOAD` or by linking.
//!
//! # One way through the house
//!
//! ```text
//!  symbol ───► instance ───► item ───► file ───► poll ───► ready list ───► harvest ───► caller's events[]
//! (symbols/)  (eventpoll)  (epitem)  (file,     (pollset,  (eventpoll)    (harvest,
//!                                     fdtable)   wait,                     edge)
//!                                                poller/)
//! ```
//!
//! A registration (`epitem`) ties one number of one open file description (`file`) to one instance (`eventpoll`). The thread
//! that waits polls the instance's poll set (`pollset`) itself; registrations that were silent for long are with watcher threads
//! (`poller/watch`). Where one thread keeps waiting a ring may stand in for all that (`poller/uring`). `edge` decides which levels are news, from what `sample` counts and what the witnesses saw (`witness`, told
//! by the transfer calls in `symbols/transfers`).
//!
//! # Locking
//!
//! Locks are taken in this order, and none is held across a sleep:
//!
//! 1. `nested::LINKS`: one thread at a time adds links between instances, or two could close a cycle together.
//! 2. `file::Graph`, one per description: its numbers and its registrations. Held alone by the descriptor calls; never two at
//!    once.
//! 3. `epstate::EpState`, one per instance: everything a wait works on. An outer instance's lock may be held when an inner
//!    one's is taken (the links have no cycle), never the other way round.
//! 4. `watch::Mail`, one per watcher: notes to it. The index of descriptions by inode, `file/index.rs`.
//! 5. The pools' free lists.
//! 6. `memory::HEAP`.
//!
//! What takes no lock: the lookup in `fdtable`; a witness, which leaves facts in atomics and goes without the graph's lock if it is
//! taken; the inbox of an instance; a kick. None of them waits for a thread that may be held up in a signal handler. So `read`,
//! `write` and the like never wait for us, and work in signal handlers. A `close` in a signal handler that interrupted this
//! library is settled when the interrupted code lets go of its last lock; a control call there is refused.
//!
//! # Rooms
//!
//! | room | job |
//! |---|---|
//! | `symbols/` | what the dynamic linker binds |
//! | `capi`, `calls` | the functions of `epolyfill.h`; what they have in common with those of libc's names |
//! | `dispatch`, `source`, `view`, `thread` | callbacks; descriptors that are ready when the program says so; arrays that the program reads events in; threads of our own |
//! | `sys`, `next` | the ways out: raw system calls, and the next definition of a symbol |
//! | `eventpoll/`, `epstate`, `epitem`, `control` | an instance, and what its lock protects; a registration; what control calls do to them |
//! | `wait`, `glance`, `waitq`, `ready`, `harvest` | the waiting thread; a look past another one; how threads sleep and are woken; who is ready; what is reported |
//! | `pollset`, `poller/` | the array poll works on; watcher threads and who is with them; rings |
//! | `fdtable`, `file/`, `descriptors` | numbers; open file descriptions; close and dup |
//! | `kind`, `edge`, `sample`, `diagnosis`, `witness/` | what a description is; what an edge is; how arrivals are counted and seen |
//! | `unease`, `left`, `exclusive` | what reported levels can hide; who has left the poll set; which of several instances reports |
//! | `nested`, `observer` | instances inside others; poll and select on an epoll descriptor |
//! | `process` | start-up, fork, exit |
//! | `sanitizer` | what the runtimes of AddressSanitizer and ThreadSanitizer have to be told |
//! | `heritage`, `exec_env` | what the process was started with; the environment of what it executes |
//! | `user`, `sync`, `lock`, `pool`, `memory`, `events`, `options`, `stats`, `log` | tools |

// Test builds do not export the hooks (see `symbols/`), and so nobody calls them there.
#![cfg_attr(any(test, not(feature = "interpose")), allow(dead_code))]

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
compile_error!("epolyfill knows the calling conventions of x86_64 and aarch64 only");
#[cfg(not(target_os = "linux"))]
compile_error!("epolyfill stands in front of Linux's epoll");

use epolyfill_environment::{preload, settings};
use epolyfill_rules::{account, count, edge, events, habit, shards, shortage, tcp};

mod annex;
mod calls;
pub mod capi;
mod control;
mod descriptors;
mod diagnosis;
mod dispatch;
mod epitem;
mod epstate;
mod eventpoll;
mod exclusive;
mod exec_env;
mod fdtable;
mod file;
mod fleeting;
mod glance;
mod harvest;
mod heritage;
mod kind;
mod left;
mod line;
mod lock;
mod log;
mod memory;
mod nap;
mod nested;
mod next;
mod observer;
mod options;
mod own_table;
mod poller;
mod pollset;
mod pool;
mod process;
mod ready;
mod rest;
mod sample;
mod sanitizer;
mod source;
mod stats;
mod symbols;
mod sync;
mod sys;
mod thread;
mod unease;
mod user;
mod view;
mod wait;
mod waitq;
mod window;
mod witness;
