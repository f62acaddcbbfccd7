//! Runs each model in a process of its own, as many at a time as there are processors. Models cannot
//! share a process: the library's statics are the process's, and a failed model ends it.

use std::io::Write;
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::available_parallelism;

use crate::ONE;

/// Runs the models and prints the output of each as it ends. Returns the number of failed ones.
pub fn run_all(names: &[&str]) -> usize {
    let (next, failed) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let worker = || {
        while let Some(name) = names.get(next.fetch_add(1, Ordering::Relaxed)) {
            failed.fetch_add(usize::from(!passes(name)), Ordering::Relaxed);
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..available_parallelism().map_or(1, usize::from) {
            scope.spawn(worker);
        }
    });
    failed.into_inner()
}

fn passes(name: &str) -> bool {
    let program = std::env::current_exe().expect("the path of this program");
    let output = Command::new(program).args([ONE, name]).output().expect("a child of this program");
    let mut out = std::io::stdout().lock();
    let _ = out.write_all(&output.stdout);
    let _ = out.write_all(&output.stderr);
    if !output.status.success() {
        let _ = writeln!(out, "{name} FAILED: {}", output.status);
    }
    output.status.success()
}
