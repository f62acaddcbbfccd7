//! Programs that make their own system calls: their calls reach the library, too.
//!
//! A Go program waits by system call instructions of its runtime, which symbol interposition cannot
//! reach. At start-up, before any code of the program has run, each of those
//! instructions that the library has to see is replaced by a jump (`rewrite`). The jump leads to a
//! stub, and from there to the thunk (`thunk`), which saves what a system call preserves, changes
//! to a stack of the thread's own (`stack`), because a goroutine's is too small, and makes the call
//! by number, as `syscall()` does (`door`).
//!
//! The instructions of Rust's rustix have no room for a jump. In such a program a seccomp filter
//! (`filter`) lets them raise SIGSYS, whose handler leads to the same thunk (`trap`).
//!
//! A static program loads no library, but the loader loads it into a process that has the library
//! (`guest`).
//!
//! A program that calls libc is recognized by its notes and the names that it imports, which takes
//! a few comparisons. One in Rust has its code searched once, and pays nothing else.

mod callers;
mod cancel;
mod door;
mod filter;
mod guest;
mod of_c;
mod program;
mod rewrite;
mod stack;
mod thunk;
mod trap;

use std::fmt::Write;

use epolyfill_sites::Kind;

use crate::life::process;
use crate::log::Line;
use crate::options;
use crate::sys;
use program::Program;
use trap::Refused;

#[ctor::ctor(unsafe)]
fn at_load() {
    process::start();
    if options::serves_raw_calls() {
        serve();
    }
}

/// Makes the program's own system calls reach the library, if it makes any.
fn serve() {
    // SAFETY: nothing unmaps the main program, whether or not it runs.
    let Some(program) = (unsafe { Program::own() }) else { return };
    let is_go = program.is_go();
    if !is_go && !trap::concerns(&program) {
        return;
    }
    let done = if sys::has_company() == Some(true) {
        Err(rewrite::Refused::Runs.into())
    } else if is_go {
        // SAFETY: the constructors of what the program is linked with, and of what is preloaded,
        // run in one thread, before the program; a running Go program has several.
        unsafe { rewrite::rewrite(&program, Kind::Dynamic) }.map(drop).map_err(Refused::from)
    } else {
        // SAFETY: as above.
        unsafe { trap::trap(&program) }
    };
    if let Err(why) = done
        && !options::QUIET.is_on()
    {
        let mut line = Line::<256>::new();
        // A sentence that does not fit is cut off.
        let _ = writeln!(
            line,
            "epolyfill: this program's own system calls do not reach the library: {why}; EPOLYFILL_RAW=no leaves them alone"
        );
        line.to_stderr();
    }
}
