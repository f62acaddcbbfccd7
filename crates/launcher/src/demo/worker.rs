//! The demo's worker: an ordinary epoll program, in a process of its own. It does one round of the
//! work and prints the score.
//!
//! On epolyfill it first asks the kernel for an epoll instance by an inline system call, which no
//! library intercepts. That must fail, or its score would prove nothing.

use super::readiness::Readiness;
use super::{Score, echo};
use crate::failure::Failure;
use std::ffi::OsString;
use std::time::Duration;
use syscalls::{Errno, Sysno, syscall};

/// In seconds. A worker that takes longer never ends by itself; the alarm ends it.
const TOO_LONG: u32 = 30;

/// Printed in place of a score if the system does not have epoll.
pub const NOT_THERE: &str = "n/a";

/// The arguments: `epolyfill`, `kernel` or `poll`, and milliseconds.
pub fn work(words: &[OsString]) -> Result<(), Failure> {
    let [source, length] = words else {
        return Err(misused());
    };
    let length = length.to_str().and_then(|length| length.parse().ok()).ok_or_else(misused)?;
    let length = Duration::from_millis(length);
    nix::unistd::alarm::set(TOO_LONG);
    let score = match (source.to_str(), kernel_epoll()) {
        (Some("epolyfill"), Err(Errno::ENOSYS)) | (Some("kernel"), Ok(())) => echo::run(Readiness::epoll, length),
        (Some("epolyfill"), _) => Err("the kernel's epoll is not refused".to_owned()),
        (Some("kernel"), Err(_)) => return crate::say(NOT_THERE),
        (Some("poll"), _) => echo::run(|| Ok(Readiness::Poll(Vec::new())), length),
        _ => return Err(misused()),
    };
    let Score { events, time } = score.map_err(Failure::own)?;
    crate::say(&format!("{events} {}\n", time.as_nanos()))
}

fn misused() -> Failure {
    Failure::own("--demo-worker is internal to --demo; use --demo")
}

/// Whether the kernel itself has epoll.
fn kernel_epoll() -> Result<(), Errno> {
    // SAFETY: the call takes no pointer, and the descriptor that it makes is used nowhere else.
    unsafe {
        let fd = syscall!(Sysno::epoll_create1, 0)?;
        syscall!(Sysno::close, fd).map(|_| ())
    }
}
