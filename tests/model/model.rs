//! The modules through which threads synchronize, run by a scheduler that decides at each step
//! which thread continues (`scheduler.rs`).
//!
//! These are the library's own files, compiled with another `sync`. The whole library is here
//! except the exported symbols, and descriptors are real ones: only sleeping and the clock are
//! modelled. A model is a function in `models/`. It fails if an assertion fails, if every thread
//! sleeps, or if the run does not end. Each runs in a process of its own, one on every processor.
//!
//!     cargo test --package epolyfill-model               every model
//!     cargo test --package epolyfill-model -- NAME       those with NAME in their name
//!     EPOLYFILL_MODEL_RUNS=1000000 cargo test ...        more runs of each
//!     EPOLYFILL_MODEL_SEED=17 cargo test ... -- NAME     the random run that failed
//!     EPOLYFILL_MODEL_DECISIONS=412:1 cargo test ... -- NAME     the systematic run that failed

#![allow(dead_code, unused_imports)] // Neither the symbols nor the unit tests of the modules are here.

use epolyfill_environment::{preload, settings};
use epolyfill_rules::{account, count, edge, events, habit, kind, shards, tcp};

/// Whether the library has libc's names, so that it sees the program's calls on its descriptors.
/// Otherwise it is used beside the kernel's epoll, and derives edges only from the completions of a
/// ring, from levels and from counts.
pub(crate) const INTERPOSES: bool = cfg!(feature = "interpose");

#[path = "../../src/abi"]
mod abi {
    pub mod calls;
    #[path = "capi"]
    pub mod capi {
        pub mod stats;
    }
    pub mod own_signals;
    pub mod sigsys;
}
#[path = "../../src/api/mod.rs"]
mod api;
#[path = "../../src/backend/mod.rs"]
mod backend;
#[path = "../../crates/ground/src/facts.rs"]
mod facts;
#[path = "../../crates/ground/src/fork_mark.rs"]
mod fork_mark;
#[path = "../../src/graph/mod.rs"]
mod graph;
#[path = "../../crates/ground/src/heap.rs"]
mod heap;
#[path = "../../src/hooks/mod.rs"]
mod hooks;
#[path = "../../src/instance/mod.rs"]
mod instance;
#[path = "../../crates/ground/src/io_uring.rs"]
mod io_uring;
#[path = "../../src/life/mod.rs"]
mod life;
#[path = "../../crates/ground/src/lock.rs"]
mod lock;
#[path = "../../crates/ground/src/log.rs"]
mod log;
#[path = "../../src/nested/mod.rs"]
mod nested;
#[path = "../../crates/ground/src/options.rs"]
mod options;
#[path = "../../crates/ground/src/poll_batch.rs"]
mod poll_batch;
#[path = "../../crates/ground/src/pool.rs"]
mod pool;
#[path = "../../src/probe/mod.rs"]
mod probe;
#[path = "../../crates/ground/src/real.rs"]
mod real;
#[path = "../../crates/ground/src/sanitizer.rs"]
mod sanitizer;
#[path = "../../src/see/mod.rs"]
mod see;
#[path = "../../crates/ground/src/sleep.rs"]
mod sleep;
#[path = "../../crates/ground/src/sock_diag.rs"]
mod sock_diag;
#[path = "../../crates/ground/src/sys/mod.rs"]
mod sys;
#[path = "../../crates/ground/src/tcp_info.rs"]
mod tcp_info;
#[path = "../../crates/ground/src/thread_exit.rs"]
mod thread_exit;
#[path = "../../crates/ground/src/thread_words.rs"]
mod thread_words;
#[path = "../../crates/ground/src/uaccess.rs"]
mod uaccess;

mod explorer;
mod models;
mod processes;
mod scheduler;
mod sync;
mod thread;

use std::process::ExitCode;
use std::sync::atomic::Ordering::Relaxed;

use explorer::Explorer;
use options::Poller;

/// The number of runs of each model of each kind, unless the environment sets another.
const RUNS: usize = 1_000;

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

/// Explores until there are no more runs, or the limit is reached. Returns the number of runs, the
/// length of the longest, and whether these were all.
fn explore(mut explorer: Explorer, runs: usize, body: fn()) -> (usize, usize, bool) {
    let (mut done, mut longest) = (0, 0);
    while done < runs {
        let (after, steps) = scheduler::run(explorer, body);
        (done, longest) = (done + 1, longest.max(steps));
        match after.advance() {
            Some(next) => explorer = next,
            None => return (done, longest, true),
        }
    }
    (done, longest, false)
}

/// A model's name, its body, and the poller that it runs with.
type Model = (&'static str, fn(), Poller);

fn models() -> Vec<Model> {
    let rings = models::IN_RINGS.iter().map(|&(name, body)| (name, body, Poller::Uring));
    let signals = models::BY_SIGNALS.iter().map(|&(name, body)| (name, body, Poller::Signal));
    let chosen = models::BY_CHOICE.iter().map(|&(name, body)| (name, body, Poller::Auto));
    let polled = models::ALL.iter().map(|&(name, body)| (name, body, Poller::Poll));
    polled.chain(rings).chain(signals).chain(chosen).collect()
}

/// Precedes the name of the only model that the process runs.
const ONE: &str = "--one";

fn main() -> ExitCode {
    let mut asked: Vec<String> = std::env::args().skip(1).collect();
    if let [flag, name] = asked.as_slice()
        && flag == ONE
    {
        for (name, body, poller) in models().into_iter().filter(|model| model.0 == name) {
            run_model(name, body, poller);
        }
        return ExitCode::SUCCESS;
    }
    asked.retain(|argument| !argument.starts_with('-'));
    let chosen = |model: &Model| asked.is_empty() || asked.iter().any(|part| model.0.contains(part.as_str()));
    match processes::run_all(&models().into_iter().filter(chosen).map(|model| model.0).collect::<Vec<_>>()) {
        0 => ExitCode::SUCCESS,
        _ => ExitCode::FAILURE,
    }
}

/// The run that the environment asks for, if it asks for one.
fn again() -> Option<(String, Explorer)> {
    let of = |name: &str, explorer: fn(&str) -> Option<Explorer>| {
        let value = std::env::var(name).ok()?;
        let explorer = explorer(&value).unwrap_or_else(|| panic!("{name}={value} is no run"));
        Some((format!("{name}={value}"), explorer))
    };
    of(explorer::SEED, |seed| seed.parse().ok().map(Explorer::random))
        .or_else(|| of(explorer::DECISIONS, Explorer::replay))
}

fn run_model(name: &str, body: fn(), poller: Poller) {
    // Any failure ends the process, because an aborted run leaves locks taken.
    let before = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        before(info);
        scheduler::fail_current();
        std::process::exit(101);
    }));
    life::process::start();
    options::set_poller(poller);
    // The threads of all runs block the signals as this one does.
    backend::signals::start();
    backend::signals::begin();
    // The first run of a process makes the library's records, which takes steps.
    scheduler::run(Explorer::systematic(0), body);
    if let Some((again, explorer)) = again() {
        scheduler::run(explorer, body);
        println!("{name}: {again} passes");
        return;
    }
    explore_in_both_ways(name, body, number("EPOLYFILL_MODEL_RUNS").map_or(RUNS, |runs| runs as usize));
}

fn explore_in_both_ways(name: &str, body: fn(), runs: usize) {
    print!("{name}: ");
    let _ = std::io::Write::flush(&mut std::io::stdout());
    let mut all = 0;
    for preemptions in 1..=3 {
        let (done, longest, whole) = explore(Explorer::systematic(preemptions), runs, body);
        let whole = if whole { ", which is all" } else { "" };
        print!("{done} runs of up to {longest} steps with {preemptions} preemptions{whole}; ");
        all += done;
        if whole.is_empty() {
            break;
        }
    }
    let (done, ..) = explore(Explorer::random(1), runs, body);
    let diverged = match explorer::DIVERGED.load(Relaxed) {
        0 => String::new(),
        count => format!("; {count} decisions were not those of an earlier run"),
    };
    println!("{done} random ones; {} in all{diverged}", all + done);
}
