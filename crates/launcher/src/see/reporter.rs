//! The reporter: follows the records of the program and its children until the last of them has
//! ended, and shows what the audit finds.

use super::audit::Totals;
use super::directory;
use super::followed::Followed;
use super::mapper;
use super::output::Output;
use super::site::Names;
use super::spawn;
use super::stream::Stream;
use super::summary;
use super::suppress::Suppressions;
use super::words::counted;
use crate::failure::why;
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::eventfd::{EfdFlags, EventFd};
use nix::sys::inotify::Inotify;
use std::fs::File;
use std::io::{self, ErrorKind, Read, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// What the reporter is started with.
#[derive(Debug)]
pub struct Task {
    /// The directory of the records.
    pub directory: PathBuf,
    /// Hears of new files there.
    pub files: Inotify,
    /// The process that becomes the program.
    pub program: OwnedFd,
    /// Ends when that is the program. Has a byte if it could not become it.
    pub start: OwnedFd,
    /// Where findings are shown.
    pub output: Output,
    pub suppressions: Suppressions,
    /// What takes the facts.
    pub stream: Option<Stream>,
    /// Whether the counts of each process are shown.
    pub is_summary: bool,
    /// Gets a byte at the end if there is a fault.
    pub verdict: Option<OwnedFd>,
}

impl Task {
    /// The descriptors that the reporter keeps.
    pub fn descriptors(&self) -> Vec<RawFd> {
        let own = [self.files.as_fd().as_raw_fd(), self.program.as_raw_fd(), self.start.as_raw_fd()];
        let verdict = self.verdict.as_ref().map(AsRawFd::as_raw_fd);
        let stream = self.stream.iter().flat_map(Stream::descriptors);
        own.into_iter().chain(verdict).chain(self.output.descriptors()).chain(stream).collect()
    }
}

/// The files that the library writes.
const SUFFIX: &str = ".epv";
/// A record that is not complete is looked at again after this time.
const INCOMPLETE: Duration = Duration::from_millis(5);
/// Facts are taken from the rings after this time, if they do not ring before.
const FACTS: Duration = Duration::from_millis(100);
/// A relative of the program without a record is given this time to begin one.
const GRACE: Duration = Duration::from_secs(1);
const GRACE_STEP: Duration = Duration::from_millis(50);

struct Reporter {
    directory: PathBuf,
    files: Inotify,
    program: Option<OwnedFd>,
    output: Output,
    suppressions: Suppressions,
    stream: Option<Stream>,
    is_summary: bool,
    verdict: Option<OwnedFd>,
    bell: Arc<EventFd>,
    /// Records that are not complete, or cannot be followed now.
    incomplete: Vec<PathBuf>,
    /// Why one could not be followed.
    refusal: Option<io::Error>,
    living: Vec<Followed>,
    processes: usize,
    names: Names,
    /// The sums of the processes that have ended.
    ended: Totals,
    /// The sums that were shown last.
    shown: Option<Totals>,
}

/// Follows the program to its end.
pub fn run(task: Task) {
    // Each process that lives takes one.
    spawn::raise_descriptor_limit();
    let directory = task.directory.clone();
    let mut first = [0];
    let has_started = !matches!(File::from(task.start).read(&mut first), Ok(1));
    if has_started && let Ok(bell) = EventFd::from_flags(EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK) {
        let mut reporter = Reporter {
            directory: task.directory,
            files: task.files,
            program: Some(task.program),
            output: task.output,
            suppressions: task.suppressions,
            stream: task.stream,
            is_summary: task.is_summary,
            verdict: task.verdict,
            bell: Arc::new(bell),
            incomplete: Vec::new(),
            refusal: None,
            living: Vec::new(),
            processes: 0,
            names: Names::default(),
            ended: Totals::default(),
            shown: None,
        };
        reporter.follow();
        // Before the verdict and the end of the output, for whoever waits for those.
        directory::remove(&directory);
        return reporter.judge();
    }
    directory::remove(&directory);
}

impl Reporter {
    fn follow(&mut self) {
        let mut alone_since: Option<Instant> = None;
        loop {
            let timeout = match alone_since {
                _ if !self.incomplete.is_empty() => Some(INCOMPLETE),
                Some(_) => Some(GRACE_STEP),
                None => self.stream.as_ref().map(|_| FACTS),
            };
            self.wait(timeout);
            self.take_files();
            self.read();
            if self.program.is_some() || !self.living.is_empty() {
                alone_since = None;
                continue;
            }
            // A child that the program has just started may not have a record yet.
            let since = *alone_since.get_or_insert_with(Instant::now);
            if since.elapsed() >= GRACE || relatives(&self.directory).is_empty() {
                break;
            }
        }
        self.take_files();
        self.read();
        if let Some(error) = self.refusal.take().filter(|_| !self.incomplete.is_empty()) {
            let records = counted(self.incomplete.len() as u64, "record");
            self.output.complain(&format!("{records} cannot be read: {}", why(&error)));
        }
        self.sum_up(true);
    }

    /// Waits until something happens, and notes who has ended.
    fn wait(&mut self, timeout: Option<Duration>) {
        let timeout =
            timeout.map_or(PollTimeout::NONE, |time| PollTimeout::try_from(time).unwrap_or(PollTimeout::ZERO));
        let lives: Vec<BorrowedFd<'_>> =
            self.living.iter().filter_map(|one| one.life.as_ref().map(AsFd::as_fd)).collect();
        let all = [self.files.as_fd(), self.bell.as_fd()]
            .into_iter()
            .chain(self.program.as_ref().map(AsFd::as_fd))
            .chain(lives);
        let mut polled: Vec<PollFd<'_>> = all.map(|fd| PollFd::new(fd, PollFlags::POLLIN)).collect();
        let _ = poll(&mut polled, timeout);
        let mut has_happened = polled.iter().map(|one| one.any() == Some(true)).collect::<Vec<_>>().into_iter().skip(2);
        if self.program.is_some() && has_happened.next() == Some(true) {
            self.program = None;
        }
        for one in self.living.iter_mut().filter(|one| one.life.is_some()) {
            if has_happened.next() == Some(true) {
                one.leave();
            }
        }
        let _ = self.bell.read();
    }

    /// Begins to follow the processes of new records.
    fn take_files(&mut self) {
        while let Ok(events) = self.files.read_events() {
            let names = events.into_iter().filter_map(|event| event.name);
            let records = names.filter(|name| name.to_string_lossy().ends_with(SUFFIX));
            self.incomplete.extend(records.map(|name| self.directory.join(name)));
        }
        for path in std::mem::take(&mut self.incomplete) {
            match Followed::new(self.processes, &path, &self.living, &self.bell) {
                Ok(Some(followed)) => {
                    self.processes += 1;
                    // The same process with another program: its former record is complete.
                    self.living.iter_mut().filter(|one| one.pid == followed.pid).for_each(Followed::leave);
                    self.living.push(followed);
                }
                Ok(None) if is_alive(&path) => self.incomplete.push(path),
                Ok(None) => {}
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                Err(error) => {
                    // Until another process ends, perhaps.
                    self.refusal = Some(error);
                    self.incomplete.push(path);
                }
            }
        }
    }

    /// Shows what is new, and lets those end that wait for it.
    fn read(&mut self) {
        // Asked once: a process that comes to its end meanwhile has more to read.
        let waiting: Vec<i32> = self.living.iter().filter(|one| one.waits_for_reader()).map(|one| one.pid).collect();
        if let Some(stream) = &mut self.stream {
            // Facts first: what is around a finding is kept.
            let has_others = self.living.len() > 1;
            self.living.iter().for_each(|one| stream.read(one, has_others));
            self.output.print(&stream.lines());
            stream.look(&self.living, !waiting.is_empty());
        }
        for one in &mut self.living {
            let is_last = one.life.is_none() || waiting.contains(&one.pid);
            for case in one.due(&mut self.names, &mut self.suppressions, is_last) {
                self.stream.iter_mut().for_each(|stream| stream.note(&case));
                self.output.show(case, is_last);
            }
            if is_last && self.is_summary && one.is_first_end() {
                let counts = one.record.counts().unwrap_or_default();
                self.output.print(&summary::tables(one.pid, one.command(), &counts));
            }
        }
        let (left, living) = std::mem::take(&mut self.living).into_iter().partition(|one| one.life.is_none());
        self.living = living;
        for one in Vec::into_iter(left) {
            self.bury(&one);
        }
        // The program of a shell's command line ends after the last line.
        if let ([], [one], [pid]) = (&self.incomplete[..], &self.living[..], &waiting[..])
            && one.pid == *pid
            && relatives(&self.directory).iter().all(|relative| relative == pid)
        {
            self.sum_up(false);
        }
        self.living.iter_mut().filter(|one| waiting.contains(&one.pid)).for_each(Followed::acknowledge);
    }

    /// Notes the sums of a process that has ended, and removes its record.
    fn bury(&mut self, one: &Followed) {
        self.ended.add(&one.totals());
        self.stream.iter_mut().for_each(|stream| stream.bury(one, &mut self.names));
        let _ = std::fs::remove_file(&one.record.path);
    }

    /// Shows the sums, unless they are shown already.
    fn sum_up(&mut self, is_end: bool) {
        let mut totals = self.ended.clone();
        self.living.iter().for_each(|one| totals.add(&one.totals()));
        if let Some(stream) = &mut self.stream {
            for one in &self.living {
                stream.bury(one, &mut self.names);
            }
            stream.finish(&totals);
            stream.failures().iter().for_each(|sentence| self.output.complain(sentence));
        }
        if self.shown.as_ref() != Some(&totals) || (is_end && self.output.is_held_back()) {
            self.output.sum_up(&totals, &self.suppressions.unused(), is_end);
        }
        self.shown = Some(totals);
    }

    /// Reports whether there was a fault, and ends.
    fn judge(self) {
        let has_fault = self.shown.is_some_and(|totals| totals.faults > 0);
        if let Some(verdict) = self.verdict.filter(|_| has_fault) {
            let _ = File::from(verdict).write_all(b"x");
        }
    }
}

/// Whether the process of a record lives.
fn is_alive(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let pid = name.split('.').next().and_then(|pid| pid.parse().ok());
    pid.is_some_and(|pid| !matches!(spawn::process(pid), Err(Errno::ESRCH)))
}

/// The processes that were started with the variable that names the directory.
fn relatives(directory: &Path) -> Vec<i32> {
    let mut entry = b"EPOLYFILL_SEE_IN=".to_vec();
    entry.extend(directory.as_os_str().as_bytes());
    let is_one = |pid: &i32| {
        let environment = std::fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        environment.split(|byte| *byte == 0).any(|found| found == entry)
    };
    mapper::processes().filter(is_one).collect()
}
