//! What an observed program is started with: the directory of its records, the variables of the
//! library, the reporter.

use super::directory;
use super::reporter::{self, Task};
use super::spawn;
use crate::failure::{Failure, reason};
use crate::settings::{self, Setting};
use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};
use nix::unistd::{getpid, pipe2};
use std::ffi::OsString;
use std::io::Write;
use std::os::fd::OwnedFd;
use std::path::PathBuf;

/// A program that is about to be observed. Dropped, nothing of it is left.
#[derive(Debug)]
pub struct Observation {
    directory: PathBuf,
    /// The other end closes when this process becomes the program.
    start: Option<OwnedFd>,
}

impl Observation {
    /// Starts the reporter.
    pub fn begin() -> Result<Observation, Failure> {
        let mut observation = Observation { directory: directory::make()?, start: None };
        let failed = |errno: Errno| Failure::own(format!("the reporter cannot be started: {}", reason(errno)));
        let files = Inotify::init(InitFlags::IN_CLOEXEC | InitFlags::IN_NONBLOCK).map_err(failed)?;
        files.add_watch(&observation.directory, AddWatchFlags::IN_CREATE).map_err(failed)?;
        let (other, start) = pipe2(OFlag::O_CLOEXEC).map_err(failed)?;
        let (other, start) = (spawn::own(other).map_err(failed)?, spawn::own(start).map_err(failed)?);
        let program = spawn::process(getpid().as_raw()).map_err(|errno| match errno {
            Errno::ENOSYS => Failure::own("the audit needs pidfd_open(2), of Linux 5.3"),
            errno => failed(errno),
        })?;
        // Taken now: the program may redirect its own.
        let out = spawn::own(std::io::stderr()).ok();
        let directory = observation.directory.clone();
        let task = Task { directory, files, program, start: other, out };
        let descriptors = task.descriptors();
        spawn::detached(&descriptors, move || reporter::run(task))?;
        observation.start = Some(start);
        Ok(observation)
    }

    /// The variables of the library.
    pub fn variables(&self) -> Vec<(&'static Setting, OsString)> {
        vec![(&settings::SEE, "audit".into()), (&settings::SEE_IN, self.directory.clone().into())]
    }
}

impl Drop for Observation {
    /// The process does not become the program.
    fn drop(&mut self) {
        match self.start.take() {
            Some(start) => {
                let _ = std::fs::File::from(start).write_all(b"x");
            }
            None => directory::remove(&self.directory),
        }
    }
}

/// Whether the kernel has epoll.
pub fn kernel_has_epoll() -> bool {
    // SAFETY: only a number.
    let fd = unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) };
    if fd >= 0 {
        // SAFETY: it was made here.
        unsafe { libc::close(fd) };
    }
    fd >= 0
}
