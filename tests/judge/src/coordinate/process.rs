//! A worker process, and the lines that it prints.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::Ordering::SeqCst;
use std::sync::{Mutex, mpsc};
use std::time::Instant;

use super::findings::Found;
use super::watchdog::Watchdog;
use super::{Run, Stage};
use crate::counts::Counts;
use crate::noise::Noise;
use crate::op::Op;
use crate::profile::Profile;

/// A worker's line about a difference.
#[derive(Debug)]
pub(super) struct Told {
    pub(super) sign: String,
    pub(super) data: Option<u64>,
    pub(super) row: Option<usize>,
    pub(super) text: String,
}

impl Told {
    /// Parses a line without its first word.
    pub(super) fn parse(line: &str) -> Told {
        let mut parts = line.splitn(5, ' ');
        Told {
            sign: format!("{} {}", parts.next().unwrap_or(""), parts.next().unwrap_or("")),
            data: parts.next().and_then(|data| data.parse().ok()),
            row: parts.next().and_then(|row| row.parse().ok()),
            text: parts.next().unwrap_or("").to_owned(),
        }
    }
}

impl Stage {
    pub(super) fn worker(&self, args: &[String]) -> Result<Child, String> {
        let mut command = Command::new(&self.program);
        command.arg("--worker").args(args).env("LD_PRELOAD", &self.library).env("MALLOC_ARENA_MAX", "1");
        // Its own system calls ask the kernel.
        command.env("EPOLYFILL_RAW", "no");
        command.stdin(Stdio::null()).stdout(Stdio::piped());
        command.spawn().map_err(|error| format!("{}: {error}", self.program.display()))
    }

    /// Runs one worker to its end. Returns the number of steps that it was not given.
    pub(super) fn one_worker(&self, run: &Run, steps: u64, tell: &mpsc::Sender<Found>) -> Result<u64, String> {
        let number = run.next.fetch_add(1, SeqCst);
        let mut noise = Noise::new(run.seed ^ number.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let seed = noise.next();
        let profile = self.profile(&mut noise);
        // Forks are expensive.
        let given = if profile == Profile::Forking { steps.min(9000) } else { steps };
        let args = self.worker_args(run, seed, given, profile);
        let begun = Instant::now();
        let mut child = self.worker(&args)?;
        let out = child.stdout.take().ok_or("no pipe")?;
        let guard = Watchdog::new(child.id());
        let mut heard = Heard::new(profile, self.options.verbose);
        for line in BufReader::new(out).lines() {
            let Ok(line) = line else { break };
            guard.heard();
            heard.take(&line, &run.counts).into_iter().for_each(|found| _ = tell.send(found));
        }
        let hung = guard.barked();
        let status = child.wait().map_err(|error| error.to_string())?;
        if status.code() == Some(2) {
            return Err("a worker could not begin".to_owned());
        }
        if self.options.verbose {
            println!("{} worker, seed {seed}: {status}, {:.1} s", profile.word(), begun.elapsed().as_secs_f64());
        }
        if !status.success() {
            let how = if hung { "hung".to_owned() } else { format!("ended early: {status}") };
            run.counts.lock().expect("no panic").add("broken/workers", 1);
            eprintln!("a {} worker {how}; its seed was {seed}, that of its last history {}", profile.word(), heard.at);
            eprintln!("    {} --worker {}", self.program.display(), args.join(" "));
        }
        Ok(steps - given)
    }

    /// Chooses the profile of a worker.
    fn profile(&self, noise: &mut Noise) -> Profile {
        let weight = |profile: &Profile| match profile {
            Profile::Plain => 12,
            Profile::Nested => 4,
            Profile::Threads => 3,
            Profile::Forking => 1,
        };
        let weights: Vec<u32> = self.options.profiles.iter().map(weight).collect();
        self.options.profiles[noise.weighted(&weights)]
    }

    fn worker_args(&self, run: &Run, seed: u64, steps: u64, profile: Profile) -> Vec<String> {
        let options = &self.options;
        let kinds: Vec<&str> = options.kinds.iter().map(|kind| kind.word()).collect();
        let left = run
            .deadline
            .map_or(f64::MAX, |deadline| deadline.saturating_duration_since(Instant::now()).as_secs_f64() / 60.0);
        let args = [
            format!("--minutes={left}"),
            format!("--seed={seed}"),
            format!("--steps={steps}"),
            format!("--history-length={}", options.history_length),
            format!("--threads={}", options.threads),
            format!("--kinds={}", kinds.join(",")),
            format!("--profiles={}", profile.word()),
        ];
        args.into_iter().chain(options.listed.then(|| "--listed".to_owned())).collect()
    }
}

/// The lines of a worker about the history that it is in.
#[derive(Debug)]
struct Heard {
    profile: Profile,
    verbose: bool,
    /// The seed of the history.
    at: String,
    last: Option<Told>,
    before: Vec<Op>,
    ops: Option<Vec<Op>>,
    seen: Vec<String>,
}

impl Heard {
    fn new(profile: Profile, verbose: bool) -> Heard {
        Heard { profile, verbose, at: String::new(), last: None, before: Vec::new(), ops: None, seen: Vec::new() }
    }

    /// Takes a line. Returns a difference when it is complete.
    fn take(&mut self, line: &str, counts: &Mutex<Counts>) -> Option<Found> {
        let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
        match word {
            "at" => rest.clone_into(&mut self.at),
            "finding" => {
                let told = Told::parse(rest);
                if self.verbose {
                    println!("{}, seed {}: {}: {}", self.profile.word(), self.at, told.sign, told.text);
                }
                self.last = Some(told);
            }
            "before" => self.ops = Some(Vec::new()),
            "history" => self.before = self.ops.replace(Vec::new()).unwrap_or_default(),
            "op" => {
                if let (Some(ops), Ok(op)) = (&mut self.ops, Op::parse(rest)) {
                    ops.push(op);
                }
            }
            "seen" => self.seen.push(rest.to_owned()),
            "end" => {
                let (before, seen) = (std::mem::take(&mut self.before), std::mem::take(&mut self.seen));
                let (ops, told) = (self.ops.take(), self.last.take());
                let (ops, Told { sign, data, row, text }) = (ops?, told?);
                let (profile, seed) = (self.profile, self.at.clone());
                return Some(Found { sign, profile, data, row, text, before, ops, seen, seed });
            }
            _ => {
                counts.lock().expect("no panic").take_line(line);
            }
        }
        None
    }
}
