//! The launcher, `epolyfill [options] [--] program args…`: sets the library up in front of an
//! unmodified program, then becomes it.
//!
//! A command line goes through these modules: `options` (what it asks for) → `library` (where
//! libepolyfill.so is) → `program` (which file would run, and whether it can be served, with
//! `script`, `elf`, `dynamic`, `past` and `privilege`) → `refuse` (the seccomp filter) → `launch`
//! (environment and exec). `demo` runs the launcher itself as the program, `doctor` reports the
//! system's features, `see::why` explains a running process, `completion` prints the scripts for shells. Every failure is a `Failure`: one
//! line on stderr and an exit code as env(1) gives it.
//!
//! It does not depend on the library crate: that crate exports libc's own names, and they would end
//! up in here.
//!
//! There is no Rust `main`. The runtime's start-up ignores SIGPIPE and opens closed standard
//! descriptors; the program would inherit both, and it has to inherit what the launcher was given.
#![cfg_attr(not(test), no_main)]
// Without the entry point, which test builds leave to the test harness, nothing in here has a
// caller.
#![cfg_attr(test, allow(dead_code))]

mod completion;
mod demo;
mod doctor;
mod dynamic;
mod elf;
mod failure;
mod launch;
mod library;
mod link;
mod options;
mod past;
mod privilege;
mod program;
mod refuse;
mod script;
mod see;
mod wrapper;

use epolyfill_environment::{preload, settings};
use failure::{Failure, name};
use options::{Options, Wish};
use program::Depth;
use std::ffi::OsString;
use std::io::Write;

/// The entry point for the C start-up code. The arguments are read from the environment of the
/// process, as std does.
#[cfg(not(test))]
#[unsafe(no_mangle)]
pub extern "C" fn main(_argc: libc::c_int, _argv: *const *const libc::c_char) -> libc::c_int {
    std::process::exit(run(std::env::args_os().skip(1).collect()))
}

/// Carries out the command line and returns the exit code; if it starts a program, it returns only
/// on failure.
fn run(words: Vec<OsString>) -> i32 {
    match obey(words) {
        Ok(()) => 0,
        Err(failure) => {
            // A closed stderr is no reason to fail differently.
            let _ = writeln!(std::io::stderr(), "epolyfill: {}", failure.sentence);
            failure.code
        }
    }
}

fn obey(words: Vec<OsString>) -> Result<(), Failure> {
    if words.first().is_some_and(|word| word == demo::WORKER) {
        return demo::work(&words[1..]);
    }
    let options = options::parse(words)?;
    match options.wish {
        Wish::Help => say(&options::help()),
        Wish::Version => say(concat!("epolyfill ", env!("CARGO_PKG_VERSION"), "\n")),
        Wish::Completion(shell) => say(&shell.script()),
        Wish::Doctor => doctor::run(),
        Wish::Demo => demo::run(&options),
        Wish::Check => check(&options),
        Wish::Judge => see::strace::run(&options.see),
        Wish::Hunt => match see::chaos::hunt(&options)? {
            true => std::process::exit(1),
            false => Ok(()),
        },
        Wish::Why(pid) => say(&see::why::explain(pid)?),
        Wish::Counts(pid) => see::why::counts(pid, options.every),
        Wish::Launch => launch::launch(&options),
    }
}

/// `--check`: one sentence on stdout if the program can be served; a failure if it cannot, or if it
/// only starts another program that cannot.
fn check(options: &Options) -> Result<(), Failure> {
    let library = library::find()?;
    let program = program::find(&options.program[0])?;
    let served = program::judge(&program, &library, options.no_kernel_epoll, Depth::Whole)?;
    if let Some(command) = wrapper::started(&options.program) {
        let between = |failure: Failure| {
            let sentence = format!("{}, but it starts a program that cannot: {}", served.sentence, failure.sentence);
            Failure { sentence, ..failure }
        };
        let started = program::find(command).map_err(between)?;
        let by = name(&program);
        let served = program::judge(&started, &library, options.no_kernel_epoll, Depth::Whole).map_err(between)?;
        return say(&format!("{}, started by {by}\n", served.sentence));
    }
    say(&format!("{}\n", served.sentence))
}

/// Writes to stdout; a full disk behind it is a failure, not a panic.
fn say(text: &str) -> Result<(), Failure> {
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes())
        .and_then(|()| out.flush())
        .map_err(|error| Failure::own(format!("cannot write to standard output: {error}")))
}
