//! `--demo`: the same work on epolyfill by each poller, with the kernel's epoll refused, on the
//! kernel's epoll, and on plain poll, in short rounds that take turns, so that other load on the
//! machine affects all of them alike.
//!
//! The work is done by the launcher's own file, started again as an ordinary epoll program
//! (`worker`): on epolyfill through the launcher, with the command line that a user would give.

mod echo;
mod readiness;
mod worker;

pub use worker::work;

use super::failure::Failure;
use super::launch::{PRELOAD, variable};
use super::options::Options;
use super::program::Depth;
use super::{doctor, library, program};
use crate::settings;
use std::io::IsTerminal;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

/// The first word of a worker's command line; not an option, and not in the help.
pub const WORKER: &str = "--demo-worker";

/// Odd, so that the median is a round. With four rows this makes a demo of eight seconds.
const ROUNDS: usize = 5;
const ROUND: Duration = Duration::from_millis(400);

/// The width of the longest bar.
const BAR: f64 = 36.0;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Source {
    /// The library, by this poller.
    Epolyfill(&'static str),
    Kernel,
    Poll,
}

impl Source {
    const fn word(self) -> &'static str {
        match self {
            Self::Epolyfill(_) => "epolyfill",
            Self::Kernel => "kernel",
            Self::Poll => "poll",
        }
    }

    fn title(self) -> String {
        match self {
            Self::Epolyfill(poller) => format!("epolyfill, {poller}"),
            Self::Kernel => "kernel's epoll".to_owned(),
            Self::Poll => "plain poll".to_owned(),
        }
    }
}

/// The result of a worker in a round.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Score {
    events: u64,
    time: Duration,
}

impl Score {
    /// Parses the output of a worker. A round without events or without time is not a score.
    fn parse(line: &str) -> Option<Self> {
        let (events, nanos) = line.trim_end().split_once(' ')?;
        let (events, nanos) = (events.parse().ok()?, nanos.parse().ok()?);
        (events > 0 && nanos > 0).then_some(Self { events, time: Duration::from_nanos(nanos) })
    }

    fn rate(self) -> f64 {
        self.events as f64 / self.time.as_secs_f64()
    }
}

/// A row of the table: the rates of the rounds so far, empty if the system lacks the source.
type Row = (Source, Vec<f64>);

/// Runs the demo and prints its table, on a terminal after each round.
pub fn run(options: &Options) -> Result<(), Failure> {
    let worker = library::own_file()?;
    // A library that cannot be loaded is reported here, and not by the first worker.
    program::judge(&worker, &library::find()?, true, Depth::Reasons)?;
    let has_ring = doctor::ring().is_ok();
    let pollers = options.poller.map_or(vec!["poll", "uring"], |poller| vec![poller]);
    let sources = pollers.into_iter().map(Source::Epolyfill).chain([Source::Kernel, Source::Poll]);
    let mut rows: Vec<Row> = sources.map(|source| (source, Vec::new())).collect();
    super::say(&format!(
        "An edge-triggered server echoes the messages of {} clients; every byte is compared.\n\n",
        echo::CLIENTS
    ))?;
    let live = std::io::stdout().is_terminal();
    for round in 0..ROUNDS {
        for turn in 0..rows.len() {
            // Each round begins with another row, in case the order matters.
            let index = (round + turn) % rows.len();
            let (source, rates) = &mut rows[index];
            // Without a ring the library would poll, and the row would say otherwise.
            if *source != Source::Epolyfill("uring") || has_ring {
                rates.extend(start(&worker, *source)?.map(Score::rate));
            }
            if live {
                draw(&rows, &format!("round {} of {ROUNDS}", round + 1), (round, turn) != (0, 0))?;
            }
        }
    }
    let note = format!(
        "Medians of {ROUNDS} rounds. An event is a message read by the server or by a client.\n{}",
        proof(&rows)
    );
    draw(&rows, &note, live)
}

/// The line that says why no event of the library is the kernel's.
fn proof(rows: &[Row]) -> &'static str {
    let has_epoll = rows.iter().any(|row| row.0 == Source::Kernel && !row.1.is_empty());
    if has_epoll {
        "For epolyfill the kernel refused epoll (ENOSYS): all of its events come from the library."
    } else {
        "This kernel has no epoll (ENOSYS): all events of epolyfill come from the library."
    }
}

/// Draws the table with a line below, over the last one if there was one.
fn draw(rows: &[Row], below: &str, again: bool) -> Result<(), Failure> {
    let up = if again { format!("\x1b[{}A\x1b[J", rows.len() + 3) } else { String::new() };
    super::say(&format!("{up}{}\n{below}\n", table(rows)))
}

fn table(rows: &[Row]) -> String {
    let median = |source| rows.iter().find(|row| row.0 == source).and_then(|row| median(&row.1));
    let kernel = median(Source::Kernel);
    let best = rows.iter().filter_map(|row| median(row.0)).fold(1.0, f64::max);
    let mut text = format!("{:18} {:>9}  {:>9}\n", "", "events/s", "of kernel");
    for (source, _) in rows {
        let rate = median(*source);
        let number = rate.map_or(worker::NOT_THERE.to_owned(), |rate| format!("{rate:.0}"));
        let ratio =
            rate.zip(kernel).map_or(worker::NOT_THERE.to_owned(), |(rate, kernel)| format!("{:.2}", rate / kernel));
        let bar = "█".repeat((rate.unwrap_or(0.0) / best * BAR).round() as usize);
        let line = format!("{:18} {number:>9}  {ratio:>9}  {bar}", source.title());
        text += &format!("{}\n", line.trim_end());
    }
    text
}

/// The median: a moment in which the machine was busy elsewhere spoils only one round.
fn median(rates: &[f64]) -> Option<f64> {
    let mut rates = rates.to_vec();
    rates.sort_by(f64::total_cmp);
    rates.get(rates.len() / 2).copied()
}

/// Lets a worker do one round; no score if the system does not have the source.
fn start(worker: &PathBuf, source: Source) -> Result<Option<Score>, Failure> {
    let failed = |why: &str| Failure::own(format!("demo: on {}: {why}", source.title()));
    let mut command = Command::new(worker);
    if let Source::Epolyfill(poller) = source {
        command.args(["--no-kernel-epoll", "--poller", poller, "--"]).arg(worker);
    } else {
        match library::without_library(std::env::var_os(PRELOAD).as_deref()) {
            Some(others) => command.env(PRELOAD, others),
            None => command.env_remove(PRELOAD),
        };
        // If the launcher itself is served, the library would add itself again.
        command.env(variable(&settings::CHILDREN), "no");
    }
    command.args([WORKER, source.word(), &ROUND.as_millis().to_string()]);
    let output = command.output().map_err(|error| failed(&format!("cannot start: {error}")))?;
    let said = String::from_utf8_lossy(&output.stdout);
    if !output.status.success() {
        let complaint = String::from_utf8_lossy(&output.stderr);
        let complaint = complaint.lines().last().unwrap_or("no reason given");
        return Err(failed(&format!("{}: {}", output.status, complaint.trim_start_matches("epolyfill: "))));
    }
    match Score::parse(&said) {
        None if said == worker::NOT_THERE => Ok(None),
        None => Err(failed(&format!("its answer is not a score: {}", said.trim()))),
        score => Ok(score),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_spoilt_round_does_not_move_the_table() {
        let table = table(&[(Source::Epolyfill("poll"), vec![100.0, 10.0, 100.0]), (Source::Kernel, vec![200.0; 3])]);
        let mut lines = table.lines().skip(1).map(|line| line.split_whitespace().collect::<Vec<_>>());
        assert_eq!(lines.next().unwrap(), ["epolyfill,", "poll", "100", "0.50", &"█".repeat(18)], "{table}");
        assert_eq!(lines.next().unwrap(), ["kernel's", "epoll", "200", "1.00", &"█".repeat(36)], "{table}");
    }

    #[test]
    fn a_source_that_the_system_lacks_is_not_available() {
        let table = table(&[(Source::Kernel, vec![]), (Source::Poll, vec![5.0])]);
        assert_eq!(table.matches("n/a").count(), 3, "{table}");
        assert!(proof(&[(Source::Kernel, vec![])]).starts_with("This kernel has no epoll"));
        assert!(proof(&[(Source::Kernel, vec![5.0])]).contains("the kernel refused epoll"));
    }
}
