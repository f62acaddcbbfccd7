//! `--audit-exit` and `--chaos`: the launcher stays as the parent of the program, passes signals on
//! to it, and ends as it does, or with the status for a fault.

use super::spawn;
use crate::failure::{Failure, reason};
use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, SigmaskHow, Signal, raise, sigaction, sigprocmask};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::{ForkResult, Pid, fork, getpid, pipe2};
use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;

/// The process that will become the program, and the one that stays.
#[derive(Debug)]
pub enum Role {
    /// This process becomes the program.
    Program,
    /// This one stays: its child waits for [`Child::start`].
    Parent(Child),
}

/// The child.
#[derive(Debug)]
pub struct Child {
    pid: Pid,
    go: OwnedFd,
    mask: SigSet,
    /// Readable when it has ended.
    pub life: OwnedFd,
}

/// Forks. The program starts with the signal mask and the actions that the launcher had.
pub fn split() -> Result<Role, Failure> {
    let failed = |errno: Errno| Failure::own(format!("the program cannot be started: {}", reason(errno)));
    let (gate, go) = pipe2(OFlag::O_CLOEXEC).map_err(failed)?;
    let (gate, go) = (spawn::own(gate).map_err(failed)?, spawn::own(go).map_err(failed)?);
    let mut mask = SigSet::empty();
    sigprocmask(SigmaskHow::SIG_SETMASK, Some(&SigSet::all()), Some(&mut mask)).map_err(failed)?;
    // SAFETY: this process has one thread.
    match unsafe { fork() } {
        Err(errno) => Err(failed(errno)),
        Ok(ForkResult::Child) => {
            drop(go);
            sigprocmask(SigmaskHow::SIG_SETMASK, Some(&mask), None).map_err(failed)?;
            if !matches!(File::from(gate).read(&mut [0]), Ok(1)) {
                std::process::exit(125); // The parent has reported why.
            }
            Ok(Role::Program)
        }
        Ok(ForkResult::Parent { child: pid }) => {
            let life = spawn::process(pid.as_raw()).map_err(failed)?;
            Ok(Role::Parent(Child { pid, go, mask, life }))
        }
    }
}

impl Child {
    /// Lets the child become the program, waits for its end, and ends as it does. `verdict` is what
    /// the reporter writes to if there is a fault.
    pub fn start(self, verdict: OwnedFd, exit: Option<u8>) -> ! {
        let ended = self.run();
        let mut found = Vec::new();
        // To its end: the report is complete then.
        let _ = File::from(verdict).read_to_end(&mut found);
        if let Some(code) = exit.filter(|_| !found.is_empty()) {
            std::process::exit(code.into());
        }
        ended.repeat()
    }

    /// Lets the child become the program, and waits for its end.
    pub fn run(self) -> Ended {
        // Ignored, it would end the child without a status.
        let default = SigAction::new(SigHandler::SigDfl, SaFlags::empty(), SigSet::empty());
        // SAFETY: no handler is installed.
        let _ = unsafe { sigaction(Signal::SIGCHLD, &default) };
        let _ = File::from(self.go).write_all(b"x");
        Ended { status: follow(self.pid), mask: self.mask }
    }
}

/// The end of a child.
#[derive(Debug)]
pub struct Ended {
    status: Option<WaitStatus>,
    mask: SigSet,
}

impl Ended {
    /// Ends as the child did.
    pub fn repeat(self) -> ! {
        match self.status {
            Some(WaitStatus::Exited(_, code)) => std::process::exit(code),
            Some(WaitStatus::Signaled(_, signal, _)) => end_by(signal, &self.mask),
            _ => std::process::exit(125),
        }
    }
}

/// Passes signals on until the child ends.
fn follow(child: Pid) -> Option<WaitStatus> {
    let all = SigSet::all();
    loop {
        let mut info = std::mem::MaybeUninit::<libc::siginfo_t>::zeroed();
        // SAFETY: both addresses are valid.
        let number = unsafe { libc::sigwaitinfo(all.as_ref(), info.as_mut_ptr()) };
        // SAFETY: it was zeroed, which is a valid value.
        let info = unsafe { info.assume_init() };
        if number == libc::SIGCHLD {
            if let Some(ended) = reap(child) {
                return ended;
            }
        } else if number > 0 && info.si_code != libc::SI_KERNEL {
            // What comes from the terminal has reached the child as well.
            // SAFETY: only numbers.
            unsafe { libc::kill(child.as_raw(), number) };
        }
    }
}

/// Takes what is known of children, of which the first process of a container has others, too; the
/// status of this one if it has ended, `Some(None)` if that is not known.
fn reap(child: Pid) -> Option<Option<WaitStatus>> {
    loop {
        match waitpid(None, Some(WaitPidFlag::WNOHANG | WaitPidFlag::WUNTRACED)) {
            Ok(WaitStatus::StillAlive) => return None,
            Ok(WaitStatus::Stopped(pid, _)) if pid == child => {
                // Whoever waits for the launcher sees it stop, too.
                let _ = raise(Signal::SIGSTOP);
            }
            Ok(status) if status.pid() == Some(child) => {
                if matches!(status, WaitStatus::Exited(..) | WaitStatus::Signaled(..)) {
                    return Some(Some(status));
                }
            }
            Ok(_) | Err(Errno::EINTR) => {}
            Err(_) => return Some(None),
        }
    }
}

/// Ends by a signal, without a second core file.
fn end_by(signal: Signal, mask: &SigSet) -> ! {
    let _ = nix::sys::prctl::set_dumpable(false);
    let default = SigAction::new(SigHandler::SigDfl, SaFlags::empty(), SigSet::empty());
    let mut mask = *mask;
    mask.remove(signal);
    // SAFETY: no handler is installed.
    let _ = unsafe { sigaction(signal, &default) };
    let _ = nix::sys::signal::kill(getpid(), signal);
    let _ = sigprocmask(SigmaskHow::SIG_SETMASK, Some(&mask), None);
    std::process::exit(128 + signal as i32)
}
