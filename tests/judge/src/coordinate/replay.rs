//! A history that is run once more, in a process of its own.

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;

use super::Stage;
use super::process::Told;
use super::watchdog::Watchdog;
use crate::op::{self, Op};
use crate::profile::Profile;

/// The results of a replay.
#[derive(Debug, Default)]
pub(super) struct Seen {
    pub(super) signs: Vec<String>,
    pub(super) steps: String,
    /// The data of the registrations that differ.
    pub(super) about: Vec<(String, u64)>,
    /// The reports of the one side that ran, by step and data.
    pub(super) alone: BTreeSet<(u32, u64, String)>,
}

impl Stage {
    /// Runs a history in a process of its own.
    pub(super) fn perform(&self, file: &Path, verbose: bool) -> Result<Seen, String> {
        self.perform_on(file, verbose, "both")
    }

    /// Runs a history with each side in a process of its own, and prints the steps in which they
    /// differ.
    pub(super) fn perform_apart(&self, file: &Path) -> Result<bool, String> {
        let (kernel, ours) = (self.perform_on(file, true, "kernel")?, self.perform_on(file, true, "ours")?);
        println!("kernel:\n{}\nours:\n{}", kernel.steps, ours.steps);
        let differing = differing_apart(&kernel, &ours);
        println!("{}", if differing.is_empty() { "no difference" } else { "the sides differ" });
        print!("{differing}");
        Ok(differing.is_empty())
    }

    pub(super) fn perform_on(&self, file: &Path, verbose: bool, side: &str) -> Result<Seen, String> {
        let mut args = vec![format!("--side={side}")];
        if verbose {
            args.push("--verbose".to_owned());
        }
        self.perform_with(file, &args)
    }

    pub(super) fn perform_with(&self, file: &Path, options: &[String]) -> Result<Seen, String> {
        let args: Vec<String> = [format!("--replay={}", file.display())].iter().chain(options).cloned().collect();
        let mut child = self.worker(&args)?;
        let out = child.stdout.take().ok_or("no pipe")?;
        let guard = Watchdog::new(child.id());
        let mut seen = Seen::default();
        for line in BufReader::new(out).lines() {
            let Ok(line) = line else { break };
            guard.heard();
            if let Some(rest) = line.strip_prefix("finding ") {
                let Told { sign, data, row, .. } = Told::parse(rest);
                if let Some(data) = data {
                    seen.about.push((sign.clone(), data));
                }
                if row.is_none() {
                    seen.signs.push(sign);
                }
            } else if let Some(rest) = line.strip_prefix("alone ") {
                let mut parts = rest.splitn(3, ' ');
                let mut number = || parts.next().and_then(|number| number.parse::<u64>().ok()).unwrap_or(0);
                let (step, data) = (number() as u32, number());
                seen.alone.insert((step, data, parts.next().unwrap_or("").to_owned()));
            } else if let Some(step) = line.strip_prefix("step ") {
                seen.steps.push_str(step);
                seen.steps.push('\n');
            }
        }
        let hung = guard.barked();
        let status = child.wait().map_err(|error| error.to_string())?;
        match status.code() {
            Some(0) => {}
            Some(code) => return Err(format!("a worker ended with status {code}")),
            None if hung => seen.signs.push("hang -".to_owned()),
            None => seen.signs.push(format!("signal {}", status.signal().unwrap_or(0))),
        }
        Ok(seen)
    }

    pub(super) fn write(&self, file: &Path, profile: Profile, head: &str, ops: &[Op]) {
        let text = format!("# profile: {}\n{head}{}", profile.word(), op::print_history(ops));
        if let Err(error) = fs::write(file, text) {
            eprintln!("judge: {}: {error}", file.display());
        }
    }
}

/// The reports in which two processes with one side each differ, one line for each registration and
/// step.
pub(super) fn differing_apart(kernel: &Seen, ours: &Seen) -> String {
    let mut lines = String::new();
    for (step, data, _) in kernel.alone.symmetric_difference(&ours.alone) {
        let of = |seen: &Seen| {
            let reports = seen.alone.iter().filter(|(at, of, _)| (at, of) == (step, data)).map(|report| &*report.2);
            Some(reports.collect::<Vec<_>>().join(", ")).filter(|text| !text.is_empty())
        };
        let text = |seen| of(seen).unwrap_or_else(|| "nothing".to_owned());
        let line = format!("      step {step}: kernel {}; ours {}\n", text(kernel), text(ours));
        if !lines.ends_with(&line) {
            lines.push_str(&line);
        }
    }
    if kernel.signs != ours.signs {
        lines.push_str("      they ended differently\n");
    }
    lines
}
