//! `--demo`: the same work on epolyfill with the kernel's epoll refused, on the kernel's epoll, and on plain poll, in short rounds that
//! take turns, so that what else the machine does hits all three alike.
//!
//! The work is done by the launcher's own file started again as an ordinary epoll program (`worker`): on epolyfill by way of the
//! launcher itself, with the very command line that a user would give.

mod echo;
mod readiness;
mod table;
mod tokens;
mod worker;

pub use worker::work;

use super::failure::Failure;
use super::launch::{PRELOAD, variable};
use super::options::Options;
use super::program::Depth;
use super::{library, program};
use crate::settings;
use std::io::IsTerminal;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

/// The first word of a worker's command line; no option of the launcher, and in no help.
pub const WORKER: &str = "--demo-worker";

/// Odd, so that there is a round in the middle. With the length of a round this makes a demo of about eight seconds.
const ROUNDS: usize = 5;
const ROUND: Duration = Duration::from_millis(250);

/// What the work is. Every answer in it is checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Workload {
    Tokens,
    Echo,
}

/// What tells the work which descriptors are ready.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Source {
    Epolyfill,
    Kernel,
    Poll,
}

const WORKLOADS: [Workload; 2] = [Workload::Tokens, Workload::Echo];
const SOURCES: [Source; 3] = [Source::Epolyfill, Source::Kernel, Source::Poll];

impl Workload {
    const fn word(self) -> &'static str {
        match self {
            Self::Tokens => "tokens",
            Self::Echo => "echo",
        }
    }

    fn title(self) -> String {
        match self {
            Self::Tokens => format!("tokens through {} pipes", tokens::PIPES),
            Self::Echo => format!("echo to {} clients", echo::CLIENTS),
        }
    }
}

impl Source {
    const fn word(self) -> &'static str {
        match self {
            Self::Epolyfill => "epolyfill",
            Self::Kernel => "kernel",
            Self::Poll => "poll",
        }
    }

    const fn title(self) -> &'static str {
        match self {
            Self::Epolyfill => "epolyfill",
            Self::Kernel => "kernel epoll",
            Self::Poll => "plain poll",
        }
    }
}

/// What a worker got done in a round.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Score {
    events: u64,
    time: Duration,
}

/// The scores of one workload from one source, one for each round; none when the system does not have that source.
type Scores = Vec<Score>;

/// Runs the demo and prints its table.
pub fn run(options: &Options) -> Result<(), Failure> {
    let worker = library::own_file()?;
    // One clear line now, rather than the same from the first worker.
    program::judge(&worker, &library::find()?, true, Depth::Reasons)?;
    let demo = Demo { worker, poller: options.poller.unwrap_or("poll"), on_terminal: std::io::stdout().is_terminal() };

    let outcome = demo.rounds();
    if outcome.is_err() && demo.on_terminal {
        // The complaint is to stand in a line of its own.
        Demo::progress("")?;
    }
    outcome
}

struct Demo {
    worker: PathBuf,
    poller: &'static str,
    on_terminal: bool,
}

impl Demo {
    fn rounds(&self) -> Result<(), Failure> {
        self.line("An event is a token's hop from pipe to pipe, or a message read by server or client.")?;
        self.line("Every one is checked.")?;
        let mut scores = WORKLOADS.map(|_| SOURCES.map(|_| Scores::new()));
        for round in 0..ROUNDS {
            let title = format!("round {} of {ROUNDS}", round + 1);
            if !self.on_terminal {
                self.line(&format!("{title} …"))?;
            }
            for (workload, scores) in WORKLOADS.into_iter().zip(&mut scores) {
                // Every round begins with another source, in case the order matters.
                for turn in 0..SOURCES.len() {
                    let index = (round + turn) % SOURCES.len();
                    let source = SOURCES[index];
                    if self.on_terminal {
                        let (workload, source) = (workload.title(), source.title());
                        Self::progress(&format!("{title}: {workload}, on {source} …"))?;
                    }
                    let score = self.start(workload, source)?;
                    scores[index].extend(score);
                    if round == 0 && workload == WORKLOADS[0] && source == Source::Epolyfill {
                        self.line(self.proof())?;
                    }
                }
            }
        }
        self.line("")?;
        let rows: Vec<_> = WORKLOADS.into_iter().zip(scores).collect();
        self.line(&table::render(&rows))?;
        self.line(&format!(
            "\nevents/s and ratio are medians of {ROUNDS} rounds; ratio is epolyfill's events/s to this."
        ))
    }

    /// Has a worker do one round. It gives no score when the source is not there.
    fn start(&self, workload: Workload, source: Source) -> Result<Option<Score>, Failure> {
        let failed = |why: &str| {
            let (workload, source) = (workload.title(), source.title());
            Failure::own(format!("demo: {workload}, on {source}: {why}"))
        };
        let mut command = self.command(source);
        command.args([WORKER, workload.word(), source.word()]).arg(ROUND.as_millis().to_string());
        let output = command.output().map_err(|error| failed(&format!("cannot start: {error}")))?;
        let said = String::from_utf8_lossy(&output.stdout);
        if !output.status.success() {
            let complaint = String::from_utf8_lossy(&output.stderr);
            let complaint = complaint.lines().last().unwrap_or("no reason given");
            let complaint = complaint.trim_start_matches("epolyfill: ");
            return Err(failed(&format!("{}: {complaint}", output.status)));
        }
        worker::understand(&said).ok_or_else(|| failed(&format!("its answer is not a score: {}", said.trim())))
    }

    fn command(&self, source: Source) -> Command {
        let mut command = Command::new(&self.worker);
        if source == Source::Epolyfill {
            command.args(["--no-kernel-epoll", "--poller", self.poller, "--"]).arg(&self.worker);
        } else {
            let existing = std::env::var_os(PRELOAD);
            match library::without_library(existing.as_deref()) {
                Some(others) => command.env(PRELOAD, others),
                None => command.env_remove(PRELOAD),
            };
            // Where the launcher itself is served, the library would bring itself back.
            command.env(variable(&settings::CHILDREN), "no");
        }
        command
    }

    /// True once a worker on epolyfill has returned: it asked the kernel by a system call of its own, and had to get ENOSYS.
    fn proof(&self) -> &'static str {
        match self.poller {
            "poll" => "For epolyfill the kernel refuses epoll (ENOSYS): its events all come through poll(2).",
            _ => "For epolyfill the kernel refuses epoll (ENOSYS): its events all come from the library.",
        }
    }

    /// A line that the next one takes the place of.
    fn progress(text: &str) -> Result<(), Failure> {
        super::say(&format!("\r\x1b[K{text}"))
    }

    fn line(&self, text: &str) -> Result<(), Failure> {
        let start = if self.on_terminal { "\r\x1b[K" } else { "" };
        super::say(&format!("{start}{text}\n"))
    }
}
