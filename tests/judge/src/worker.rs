//! The process that runs histories, with the library preloaded, and reports to the coordinator by
//! lines on standard output:
//!
//! - `at SEED`: a history begins;
//! - `count N NAME`: a number to add to a counter;
//! - `finding WHAT KIND DATA TEXT`: a difference that no row lists, with the registration's data or
//!   `-`;
//! - `step TEXT`: a step of a replay, for people;
//! - `alone STEP DATA TEXT`: a report of a registration by one side alone;
//! - `before`, `op OP` …: the earlier histories of the process, if it finds a difference;
//! - `history`, `op OP` …, `end`: the steps that led to the last of these differences;
//! - `seen TEXT`: the log of a step when the difference was found, which may never occur again.

use std::fmt::Write as _;
use std::io::{self, Write};
use std::path::Path;
use std::time::Instant;

use crate::calls::{self, Tools};
use crate::counts::Counts;
use crate::findings::Finding;
use crate::fleeting;
use crate::generate::Theme;
use crate::kernel;
use crate::noise::Noise;
use crate::op::{self, Op, Verb};
use crate::options::Options;
use crate::profile::Profile;
use crate::world::{Alone, SIGNALS, World};

/// The number of unlisted differences that a worker sends with their histories.
const MOST_SENT: usize = 16;

pub fn run(options: &Options) -> Result<(), String> {
    check_sides()?;
    // The kernel counts queued real-time signals by user, so this separates them from those of
    // other workers. If it refuses, they show as unread signals that are reported again, which is
    // listed.
    // SAFETY: there is one thread, and files belong to this user as before.
    let _ = unsafe {
        libc::unshare(libc::CLONE_NEWUSER | libc::CLONE_NEWNS) == 0 || libc::unshare(libc::CLONE_NEWUSER) == 0
    };
    calls::block_signals(&SIGNALS);
    // SAFETY: the calls ignore SIGPIPE, and set timers that are not rounded up.
    unsafe {
        libc::signal(libc::SIGPIPE, libc::SIG_IGN);
        libc::prctl(libc::PR_SET_TIMERSLACK, 1);
    }
    let directory = std::env::temp_dir().join(format!("epolyfill-judge-{}", std::process::id()));
    std::fs::create_dir_all(&directory).map_err(|error| format!("{}: {error}", directory.display()))?;
    let name = directory.to_str().ok_or("the directory for temporary files has no proper name")?;
    fleeting::begin(name);
    let outcome = match &options.replay {
        Some(file) => replay(file, name, options),
        None => histories(options, name),
    };
    fleeting::end(name);
    let _ = std::fs::remove_dir_all(&directory);
    outcome
}

/// Checks that libc's names lead to the library, and the judge's own calls past it.
fn check_sides() -> Result<(), String> {
    let ours = calls::epoll_create1(0).map_err(|errno| format!("epoll_create1: errno {errno}"))?;
    let theirs = kernel::epoll_create1(0).map_err(|errno| format!("the kernel's epoll_create1: errno {errno}"))?;
    let links = (calls::link_of(ours), calls::link_of(theirs));
    let _ = (calls::close(ours), calls::close(theirs));
    if !links.0.starts_with("pipe:") {
        return Err(format!("libc's epoll_create1 does not lead to the library: its descriptor is {}", links.0));
    }
    if links.1 != "anon_inode:[eventpoll]" {
        return Err(format!("the judge's own system call did not lead to the kernel: its descriptor is {}", links.1));
    }
    Ok(())
}

fn send(lines: &str) -> Result<(), String> {
    let mut out = io::stdout().lock();
    out.write_all(lines.as_bytes()).and_then(|()| out.flush()).map_err(|error| format!("standard output: {error}"))
}

fn histories(options: &Options, directory: &str) -> Result<(), String> {
    let mut noise = Noise::new(options.seed.unwrap_or(0));
    let profile = options.profiles.first().copied().unwrap_or(Profile::Plain);
    let tools = Tools::new().map_err(|errno| format!("no descriptors: errno {errno}"))?;
    let mut counts = Counts::default();
    let (mut names, mut left, mut sent) = (0, options.steps, 0);
    let mut past: Vec<Op> = Vec::new();
    // Keeps the library's view of the process the same in all histories: it has threads from the
    // first one on, or never.
    if profile == Profile::Threads {
        std::thread::spawn(|| ()).join().map_err(|_| "no thread".to_owned())?;
    }
    let begun = Instant::now();
    let is_over = || options.minutes.is_some_and(|minutes| begun.elapsed().as_secs_f64() > minutes * 60.0);
    while left > 0 && !is_over() {
        let seed = noise.next();
        send(&format!("at {seed}\n"))?;
        let mut own = Noise::new(seed);
        let mut theme = Theme::new(&mut own, options, profile);
        let mut world = World::new(&mut counts, &tools, directory, names, true);
        let length = (options.history_length as u64).min(left);
        let mut ops: Vec<Op> = Vec::with_capacity(length as usize);
        for _ in 0..length {
            let op = theme.next(&mut own, &world);
            ops.push(op);
            world.perform(op);
        }
        world.end();
        names = world.names;
        let findings = std::mem::take(&mut world.findings);
        let log = world.log.take().unwrap_or_default();
        counts.add("steps", length);
        counts.add("histories", 1);
        left -= length;
        let mut lines = String::new();
        for finding in findings.iter().filter(|finding| finding.is_suspect()) {
            if sent == MOST_SENT {
                break;
            }
            sent += 1;
            lines.push_str(&finding_as_line(finding));
            for (word, ops) in [("before", &past[..]), ("history", &ops[..(finding.step as usize).min(ops.len())])] {
                lines.push_str(word);
                lines.push('\n');
                for op in ops {
                    let _ = writeln!(lines, "op {op}");
                }
            }
            for text in log.iter().filter(|(step, _)| *step <= finding.step).map(|(_, text)| text) {
                let _ = writeln!(lines, "seen {text}");
            }
            lines.push_str("end\n");
        }
        past.append(&mut ops);
        past.push(Op::new(Verb::Anew, &[]));
        lines.push_str(&counts.drain_lines());
        send(&lines)?;
    }
    Ok(())
}

fn finding_as_line(finding: &Finding) -> String {
    let (what, kind) = (finding.what.word(), finding.kind.word());
    let data = finding.data.map_or("-".to_owned(), |data| data.to_string());
    let row = finding.row.map_or("-".to_owned(), |row| row.to_string());
    format!("finding {what} {kind} {data} {row} {}\n", finding.text)
}

fn send_steps(world: &mut World<'_>) -> Result<(), String> {
    let Some(log) = &mut world.log else { return Ok(()) };
    let lines: String = log.drain(..).map(|(_, line)| format!("step {line}\n")).collect();
    send(&lines)
}

fn replay(file: &Path, directory: &str, options: &Options) -> Result<(), String> {
    let text = std::fs::read_to_string(file).map_err(|error| format!("{}: {error}", file.display()))?;
    let ops = op::parse_history(&text).map_err(|error| format!("{}: {error}", file.display()))?;
    let tools = Tools::new().map_err(|errno| format!("no descriptors: errno {errno}"))?;
    if text.lines().any(|line| line.trim() == "# profile: threads") {
        std::thread::spawn(|| ()).join().map_err(|_| "no thread".to_owned())?;
    }
    let mut counts = Counts::default();
    let mut world = World::new(&mut counts, &tools, directory, 0, options.verbose);
    world.side = options.side;
    world.brisk_until = if options.brisk { ops.len() as u32 } else { 0 };
    for op in ops {
        if op.verb == Verb::Anew {
            // A sign of life.
            send("at -\n")?;
        }
        world.perform(op);
        send_steps(&mut world)?;
    }
    world.end();
    send_steps(&mut world)?;
    for Alone { step, data, text } in &world.alone {
        send(&format!("alone {step} {data} {text}\n"))?;
    }
    let findings = std::mem::take(&mut world.findings);
    let suspect = findings.iter().filter(|finding| finding.is_suspect());
    send(&suspect.map(finding_as_line).collect::<String>())
}
