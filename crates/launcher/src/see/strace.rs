//! `--audit-strace FILE`: the audit of the output of strace(1).

use super::audit::{Case, Totals};
use super::output::Output;
use super::spawn;
use super::suppress::Suppressions;
use super::wishes::Seeing;
use crate::failure::{Failure, name, reason, why};
use epolyfill_strace::judge;
use std::ffi::OsStr;
use std::io::Read;

/// Judges the text; a fault is a failure with the status of `--audit-exit`, and no sentence.
pub fn run(seeing: &Seeing) -> Result<(), Failure> {
    let path = seeing.strace.as_deref().unwrap_or_default();
    let mut suppressions = seeing.suppress.as_deref().map_or(Ok(Suppressions::default()), Suppressions::read)?;
    let text = read(path)?;
    let judged = judge(&text);
    if judged.lines == 0 {
        return Err(Failure::own(format!("{} has no line of strace(1)", name(path))));
    }
    let standard = spawn::own(std::io::stdout())
        .map_err(|errno| Failure::own(format!("cannot write to standard output: {}", reason(errno))))?;
    let mut output = Output::open(seeing, format!("epolyfill --audit-strace {}", name(path)), Some(standard))?;
    let mut totals = Totals::default();
    for (process, of) in judged.processes.iter().enumerate() {
        totals.add_process(&of.summary);
        for (index, finding) in of.findings.iter().enumerate() {
            let case = Case { process, index, ..Case::bare(of.pid, *finding) };
            if suppressions.cover(&case) {
                totals.suppressed += 1;
                continue;
            }
            totals.add_finding(finding.grade);
            output.show(case, true);
        }
    }
    totals.unseen = unseen(&judged);
    output.sum_up(&totals, &suppressions.unused(), true);
    match seeing.exit.filter(|_| totals.faults > 0) {
        Some(code) => std::process::exit(code.into()),
        None => Ok(()),
    }
}

/// What the text does not show: a clause each.
fn unseen(judged: &epolyfill_strace::Judged) -> Vec<String> {
    use super::words::counted;
    let mut clauses = Vec::new();
    if !judged.has_times {
        clauses.push("the lines have no times of -ttt, so nothing that takes time is judged".to_owned());
    }
    if judged.foreign > 0 {
        clauses.push(format!("{} left out that strace did not write", counted(judged.foreign, "line")));
    }
    if judged.unknown_threads > 0 {
        let threads = counted(judged.unknown_threads, "thread");
        clauses.push(format!("{threads} left out whose process is not known (strace -f from the start shows it)"));
    }
    clauses
}

fn read(path: &OsStr) -> Result<Vec<u8>, Failure> {
    let read = || {
        if path == "-" {
            let mut text = Vec::new();
            std::io::stdin().lock().read_to_end(&mut text)?;
            return Ok(text);
        }
        std::fs::read(path)
    };
    read().map_err(|error| Failure::own(format!("cannot read {}: {}", name(path), why(&error))))
}
