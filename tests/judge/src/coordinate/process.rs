//! A worker process, and the lines that it prints.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, mpsc};
use std::time::Instant;

use super::Stage;
use super::findings::Found;
use super::watchdog::Watchdog;
use crate::counts::Counts;
use crate::generate::Profile;
use crate::noise::Noise;
use crate::op::Op;

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
        command.stdin(Stdio::null()).stdout(Stdio::piped());
        command.spawn().map_err(|error| format!("{}: {error}", self.program.display()))
    }

    /// Runs one worker to its end. Returns the number of steps that it was not given.
    pub(super) fn one_worker(
        &self,
        seed: u64,
        number: u64,
        steps: u64,
        counts: &Mutex<Counts>,
        tell: &mpsc::Sender<Found>,
        deadline: Option<Instant>,
    ) -> Result<u64, String> {
        let options = &self.options;
        let mut noise = Noise::new(seed ^ number.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let own_seed = noise.next();
        let weights: Vec<u32> = options
            .profiles
            .iter()
            .map(|profile| match profile {
                Profile::Plain => 12,
                Profile::Nested => 4,
                Profile::Threads => 3,
                Profile::Forking => 1,
            })
            .collect();
        let profile = options.profiles[noise.weighted(&weights)];
        let kinds: Vec<&str> = options.kinds.iter().map(|kind| kind.word()).collect();
        // Forks are expensive.
        let given = if profile == Profile::Forking { steps.min(9000) } else { steps };
        let left = deadline
            .map_or(f64::MAX, |deadline| deadline.saturating_duration_since(Instant::now()).as_secs_f64() / 60.0);
        let args = [
            format!("--minutes={left}"),
            format!("--seed={own_seed}"),
            format!("--steps={given}"),
            format!("--history-length={}", options.history_length),
            format!("--threads={}", options.threads),
            format!("--kinds={}", kinds.join(",")),
            format!("--profiles={}", profile.word()),
        ];
        let args: Vec<String> = args.into_iter().chain(options.listed.then(|| "--listed".to_owned())).collect();
        let begun = Instant::now();
        let mut child = self.worker(&args)?;
        let out = child.stdout.take().ok_or("no pipe")?;
        let guard = Watchdog::new(child.id());
        let mut at = String::new();
        let mut last: Option<Told> = None;
        let (mut before, mut ops, mut seen): (Vec<Op>, Option<Vec<Op>>, Vec<String>) = Default::default();
        for line in BufReader::new(out).lines() {
            let Ok(line) = line else { break };
            guard.heard();
            let (word, rest) = line.split_once(' ').unwrap_or((&line, ""));
            match word {
                "at" => at = rest.to_owned(),
                "finding" => {
                    let told = Told::parse(rest);
                    if options.verbose {
                        println!("{}, seed {at}: {}: {}", profile.word(), told.sign, told.text);
                    }
                    last = Some(told);
                }
                "before" => ops = Some(Vec::new()),
                "history" => before = ops.replace(Vec::new()).unwrap_or_default(),
                "op" => {
                    if let (Some(ops), Ok(op)) = (&mut ops, Op::parse(rest)) {
                        ops.push(op);
                    }
                }
                "seen" => seen.push(rest.to_owned()),
                "end" => {
                    let (before, seen) = (std::mem::take(&mut before), std::mem::take(&mut seen));
                    if let (Some(ops), Some(Told { sign, data, row, text })) = (ops.take(), last.take()) {
                        let _ =
                            tell.send(Found { sign, profile, data, row, text, before, ops, seen, seed: at.clone() });
                    }
                }
                _ => {
                    counts.lock().expect("no panic").take_line(&line);
                }
            }
        }
        let hung = guard.barked();
        let status = child.wait().map_err(|error| error.to_string())?;
        if status.code() == Some(2) {
            return Err("a worker could not begin".to_owned());
        }
        if options.verbose {
            println!("{} worker, seed {own_seed}: {status}, {:.1} s", profile.word(), begun.elapsed().as_secs_f64());
        }
        if !status.success() {
            let how = if hung { "hung".to_owned() } else { format!("ended early: {status}") };
            counts.lock().expect("no panic").add("broken/workers", 1);
            eprintln!("a {} worker {how}; its seed was {own_seed}, that of its last history {at}", profile.word());
            eprintln!("    {} --worker {}", self.program.display(), args.join(" "));
        }
        Ok(steps - given)
    }
}
