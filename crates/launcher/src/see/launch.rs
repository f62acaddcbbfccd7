//! What an observed program is started with: the directory of its records, the variables of the
//! library, the reporter.

use super::directory;
use super::output::Output;
use super::parent::{self, Child, Role};
use super::reporter::{self, Task};
use super::spawn;
use super::stream::Stream;
use super::suppress::Suppressions;
use super::wishes::Seeing;
use crate::failure::{Failure, name, reason};
use crate::settings::{self, Setting};
use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};
use nix::unistd::{getpid, pipe2};
use std::convert::Infallible;
use std::ffi::OsString;
use std::io::Write;
use std::os::fd::{FromRawFd, IntoRawFd, OwnedFd};
use std::path::PathBuf;

/// A program that is about to be observed. Dropped, nothing of it is left.
#[derive(Debug)]
pub struct Observation {
    directory: PathBuf,
    /// Hears of new files there.
    files: Option<Inotify>,
    output: Option<Output>,
    suppressions: Suppressions,
    stream: Option<Stream>,
    is_summary: bool,
    /// What the library records.
    recorded: String,
    /// For the reporter: ends when the other end does.
    started: Option<OwnedFd>,
    /// Closes when this process becomes the program.
    start: Option<OwnedFd>,
}

fn failed(errno: Errno) -> Failure {
    Failure::own(format!("the reporter cannot be started: {}", reason(errno)))
}

impl Observation {
    /// Makes everything that is needed.
    pub fn new(seeing: &Seeing, program: &[OsString]) -> Result<Observation, Failure> {
        let suppressions = seeing.suppress.as_deref().map_or(Ok(Suppressions::default()), Suppressions::read)?;
        let command = program.iter().map(|word| name(word).to_string()).collect::<Vec<_>>().join(" ");
        let stream = Stream::open(seeing, &command)?;
        // Taken now: the program may redirect its own.
        let output = Output::open(seeing, command, spawn::own(std::io::stderr()).ok())?;
        let files = Inotify::init(InitFlags::IN_CLOEXEC | InitFlags::IN_NONBLOCK).map_err(failed)?;
        // SAFETY: the copy is of an instance, and belongs to nobody else.
        let files = unsafe { Inotify::from_raw_fd(spawn::own(files).map_err(failed)?.into_raw_fd()) };
        let (started, start) = pipe2(OFlag::O_CLOEXEC).map_err(failed)?;
        let (started, start) = (spawn::own(started).map_err(failed)?, spawn::own(start).map_err(failed)?);
        let directory = directory::make(seeing.wants_facts())?;
        let observation = Observation {
            directory,
            files: Some(files),
            output: Some(output),
            suppressions,
            stream,
            is_summary: seeing.summary,
            recorded: seeing.recorded(),
            started: Some(started),
            start: Some(start),
        };
        let watched =
            observation.files.as_ref().map(|files| files.add_watch(&observation.directory, AddWatchFlags::IN_CREATE));
        watched.transpose().map_err(failed)?;
        Ok(observation)
    }

    /// Starts the reporter, in a process that then becomes the program. With an exit status for
    /// faults that is a child, and the launcher does not return from here; nor does it as the first
    /// process of a container, with which the reporter would end.
    pub fn begin(mut self, exit: Option<u8>) -> Result<Observation, Failure> {
        const FIRST: i32 = 1;
        if exit.is_none() && getpid().as_raw() != FIRST {
            let program = spawn::process(getpid().as_raw()).map_err(|errno| match errno {
                Errno::ENOSYS => Failure::own("the observer needs pidfd_open(2), of Linux 5.3"),
                errno => failed(errno),
            })?;
            self.start_reporter(program, None)?;
            return Ok(self);
        }
        match parent::split()? {
            Role::Program => {
                // The reporter, which removes the directory, is the parent's.
                (self.files, self.output, self.stream, self.started) = (None, None, None, None);
                Ok(self)
            }
            Role::Parent(child) => match self.report_on(child, exit)? {},
        }
    }

    /// Starts the reporter of a child, and the child; ends as the child does, or with the status for
    /// faults if there is one.
    fn report_on(mut self, child: Child, exit: Option<u8>) -> Result<Infallible, Failure> {
        let (found, verdict) = pipe2(OFlag::O_CLOEXEC).map_err(failed)?;
        let verdict = spawn::own(verdict).map_err(failed)?;
        let life = spawn::own(&child.life).map_err(failed)?;
        self.start_reporter(life, Some(verdict))?;
        // The child has the other copy.
        drop(self.start.take());
        child.start(found, exit)
    }

    fn start_reporter(&mut self, program: OwnedFd, verdict: Option<OwnedFd>) -> Result<(), Failure> {
        let (Some(files), Some(start), Some(output)) = (self.files.take(), self.started.take(), self.output.take())
        else {
            return Ok(());
        };
        let suppressions = std::mem::take(&mut self.suppressions);
        let (stream, is_summary) = (self.stream.take(), self.is_summary);
        let directory = self.directory.clone();
        let task = Task { directory, files, program, start, output, suppressions, stream, is_summary, verdict };
        let descriptors = task.descriptors();
        spawn::detached(&descriptors, move || reporter::run(task))
    }

    /// The variables of the library.
    pub fn variables(&self) -> Vec<(&'static Setting, OsString)> {
        vec![(&settings::SEE, self.recorded.clone().into()), (&settings::SEE_IN, self.directory.clone().into())]
    }
}

impl Drop for Observation {
    /// The process does not become the program.
    fn drop(&mut self) {
        if self.started.is_some() {
            return directory::remove(&self.directory);
        }
        // The reporter removes it.
        if let Some(start) = self.start.take() {
            let _ = std::fs::File::from(start).write_all(b"x");
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
