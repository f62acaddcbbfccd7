//! The base of epolyfill: system calls, locks, memory and threads. It knows nothing of epoll.
//!
//! | module | job |
//! |---|---|
//! | `sys`, `real` | raw system calls; the next definitions of the symbols that the library exports |
//! | `uaccess` | copies from and to the program's memory |
//! | `sync`, `lock` | atomics, sleeps and wake-ups, which the models replace; the lock |
//! | `heap`, `pool` | the library's own allocator; type-stable records |
//! | `thread`, `sleep`, `poll_batch` | threads of the library; one sleep in `ppoll`; a poll over a few descriptors |
//! | `io_uring`, `sock_diag`, `tcp_info` | a ring of io_uring; the socket diagnosis of netlink; TCP_INFO |
//! | `thread_words` | the words of a thread that every wait reads |
//! | `fork_mark`, `thread_exit` | detection of a fork without handlers; of the end of a thread |
//! | `options`, `log`, `facts` | settings; lines on standard error; facts about the process |
//! | `sanitizer` | reports to ThreadSanitizer's runtime |
//!
//! The statics that every wait reads, here and in `graph`, are in the section `.data.wait`, and so
//! on one page or two: a program that sleeps between two events has to find each page anew.
//!
//! Nothing here is exported from the library, and nothing calls a libc function that the library
//! exports.

// A `Default` that no code uses.
#![allow(clippy::new_without_default)]

#[cfg(not(target_os = "linux"))]
compile_error!("epolyfill stands in front of Linux's epoll");

use epolyfill_environment::settings;
use epolyfill_rules::events;

pub mod facts;
pub mod fork_mark;
pub mod heap;
pub mod io_uring;
pub mod lock;
pub mod log;
pub mod options;
pub mod poll_batch;
pub mod pool;
pub mod real;
pub mod sanitizer;
pub mod sleep;
pub mod sock_diag;
pub mod sync;
pub mod sys;
pub mod tcp_info;
pub mod thread;
pub mod thread_exit;
pub mod thread_words;
pub mod uaccess;
