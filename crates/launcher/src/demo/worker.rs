//! The demo's worker: an ordinary epoll program, in a process of its own. It does one round of one workload and prints the score.
//!
//! On epolyfill it first asks the kernel for an epoll by a system call instruction of its own, which no library comes between. That
//! must fail, or what it does next proves nothing.

use super::readiness::{Epoll, Poll};
use super::{SOURCES, Score, Source, WORKLOADS, Workload, echo, tokens};
use crate::failure::Failure;
use std::ffi::{OsStr, OsString};
use std::time::Duration;
use syscalls::{Errno, Sysno, syscall};

/// A worker that is not done after so many seconds never will be; the alarm ends it.
const TOO_LONG: u32 = 30;

/// Printed in place of a score when the system has no such thing.
const NOT_THERE: &str = "n/a";

/// The worker's own command line: workload, source, milliseconds.
pub fn work(words: &[OsString]) -> Result<(), Failure> {
    let (workload, source, length) =
        parse(words).ok_or_else(|| Failure::own("--demo-worker is for --demo alone; use that"))?;
    nix::unistd::alarm::set(TOO_LONG);
    let answer = kernel_epoll();
    let score = match (source, answer) {
        (Source::Epolyfill, Err(Errno::ENOSYS)) => run(workload, source, length).map(Some),
        (Source::Epolyfill, _) => Err("the kernel's epoll is not refused".to_owned()),
        (Source::Kernel, Err(_)) => Ok(None),
        _ => run(workload, source, length).map(Some),
    };
    match score.map_err(Failure::own)? {
        Some(Score { events, time }) => crate::say(&format!("{events} {}\n", time.as_nanos())),
        None => crate::say(&format!("{NOT_THERE}\n")),
    }
}

fn run(workload: Workload, source: Source, length: Duration) -> Result<Score, String> {
    match (workload, source) {
        (Workload::Tokens, Source::Poll) => tokens::run::<Poll>(length),
        (Workload::Tokens, _) => tokens::run::<Epoll>(length),
        (Workload::Echo, Source::Poll) => echo::run::<Poll>(length),
        (Workload::Echo, _) => echo::run::<Epoll>(length),
    }
}

/// What a worker printed, read by the demo: a score, or that there is none. `None` when it is neither.
pub fn understand(said: &str) -> Option<Option<Score>> {
    if said.trim_end() == NOT_THERE {
        return Some(None);
    }
    let (events, nanos) = said.trim_end().split_once(' ')?;
    let (events, nanos): (u64, u64) = (events.parse().ok()?, nanos.parse().ok()?);
    let time = Duration::from_nanos(nanos);
    (events > 0 && nanos > 0).then_some(Some(Score { events, time }))
}

fn parse(words: &[OsString]) -> Option<(Workload, Source, Duration)> {
    let [workload, source, milliseconds] = words else {
        return None;
    };
    let is = |given: &OsString, word: &str| given == OsStr::new(word);
    let workload = WORKLOADS.into_iter().find(|w| is(workload, w.word()))?;
    let source = SOURCES.into_iter().find(|s| is(source, s.word()))?;
    let milliseconds = milliseconds.to_str()?.parse().ok()?;
    Some((workload, source, Duration::from_millis(milliseconds)))
}

/// Whether the kernel itself has epoll.
fn kernel_epoll() -> Result<(), Errno> {
    // SAFETY: the call takes no pointer, and the descriptor that it makes is nobody else's.
    unsafe {
        let fd = syscall!(Sysno::epoll_create1, 0)?;
        syscall!(Sysno::close, fd).map(|_| ())
    }
}
