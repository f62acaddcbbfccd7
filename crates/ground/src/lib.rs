//! The ground of epolyfill: system calls, locks, memory and threads. It knows nothing of epoll.
//!
//! | module | job |
//! |---|---|
//! | `sys`, `next` | raw system calls; the next definitions of the symbols that the library exports |
//! | `user` | copies from and to the program's memory |
//! | `sync`, `lock` | atomics, sleeps and wake-ups, which the models replace; the lock |
//! | `memory`, `pool` | memory of the library's own; records that keep their type when they are used again |
//! | `thread`, `nap`, `window` | threads of the library; one sleep in `ppoll`; a poll over a few descriptors |
//! | `ring`, `diagnosis`, `tcp_info` | a ring of io_uring; the socket diagnosis of netlink; TCP_INFO |
//! | `fork_mark`, `thread_exit` | a fork without handlers is noticed; the end of a thread is noticed |
//! | `options`, `log`, `facts` | settings; lines on standard error; what is known of the process |
//! | `sanitizer` | what ThreadSanitizer's runtime has to be told |
//!
//! Nothing here is exported from the library, and nothing calls a function of libc that the library exports.

// A `Default` that nobody asks for.
#![allow(clippy::new_without_default)]

#[cfg(not(target_os = "linux"))]
compile_error!("epolyfill stands in front of Linux's epoll");

use epolyfill_environment::settings;
use epolyfill_rules::events;

pub mod diagnosis;
pub mod facts;
pub mod fork_mark;
pub mod lock;
pub mod log;
pub mod memory;
pub mod nap;
pub mod next;
pub mod options;
pub mod pool;
pub mod ring;
pub mod sanitizer;
pub mod sync;
pub mod sys;
pub mod tcp_info;
pub mod thread;
pub mod thread_exit;
pub mod user;
pub mod window;
