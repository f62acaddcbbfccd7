//! Differences with their histories, made as short as possible and printed.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use super::Stage;
use super::replay::differing_apart;
use crate::counts::Counts;
use crate::known::ROWS;
use crate::op::{Op, Verb};
use crate::profile::Profile;
use crate::shrink;

/// After this time a difference is printed as short as it is by then.
const LONGEST_SHRINKING: Duration = Duration::from_secs(20);
/// The same for a difference that shows only in a process with other histories before it, which
/// take time.
const LONGEST_WITH_PAST: Duration = Duration::from_secs(120);
/// The number of attempts after which a candidate counts as not showing the difference.
const TRIES: usize = 3;
/// After this many differences of the library, no more are examined: something is badly wrong.
const ENOUGH: usize = 100;
/// A history with more steps is not printed.
const MOST_PRINTED: usize = 500;

/// A difference with the history that led to it.
#[derive(Clone, Debug)]
pub(super) struct Found {
    /// What differs and the kind of file, or how the worker ended.
    pub(super) sign: String,
    pub(super) profile: Profile,
    /// The data of the registration concerned.
    pub(super) data: Option<u64>,
    /// The row of `known` that lists it.
    pub(super) row: Option<usize>,
    pub(super) text: String,
    /// The earlier histories of the process.
    pub(super) before: Vec<Op>,
    pub(super) ops: Vec<Op>,
    /// The log of the steps.
    pub(super) seen: Vec<String>,
    pub(super) seed: String,
}

/// The differences that have been examined.
#[derive(Debug, Default)]
pub(super) struct Examined {
    /// Those of the library.
    genuine: usize,
    shrunk: usize,
    signs: Vec<String>,
    /// The shrunk histories that were printed, in short.
    shown: BTreeSet<String>,
}

impl Stage {
    /// Counts a difference as an effect of one side on the other, or shrinks and prints it.
    pub(super) fn examine(&self, found: Found, counts: &Mutex<Counts>, examined: &mut Examined) {
        let (what, kind) = found.sign.split_once(' ').unwrap_or_default();
        let (from, to) = (format!("{what}/{kind}"), format!("apart/{kind}"));
        if examined.genuine < ENOUGH && self.is_between(&found) {
            let mut counts = counts.lock().expect("no panic");
            match found.row {
                Some(row) => counts.clear_of(ROWS[row].name, kind),
                None => counts.move_one(&from, &to),
            }
            return;
        }
        if found.row.is_some() {
            return;
        }
        examined.genuine += 1;
        let before = examined.signs.iter().filter(|sign| **sign == found.sign).count();
        examined.signs.push(found.sign.clone());
        if examined.shrunk < self.options.findings && before < 8 {
            examined.shrunk += 1;
            if self.shrink_and_print(found, &mut examined.shown) {
                counts.lock().expect("no panic").move_one(&from, &to);
                examined.genuine -= 1;
            }
        }
    }

    /// Returns true if the shrunk history shows that one side has an effect on the other.
    pub(super) fn shrink_and_print(&self, found: Found, shown: &mut BTreeSet<String>) -> bool {
        let scratch = self.options.out.join(format!("candidate-{}", std::process::id()));
        let begun = Instant::now();
        let longest = std::cell::Cell::new(LONGEST_SHRINKING);
        let mut shows = |ops: &[Op]| {
            if begun.elapsed() > longest.get() {
                return false;
            }
            self.write(&scratch, found.profile, "", ops);
            (0..TRIES).any(|_| self.perform(&scratch, false).is_ok_and(|seen| seen.signs.contains(&found.sign)))
        };
        let mut whole = found.ops.clone();
        let mut reproduces = shows(&whole);
        if !reproduces && !found.before.is_empty() {
            // It may be caused by the library's memory of earlier histories.
            longest.set(LONGEST_WITH_PAST);
            let all = [&found.before[..], &found.ops].concat();
            reproduces = shows(&all);
            whole = if reproduces { all } else { whole };
        }
        let ops = if reproduces { shrink::shrink(whole, &mut shows) } else { whole };
        let _ = fs::remove_file(&scratch);
        let verbs: Vec<&str> = ops.iter().map(|op| op.verb.word()).collect();
        let name = format!("{} {}", found.sign, verbs.join(" "));
        if reproduces && self.is_between(&Found { before: Vec::new(), ops: ops.clone(), ..found.clone() }) {
            return true;
        }
        if reproduces && !shown.insert(name) {
            return false;
        }
        let number = if reproduces { shown.len().to_string() } else { found.seed.clone() };
        let file =
            self.options.out.join(format!("{}-{}-{number}.history", found.sign.replace(' ', "-"), std::process::id()));
        let head = format!("# {}: {}\n", found.sign, found.text);
        self.write(&file, found.profile, &head, &ops);
        println!("\n== {} ({} steps of {}, {} process)", found.sign, ops.len(), found.ops.len(), found.profile.word());
        if reproduces {
            self.print_steps(&found, &ops, &file);
        } else {
            print_unseen(&found, &file);
        }
        println!("replay: judge --replay {}", file.display());
        false
    }

    /// Prints a history that shows the difference, in its steps.
    fn print_steps(&self, found: &Found, ops: &[Op], file: &Path) {
        if ops.len() > MOST_PRINTED {
            println!("{}", found.text);
            return;
        }
        match self.perform(file, true) {
            Ok(seen) => print!("{}", seen.steps),
            Err(error) => println!("{error}"),
        }
        let threads = ops.iter().any(|op| op.verb == Verb::Sleepers);
        if let (Ok(kernel), Ok(ours), false) =
            (self.perform_on(file, true, "kernel"), self.perform_on(file, true, "ours"), threads)
        {
            let differing = differing_apart(&kernel, &ours);
            println!(
                "with each side in a process of its own: {}",
                if differing.is_empty() { "no difference" } else { "" }
            );
            print!("{differing}");
        }
    }
}

/// Prints a difference that did not show again, and how the history went that led to it.
fn print_unseen(found: &Found, file: &Path) {
    println!("{}", found.text);
    println!("It did not show again in a process of its own. The seed of the history is {}.", found.seed);
    let steps = file.with_extension("steps");
    match fs::write(&steps, found.seen.join("\n") + "\n") {
        Ok(()) => println!("How it went: {}", steps.display()),
        Err(error) => eprintln!("judge: {}: {error}", steps.display()),
    }
}
