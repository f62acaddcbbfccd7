//! `--chaos-hunt`: runs a program under one seed after the other until its exit status changes, and
//! then finds the decisions that make the difference.

use super::log;
use super::once::{End, once};
use super::plan::{self, counted};
use super::shrink::shrink;
use crate::failure::{Failure, name};
use crate::options::Options;
use crate::see::directory;
use crate::see::words::counted as number_of;
use epolyfill_chaos::Decision;
use std::ffi::OsString;
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// How often a result is repeated, to tell what is caused from what happens by chance.
const REPEATS: u32 = 5;
/// How often a set of decisions may fail to show the difference before it counts as one that has
/// none.
const TRIES: u32 = 2;
/// The most runs to shrink a set.
const MOST_RUNS: u32 = 500;
/// The most decisions in a sentence.
const MOST_NAMED: usize = 8;

/// A hunt under way.
struct Hunt<'a> {
    options: &'a Options,
    room: PathBuf,
    /// A run that takes longer does not end.
    limit: Option<Duration>,
    usual: End,
}

/// Removes the directory of a hunt.
struct Room(PathBuf);

impl Drop for Room {
    fn drop(&mut self) {
        directory::remove(&self.0);
    }
}

/// Hunts. True if chaos causes a difference, which is then printed.
pub fn run(options: &Options) -> Result<bool, Failure> {
    let chaos = &options.see.chaos;
    let runs = plan::runs(chaos)?;
    let (first, kinds) = seeds(options);
    let kept = chaos.log.as_ref().map(|path| Ok((path, log::create(path)?))).transpose()?;
    let room = Room(directory::make(false)?);
    let mut hunt = Hunt { options, room: room.0.clone(), limit: None, usual: End::Exit(0) };
    let began = Instant::now();
    hunt.usual = hunt.with(&[])?.0;
    hunt.limit = Some(began.elapsed() * 20 + Duration::from_secs(10));
    say(&format!("without chaos: {}", hunt.usual));
    for seed in (0..runs).map(|run| first.wrapping_add(run)) {
        let text = OsString::from(format!("{seed}{kinds}"));
        let (end, perturbed) = once(options, &text, &hunt.log(), hunt.limit)?;
        if end == hunt.usual {
            continue;
        }
        let words = plan::read(&text)?.words;
        say(&format!("{words}: {end}, after {}", counted(perturbed.decisions.len())));
        if let Some(found) = hunt.explain(&perturbed.decisions, end)? {
            let command = options.program.iter().map(|word| name(word).to_string()).collect::<Vec<_>>().join(" ");
            let text = log::text(&found, &format!("{end} instead of {}: {command}", hunt.usual));
            match &kept {
                Some((path, file)) => log::keep(path, file, &text)?,
                None => print(&text)?,
            }
            return Ok(true);
        }
    }
    print(&format!("{} under chaos: {} as without it\n", number_of(runs, "run"), hunt.usual))?;
    Ok(false)
}

/// The first seed, and the kinds of each, as they follow it.
fn seeds(options: &Options) -> (u64, String) {
    let text = options.see.chaos.plan.as_ref().and_then(|text| text.to_str()).unwrap_or("1");
    let (seed, kinds) = text.split_once(',').map_or((text, String::new()), |(seed, kinds)| (seed, format!(",{kinds}")));
    (seed.parse().unwrap_or(1), kinds)
}

impl Hunt<'_> {
    fn log(&self) -> PathBuf {
        self.room.join("run.log")
    }

    /// Runs the program with these decisions and no others.
    fn with(&self, decisions: &[Decision]) -> Result<(End, Vec<Decision>), Failure> {
        let path = self.room.join("taken.log");
        let failed = |error| Failure::own(format!("cannot write to {}: {error}", name(&path)));
        File::create(&path).and_then(|mut file| file.write_all(log::text(decisions, "").as_bytes())).map_err(failed)?;
        let (end, perturbed) = once(self.options, &at(&path), &self.log(), self.limit)?;
        Ok((end, perturbed.decisions))
    }

    /// Whether the program ends this way with these decisions.
    fn shows(&self, decisions: &[Decision], end: End) -> Result<bool, Failure> {
        for _ in 0..TRIES {
            if self.with(decisions)?.0 == end {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// How many of the repeated runs end this way.
    fn count(&self, decisions: &[Decision], end: End) -> Result<u32, Failure> {
        let mut count = 0;
        for _ in 0..REPEATS {
            count += u32::from(self.with(decisions)?.0 == end);
        }
        Ok(count)
    }

    /// Finds the decisions that make the program end this way, and prints them as a sentence.
    fn explain(&self, decisions: &[Decision], end: End) -> Result<Option<Vec<Decision>>, Failure> {
        let usual = self.count(&[], self.usual)?;
        if usual < REPEATS {
            let (others, of) = (REPEATS - usual, REPEATS);
            let sentence = format!(
                "the program is flaky: {others} of {of} runs without chaos do not end with {}, so a hunt finds nothing",
                self.usual
            );
            return Err(Failure::own(sentence));
        }
        if !self.shows(decisions, end)? {
            say("not again by the same decisions: they alone are not the cause");
            return Ok(None);
        }
        let mut runs = 0;
        let mut smallest = decisions.to_vec();
        let mut fails = |set: &[Decision]| {
            runs += 1;
            if runs > MOST_RUNS {
                return Err(None);
            }
            let shows = self.shows(set, end).map_err(Some)?;
            if shows && set.len() < smallest.len() {
                smallest = set.to_vec();
            }
            Ok(shows)
        };
        // Without a failure the search has ended, or has taken too many runs.
        if let Err(Some(failure)) = shrink(decisions, &mut fails) {
            return Err(failure);
        }
        let shown = self.count(&smallest, end)?;
        print(&format!("fails if {}, and not without\n", sentence(&smallest)))?;
        print(&format!(
            "{end} in {shown} of {REPEATS} runs with {}, {} in {REPEATS} of {REPEATS} runs without\n",
            if smallest.len() == 1 { "it" } else { "them" },
            self.usual
        ))?;
        Ok(Some(smallest))
    }
}

/// The argument that takes a log again.
fn at(path: &Path) -> OsString {
    let mut text = OsString::from("@");
    text.push(path);
    text
}

/// Decisions as the end of "fails if".
fn sentence(decisions: &[Decision]) -> String {
    let named: Vec<String> = decisions.iter().take(MOST_NAMED).map(Decision::to_string).collect();
    match decisions.len().saturating_sub(MOST_NAMED) {
        0 => named.join(" and "),
        rest => format!("{}, and {} more", named.join(", "), counted(rest)),
    }
}

/// Writes a result to standard output.
fn print(text: &str) -> Result<(), Failure> {
    let mut out = std::io::stdout().lock();
    let written = out.write_all(text.as_bytes()).and_then(|()| out.flush());
    written.map_err(|error| Failure::own(format!("cannot write to standard output: {error}")))
}

/// Writes progress to standard error.
fn say(text: &str) {
    let _ = writeln!(std::io::stderr(), "epolyfill: {text}");
}
