//! The coordinator: starts workers, adds up their counts, shrinks their findings, prints the table.

mod apart;
mod findings;
mod process;
mod replay;
mod table;
mod watchdog;

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::sync::{Mutex, mpsc};
use std::time::{Duration, Instant};

use self::findings::Found;
use crate::counts::Counts;
use crate::generate::Profile;
use crate::known::ROWS;
use crate::noise::Noise;
use crate::op;
use crate::options::Options;

/// The number of histories of one process, so that the library's memory of the past does not pile
/// up.
const HISTORIES: u64 = 150;

/// After this many differences of the library, no more are examined: something is badly wrong.
const ENOUGH: usize = 100;

/// The settings of a run.
struct Stage {
    program: PathBuf,
    library: PathBuf,
    options: Options,
}

/// Returns true if all differences are listed ones.
pub fn run(options: Options) -> Result<bool, String> {
    let library = find_library(&options)?;
    let stage = Stage { program: std::env::current_exe().map_err(|error| error.to_string())?, library, options };
    fs::create_dir_all(&stage.options.out).map_err(|error| format!("{}: {error}", stage.options.out.display()))?;
    if let Some(file) = &stage.options.replay {
        if stage.options.apart {
            return stage.perform_apart(file);
        }
        let seen = stage.perform(file, true)?;
        print!("{}", seen.steps);
        println!("{}", if seen.signs.is_empty() { "no difference" } else { "the sides differ" });
        return Ok(seen.signs.is_empty());
    }
    if let Some(file) = &stage.options.shrink {
        let text = fs::read_to_string(file).map_err(|error| format!("{}: {error}", file.display()))?;
        let ops = op::parse_history(&text)?;
        let profile = profile_in(&text);
        let seen = stage.perform(file, false)?;
        let Some(sign) = seen.signs.first() else {
            println!("no difference");
            return Ok(true);
        };
        let found = Found {
            sign: sign.clone(),
            profile,
            data: None,
            row: None,
            text: String::new(),
            before: Vec::new(),
            ops,
            seen: Vec::new(),
            seed: String::new(),
        };
        stage.shrink_and_print(found, &mut BTreeSet::new());
        return Ok(false);
    }
    stage.judge()
}

fn profile_in(text: &str) -> Profile {
    let named = text.lines().find_map(|line| line.trim().strip_prefix("# profile: "));
    named.and_then(Profile::parse).unwrap_or(Profile::Plain)
}

/// The library to judge: the one that the options name, or that of the build to which this program
/// belongs.
fn find_library(options: &Options) -> Result<PathBuf, String> {
    const FILE: &str = "libepolyfill.so";
    let found = match &options.library {
        Some(path) => Some(path.clone()).filter(|path| path.is_file()),
        None => {
            let program = std::env::current_exe().map_err(|error| error.to_string())?;
            let around = program.ancestors().skip(1).flat_map(|directory| {
                [FILE.to_owned(), format!("release/{FILE}"), format!("target/release/{FILE}")]
                    .map(|at| directory.join(at))
            });
            around.into_iter().find(|path| path.is_file())
        }
    };
    let found = found.ok_or_else(|| match &options.library {
        Some(path) => format!("{} is no file", path.display()),
        None => format!("{FILE} is not around this program; --library names it (cargo build --release builds it)"),
    })?;
    found.canonicalize().map_err(|error| format!("{}: {error}", found.display()))
}

impl Stage {
    fn judge(&self) -> Result<bool, String> {
        let options = &self.options;
        let seed = options.seed.unwrap_or_else(|| {
            let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
            Noise::new(now.as_nanos() as u64 ^ u64::from(std::process::id())).next() >> 16
        });
        println!("library {}", self.library.display());
        println!("seed {seed}, {} processes, histories of {} steps", options.jobs, options.history_length);
        let begun = Instant::now();
        let deadline = options.minutes.map(|minutes| begun + Duration::from_secs_f64(minutes * 60.0));
        let counts = Mutex::new(Counts::default());
        let (left, next) = (Mutex::new(options.steps), AtomicU64::new(0));
        let claim = |most: u64| {
            let mut left = left.lock().expect("no panic");
            let steps = most.min(*left);
            *left -= steps;
            steps
        };
        let broken = Mutex::new(None);
        let (tell, told) = mpsc::channel::<Found>();
        let mut shown = BTreeSet::new();
        let (mut shrunk, mut genuine) = (0, 0);
        std::thread::scope(|scope| {
            for _ in 0..options.jobs {
                let tell = tell.clone();
                let (counts, left, claim, next, broken) = (&counts, &left, &claim, &next, &broken);
                scope.spawn(move || {
                    let chunk = options.history_length as u64 * HISTORIES;
                    loop {
                        let steps = claim(chunk);
                        if steps == 0 || deadline.is_some_and(|deadline| Instant::now() >= deadline) {
                            return;
                        }
                        match self.one_worker(seed, next.fetch_add(1, SeqCst), steps, counts, &tell, deadline) {
                            // The next worker gets the steps that this one was not given.
                            Ok(spared) => *left.lock().expect("no panic") += spared,
                            Err(error) => {
                                *broken.lock().expect("no panic") = Some(error);
                                claim(u64::MAX);
                                return;
                            }
                        }
                    }
                });
            }
            drop(tell);
            let mut signs = Vec::new();
            for found in told {
                if genuine < ENOUGH && self.is_between(&found) {
                    let (what, kind) = found.sign.split_once(' ').unwrap_or_default();
                    let mut counts = counts.lock().expect("no panic");
                    match found.row {
                        Some(row) => counts.clear_of(ROWS[row].name, kind),
                        None => counts.move_one(&format!("{what}/{kind}"), &format!("apart/{kind}")),
                    }
                    continue;
                }
                if found.row.is_some() {
                    continue;
                }
                genuine += 1;
                let before = signs.iter().filter(|sign| **sign == found.sign).count();
                signs.push(found.sign.clone());
                if shrunk < options.findings && before < 8 {
                    shrunk += 1;
                    let (what, kind) = found.sign.split_once(' ').unwrap_or_default();
                    let (from, to) = (format!("{what}/{kind}"), format!("apart/{kind}"));
                    if self.shrink_and_print(found, &mut shown) {
                        counts.lock().expect("no panic").move_one(&from, &to);
                        genuine -= 1;
                    }
                }
            }
        });
        if let Some(error) = broken.into_inner().expect("no panic") {
            return Err(error);
        }
        let counts = counts.into_inner().expect("no panic");
        let late = deadline.is_some_and(|deadline| Instant::now() >= deadline);
        Ok(table::report(&counts, begun.elapsed(), options, late))
    }
}
