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
use std::sync::atomic::AtomicU64;
use std::sync::{Mutex, mpsc};
use std::time::{Duration, Instant};

use self::findings::{Examined, Found};
use crate::counts::Counts;
use crate::noise::Noise;
use crate::op;
use crate::options::Options;
use crate::profile::Profile;

/// The number of histories of one process, so that the library's memory of the past does not pile
/// up.
const HISTORIES: u64 = 150;

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

/// The state of a run, which its jobs share.
struct Run {
    seed: u64,
    deadline: Option<Instant>,
    counts: Mutex<Counts>,
    /// The steps that no worker has been given.
    left: Mutex<u64>,
    /// The number of the next worker.
    next: AtomicU64,
    /// The error that ended the run.
    broken: Mutex<Option<String>>,
}

impl Run {
    /// Takes steps for a worker.
    fn claim(&self, most: u64) -> u64 {
        let mut left = self.left.lock().expect("no panic");
        let steps = most.min(*left);
        *left -= steps;
        steps
    }

    fn is_late(&self) -> bool {
        self.deadline.is_some_and(|deadline| Instant::now() >= deadline)
    }
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
        let run = Run {
            seed,
            deadline: options.minutes.map(|minutes| begun + Duration::from_secs_f64(minutes * 60.0)),
            counts: Mutex::default(),
            left: Mutex::new(options.steps),
            next: AtomicU64::new(0),
            broken: Mutex::default(),
        };
        let (tell, told) = mpsc::channel::<Found>();
        std::thread::scope(|scope| {
            for _ in 0..options.jobs {
                let (run, tell) = (&run, tell.clone());
                scope.spawn(move || self.work(run, &tell));
            }
            drop(tell);
            let mut examined = Examined::default();
            told.into_iter().for_each(|found| self.examine(found, &run.counts, &mut examined));
        });
        let late = run.is_late();
        if let Some(error) = run.broken.into_inner().expect("no panic") {
            return Err(error);
        }
        let counts = run.counts.into_inner().expect("no panic");
        Ok(table::report(&counts, begun.elapsed(), options, late))
    }

    /// Runs one worker after the other, until the steps or the time are over.
    fn work(&self, run: &Run, tell: &mpsc::Sender<Found>) {
        let chunk = self.options.history_length as u64 * HISTORIES;
        loop {
            let steps = run.claim(chunk);
            if steps == 0 || run.is_late() {
                return;
            }
            match self.one_worker(run, steps, tell) {
                // The next worker gets the steps that this one was not given.
                Ok(spared) => *run.left.lock().expect("no panic") += spared,
                Err(error) => {
                    *run.broken.lock().expect("no panic") = Some(error);
                    run.claim(u64::MAX);
                    return;
                }
            }
        }
    }
}
