//! The coordinator: starts workers, adds up their counts, shrinks their findings, prints the table.

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, Mutex, mpsc};
use std::time::{Duration, Instant};

use crate::compare::What;
use crate::counts::Counts;
use crate::generate::Profile;
use crate::kinds::Kind;
use crate::known::{Class, ROWS};
use crate::noise::Noise;
use crate::op::{self, Op, Verb};
use crate::options::Options;
use crate::shrink;

/// The number of histories of one process, so that the library's memory of the past does not pile
/// up.
const HISTORIES: u64 = 150;
/// A worker without output for this long hangs.
const SILENCE: Duration = Duration::from_secs(30);
/// After this time a difference is printed as short as it is by then.
const LONGEST_SHRINKING: Duration = Duration::from_secs(20);
/// The same for a difference that shows only in a process with other histories before it, which
/// take time.
const LONGEST_WITH_PAST: Duration = Duration::from_secs(120);
/// The number of attempts after which a candidate counts as not showing the difference.
const TRIES: usize = 3;
/// The number of attempts to see a difference `SHOWINGS` times with both sides in one process.
const MOST_TOGETHER: usize = 40;
const SHOWINGS: usize = 2;
/// For each of those, the number of runs with each side in a process of its own: a difference that
/// showed in two of N attempts is missed in `APART` times N runs with a probability of e^(-2 *
/// APART).
const APART: usize = 4;
/// A history with more steps is not printed.
const MOST_PRINTED: usize = 500;
/// After this many differences of the library, no more are examined: something is badly wrong.
const ENOUGH: usize = 100;

/// A difference with the history that led to it.
#[derive(Clone, Debug)]
struct Found {
    /// What differs and the kind of file, or how the worker ended.
    sign: String,
    profile: Profile,
    /// The data of the registration concerned.
    data: Option<u64>,
    /// The row of `known` that lists it.
    row: Option<usize>,
    text: String,
    /// The earlier histories of the process.
    before: Vec<Op>,
    ops: Vec<Op>,
    /// The log of the steps.
    seen: Vec<String>,
    seed: String,
}

/// A worker's line about a difference.
#[derive(Debug)]
struct Told {
    sign: String,
    data: Option<u64>,
    row: Option<usize>,
    text: String,
}

impl Told {
    /// Parses a line without its first word.
    fn parse(line: &str) -> Told {
        let mut parts = line.splitn(5, ' ');
        Told {
            sign: format!("{} {}", parts.next().unwrap_or(""), parts.next().unwrap_or("")),
            data: parts.next().and_then(|data| data.parse().ok()),
            row: parts.next().and_then(|row| row.parse().ok()),
            text: parts.next().unwrap_or("").to_owned(),
        }
    }
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

/// The settings of a run.
struct Stage {
    program: PathBuf,
    library: PathBuf,
    options: Options,
}

/// The results of a replay.
#[derive(Debug, Default)]
struct Seen {
    signs: Vec<String>,
    steps: String,
    /// The data of the registrations that differ.
    about: Vec<(String, u64)>,
    /// The reports of the one side that ran, by step and data.
    alone: BTreeSet<(u32, u64, String)>,
}

impl Stage {
    fn worker(&self, args: &[String]) -> Result<Child, String> {
        let mut command = Command::new(&self.program);
        command.arg("--worker").args(args).env("LD_PRELOAD", &self.library).env("MALLOC_ARENA_MAX", "1");
        command.stdin(Stdio::null()).stdout(Stdio::piped());
        command.spawn().map_err(|error| format!("{}: {error}", self.program.display()))
    }

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
        Ok(report(&counts, begun.elapsed(), options, late))
    }

    /// Runs one worker to its end. Returns the number of steps that it was not given.
    fn one_worker(
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

    /// Runs a history in a process of its own.
    fn perform(&self, file: &Path, verbose: bool) -> Result<Seen, String> {
        self.perform_on(file, verbose, "both")
    }

    /// Runs a history with each side in a process of its own, and prints the steps in which they
    /// differ.
    fn perform_apart(&self, file: &Path) -> Result<bool, String> {
        let (kernel, ours) = (self.perform_on(file, true, "kernel")?, self.perform_on(file, true, "ours")?);
        println!("kernel:\n{}\nours:\n{}", kernel.steps, ours.steps);
        let differing = differing_apart(&kernel, &ours);
        println!("{}", if differing.is_empty() { "no difference" } else { "the sides differ" });
        print!("{differing}");
        Ok(differing.is_empty())
    }

    /// Whether a difference is an effect of one side on the other: it shows with both in one
    /// process, and never with each in a process of its own, in as many runs as that takes. A
    /// difference that cannot be shown again is not one. One that sleeping threads found must show
    /// without them, in waits of one thread.
    fn is_between(&self, found: &Found) -> bool {
        let mut ops = found.ops.clone();
        if ops.iter().any(|op| op.verb == Verb::Sleepers) {
            ops.retain(|op| op.verb != Verb::Sleepers);
            ops.push(Op::new(Verb::Sweep, &[]));
        }
        let file = self.options.out.join(format!("apart-{}", std::process::id()));
        self.write(&file, found.profile, "", &ops);
        let shows = |_: &usize| {
            self.perform(&file, false).is_ok_and(|seen| match found.data {
                Some(data) => seen.about.contains(&(found.sign.clone(), data)),
                None => seen.signs.contains(&found.sign),
            })
        };
        let attempts = (1..=MOST_TOGETHER).filter(shows).nth(SHOWINGS - 1);
        let last = ops.len() as u32;
        let agrees_apart = || {
            let [kernel, ours] = ["kernel", "ours"].map(|side| {
                let seen = self.perform_with(&file, &[format!("--side={side}"), "--brisk".to_owned()]).ok()?;
                let at_last = seen
                    .alone
                    .into_iter()
                    .filter(|(step, of, _)| *step == last && found.data.is_none_or(|data| data == *of));
                // If no registration is named, one of several must report, and any of them may.
                let mut reports: Vec<String> = at_last.map(|(_, _, report)| report).collect();
                reports.sort();
                seen.signs.is_empty().then_some(reports)
            });
            kernel.is_some() && kernel == ours
        };
        let is_between = attempts.is_some_and(|attempts| (0..APART * attempts).all(|_| agrees_apart()));
        let _ = fs::remove_file(&file);
        is_between
    }

    fn perform_on(&self, file: &Path, verbose: bool, side: &str) -> Result<Seen, String> {
        let mut args = vec![format!("--side={side}")];
        if verbose {
            args.push("--verbose".to_owned());
        }
        self.perform_with(file, &args)
    }

    fn perform_with(&self, file: &Path, options: &[String]) -> Result<Seen, String> {
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

    fn write(&self, file: &Path, profile: Profile, head: &str, ops: &[Op]) {
        let text = format!("# profile: {}\n{head}{}", profile.word(), op::print_history(ops));
        if let Err(error) = fs::write(file, text) {
            eprintln!("judge: {}: {error}", file.display());
        }
    }

    /// Returns true if the shrunk history shows that one side has an effect on the other.
    fn shrink_and_print(&self, found: Found, shown: &mut BTreeSet<String>) -> bool {
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
        if reproduces && ops.len() > MOST_PRINTED {
            println!("{}", found.text);
        } else if reproduces {
            match self.perform(&file, true) {
                Ok(seen) => print!("{}", seen.steps),
                Err(error) => println!("{error}"),
            }
            let threads = ops.iter().any(|op| op.verb == Verb::Sleepers);
            if let (Ok(kernel), Ok(ours), false) =
                (self.perform_on(&file, true, "kernel"), self.perform_on(&file, true, "ours"), threads)
            {
                let differing = differing_apart(&kernel, &ours);
                println!(
                    "with each side in a process of its own: {}",
                    if differing.is_empty() { "no difference" } else { "" }
                );
                print!("{differing}");
            }
        } else {
            println!("{}", found.text);
            println!("It did not show again in a process of its own. The seed of the history is {}.", found.seed);
            let steps = file.with_extension("steps");
            match fs::write(&steps, found.seen.join("\n") + "\n") {
                Ok(()) => println!("How it went: {}", steps.display()),
                Err(error) => eprintln!("judge: {}: {error}", steps.display()),
            }
        }
        println!("replay: judge --replay {}", file.display());
        false
    }
}

/// The reports in which two processes with one side each differ, one line for each registration and
/// step.
fn differing_apart(kernel: &Seen, ours: &Seen) -> String {
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

/// Kills a worker that hangs.
struct Watchdog {
    heard: Arc<Mutex<Instant>>,
    barked: Arc<AtomicBool>,
    done: Option<mpsc::Sender<()>>,
}

impl Watchdog {
    fn new(pid: u32) -> Watchdog {
        let (done, is_done) = mpsc::channel();
        let dog = Watchdog { heard: Arc::new(Mutex::new(Instant::now())), barked: Arc::default(), done: Some(done) };
        let (heard, barked) = (dog.heard.clone(), dog.barked.clone());
        std::thread::spawn(move || {
            while is_done.recv_timeout(Duration::from_millis(200)) == Err(mpsc::RecvTimeoutError::Timeout) {
                if heard.lock().is_ok_and(|heard| heard.elapsed() > SILENCE) {
                    barked.store(true, SeqCst);
                    // SAFETY: the worker's own process id; it is reaped only after this thread was
                    // told to stop.
                    unsafe { libc::kill(pid.cast_signed(), libc::SIGKILL) };
                    return;
                }
            }
        });
        dog
    }

    fn heard(&self) {
        if let Ok(mut heard) = self.heard.lock() {
            *heard = Instant::now();
        }
    }

    fn barked(&self) -> bool {
        self.barked.load(SeqCst)
    }
}

impl Drop for Watchdog {
    fn drop(&mut self) {
        self.done.take();
    }
}

/// Prints the table; returns true if there are no unlisted differences.
fn report(counts: &Counts, took: Duration, options: &Options, late: bool) -> bool {
    let columns = [What::Lost, What::Extra, What::FewerBits, What::MoreBits, What::OtherBits, What::Answer];
    println!();
    print!("{:<18} {:>12} {:>8}", "kind", "reports", "listed");
    for what in columns {
        print!(" {:>10}", what.word());
    }
    println!();
    for kind in Kind::ALL {
        let of = |what: What| counts.get(&format!("{}/{}", what.word(), kind.word()));
        let (reports, listed) =
            (counts.get(&format!("reports/{}", kind.word())), counts.get(&format!("listed/{}", kind.word())));
        if reports + listed + What::ALL.into_iter().map(of).sum::<u64>() == 0 {
            continue;
        }
        print!("{:<18} {reports:>12} {listed:>8}", kind.word());
        for what in columns {
            print!(" {:>10}", of(what) + if what == What::Extra { of(What::Twice) } else { 0 });
        }
        println!();
    }
    let (reports, listed) = (counts.sum("reports/"), counts.sum("listed/"));
    let sum = |what: What| counts.sum(&format!("{}/", what.word()));
    let unlisted: u64 = What::ALL.into_iter().map(sum).sum();
    print!("{:<18} {reports:>12} {listed:>8}", "all");
    for what in columns {
        print!(" {:>10}", sum(what) + if what == What::Extra { sum(What::Twice) } else { 0 });
    }
    println!("\n");
    for (row, count) in counts.with_prefix("row/") {
        let known = ROWS.iter().find(|one| one.name == row);
        let lost = counts.get(&format!("row-lost/{row}"));
        if known.is_some_and(|one| one.between) {
            let lost = if lost > 0 { format!(" ({lost} lost)") } else { String::new() };
            println!("{count:>10}  one side doing to the other: {row}{lost}");
            continue;
        }
        let is_news = known.is_none_or(|one| one.class(What::Lost) == Class::News);
        let class = if is_news { "(a) listed as lost" } else { "(b) without news" };
        for (number, class) in [(lost, class), (count.saturating_sub(lost), "(c) listed")] {
            if number > 0 {
                println!("{number:>10}  {class}: {row}");
            }
        }
    }
    let apart = counts.sum("apart/");
    if apart > 0 {
        println!("{apart:>10}  one side doing to the other: gone with each in a process of its own");
    }
    let (steps, known, always) = (counts.get("steps"), counts.sum("known-lost/"), counts.sum("always-lost/"));
    let extras = listed + sum(What::Extra) + sum(What::Twice);
    let share = extras as f64 * 10_000.0 / reports.max(1) as f64;
    println!(
        "{steps} steps in {} histories, {} waits on either side, {:.0} steps a second",
        counts.get("histories"),
        counts.get("waits"),
        steps as f64 / took.as_secs_f64()
    );
    println!(
        "(a) news lost {}{}, (b) wake-ups without news not reported {}, \
         (c) reports too many {extras} ({share:.2} in 10,000; {listed} of them listed), \
         other differences {}, settled late {}",
        sum(What::Lost),
        if known + always > 0 { format!(" and {} of listed kinds", known + always) } else { String::new() },
        counts.sum("no-news/"),
        unlisted - sum(What::Lost) - sum(What::Extra) - sum(What::Twice),
        counts.get("late")
    );
    let broken = counts.get("broken/workers");
    if broken > 0 {
        println!("{broken} workers did not end by themselves");
    }
    let left = options.steps.saturating_sub(steps);
    if left > 0 {
        let reason = match (late, broken > 0) {
            (true, false) => "the time was over",
            (false, true) => "workers ended early",
            (true, true) => "the time was over, and workers ended early",
            (false, false) => "nobody knows why",
        };
        println!("{left} of the {} steps asked for were not done: {reason}", options.steps);
    }
    let is_whole = left == 0 || late;
    unlisted == 0 && (known == 0 || options.listed) && broken == 0 && share < 1.0 && is_whole
}
