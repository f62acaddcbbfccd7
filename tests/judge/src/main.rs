//! The judge: the kernel's epoll and epolyfill's, on the same descriptors in the same process, in
//! random histories; all results are compared.
//!
//! The coordinator starts worker processes with the library preloaded. A worker makes up histories
//! step by step (`generate`), makes each step on the same descriptors for both sides (`steps`,
//! `world`), the kernel's epoll by system calls of its own (`kernel`), waits on either side, and
//! compares (`waits`, `compare`). Differences are separated from the known ones (`known`), made as
//! short as possible (`shrink`) and printed.

mod calls;
mod compare;
mod connections;
mod coordinate;
mod counts;
mod crew;
mod findings;
mod fleeting;
mod generate;
mod kernel;
mod kinds;
mod known;
mod noise;
mod op;
mod options;
mod profile;
mod room;
mod shrink;
mod steps;
mod terminals;
mod waits;
mod worker;
mod world;

use std::process::ExitCode;

fn main() -> ExitCode {
    let options = match options::parse(std::env::args_os()) {
        Ok(Some(options)) => options,
        Ok(None) => {
            print!("{}", options::HELP);
            return ExitCode::SUCCESS;
        }
        Err(error) => return unusable(&error),
    };
    if options.worker {
        return worker::run(&options).map_or_else(|error| unusable(&error), |()| ExitCode::SUCCESS);
    }
    match coordinate::run(options) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(error) => unusable(&error),
    }
}

fn unusable(error: &str) -> ExitCode {
    eprintln!("judge: {error}");
    ExitCode::from(2)
}
