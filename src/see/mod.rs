//! The observer: what the program does with its descriptors and its event loop, as facts
//! (`crates/facts`), and what is wrong with it (`crates/audit`). Only libepolyfill-see.so has this
//! layer, except for the seam (`observer`). The wrappers that call it (`hooks/seen.rs`,
//! `abi/seen.rs`) replace the plain functions there.
//!
//! | module | content |
//! |---|---|
//! | `observer` | the seam: what happens to the process and its numbers |
//! | `recorder` | takes the facts, one at a time, and gives them to the audit and to the record |
//! | `record` | the mapped file that the launcher reads |
//! | `world` | what the audit may ask about the process |
//! | `describe` | a descriptor in words |
//! | `stack` | call stacks of the program |
//! | `chaos` | waits that end otherwise than usual (`--chaos`) |
//! | `kernel` | the kernel's own epoll, with the observer in front of it |
//! | `wait` | a wait that ends for looks, unseen by the program |
//! | `tls` | reads of TLS connections, and the bytes that they leave decrypted |
//! | `ticker` | a thread that looks while no thread of the program calls anything |

#[cfg(feature = "see")]
pub mod calls;
#[cfg(feature = "see")]
pub mod chaos;
#[cfg(feature = "see")]
mod children;
#[cfg(feature = "see")]
mod describe;
#[cfg(feature = "see")]
pub mod kernel;
pub mod observer;
#[cfg(feature = "see")]
mod record;
#[cfg(feature = "see")]
pub mod recorder;
#[cfg(feature = "see")]
mod stack;
#[cfg(feature = "see")]
mod ticker;
#[cfg(feature = "see")]
pub mod tls;
#[cfg(feature = "see")]
mod wait;
#[cfg(feature = "see")]
mod world;

pub use observer::{Observer, Watch};
