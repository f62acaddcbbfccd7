//! One run of a hunt.

use super::Chaos;
use super::log::{self, Perturbed};
use crate::failure::{Failure, reason};
use crate::launch;
use crate::options::Options;
use crate::see::spawn;
use nix::errno::Errno;
use nix::fcntl::{OFlag, open};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{Signal, killpg};
use nix::sys::stat::Mode;
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::{ForkResult, Pid, fork, pipe2, setpgid};
use std::ffi::OsStr;
use std::fmt;
use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsFd, AsRawFd};
use std::path::Path;
use std::time::Duration;

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    Exit(i32),
    Signal(i32),
    /// It did not end in this time, and was killed.
    None(Duration),
}

impl fmt::Display for End {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            End::Exit(code) => write!(out, "exit status {code}"),
            End::Signal(number) => match Signal::try_from(number) {
                Ok(signal) => write!(out, "{signal}"),
                Err(_) => write!(out, "signal {number}"),
            },
            End::None(time) => write!(out, "no end within {} s", time.as_secs()),
        }
    }
}

/// Runs the program under a plan, without its standard streams. The file of the log is made anew.
pub fn once(
    options: &Options,
    plan: &OsStr,
    scratch: &Path,
    limit: Option<Duration>,
) -> Result<(End, Perturbed), Failure> {
    let failed = |errno: Errno| Failure::own(format!("the program cannot be started: {}", reason(errno)));
    let _ = std::fs::remove_file(scratch);
    let chaos = Chaos { plan: Some(plan.to_owned()), scratch: Some(scratch.to_owned()), ..Chaos::default() };
    let mut options = options.clone();
    options.see.chaos = chaos;
    // Closes when the child is the program. Has a failure otherwise.
    let (failure, told) = pipe2(OFlag::O_CLOEXEC).map_err(failed)?;
    let (failure, told) = (spawn::own(failure).map_err(failed)?, spawn::own(told).map_err(failed)?);
    // SAFETY: this process has one thread.
    match unsafe { fork() }.map_err(failed)? {
        ForkResult::Child => {
            retire();
            let ended = launch::launch(&options).err().unwrap_or_else(|| Failure::own("the program was not run"));
            let _ = write!(File::from(told), "{:03}{}", ended.code, ended.sentence);
            // SAFETY: without exit handlers, which are the parent's.
            unsafe { libc::_exit(ended.code) }
        }
        ForkResult::Parent { child } => {
            drop(told);
            let mut text = String::new();
            let _ = File::from(failure).read_to_string(&mut text);
            let end = wait(child, limit).map_err(failed);
            // What it has left behind does not disturb the next run.
            let _ = killpg(child, Signal::SIGKILL);
            if let Some((code, sentence)) = text.split_at_checked(3) {
                return Err(Failure { code: code.parse().unwrap_or(125), sentence: sentence.to_owned() });
            }
            Ok((end?, log::read(scratch)))
        }
    }
}

/// Makes the child a group of its own, which ends with the launcher, without standard streams.
fn retire() {
    let _ = setpgid(Pid::from_raw(0), Pid::from_raw(0));
    let _ = nix::sys::prctl::set_pdeathsig(Signal::SIGKILL);
    if let Ok(null) = open("/dev/null", OFlag::O_RDWR | OFlag::O_CLOEXEC, Mode::empty()) {
        for standard in 0..3 {
            // SAFETY: it replaces an inherited descriptor, which nothing else in here uses.
            unsafe { libc::dup2(null.as_raw_fd(), standard) };
        }
        if null.as_raw_fd() < 3 {
            std::mem::forget(null);
        }
    }
}

fn wait(child: Pid, limit: Option<Duration>) -> Result<End, Errno> {
    if let Some(limit) = limit {
        let life = spawn::process(child.as_raw())?;
        let time = PollTimeout::try_from(limit).unwrap_or(PollTimeout::MAX);
        if poll(&mut [PollFd::new(life.as_fd(), PollFlags::POLLIN)], time)? == 0 {
            let _ = killpg(child, Signal::SIGKILL);
            waitpid(child, None)?;
            return Ok(End::None(limit));
        }
    }
    match waitpid(child, None)? {
        WaitStatus::Signaled(_, signal, _) => Ok(End::Signal(signal as i32)),
        WaitStatus::Exited(_, code) => Ok(End::Exit(code)),
        _ => Err(Errno::ECHILD),
    }
}
