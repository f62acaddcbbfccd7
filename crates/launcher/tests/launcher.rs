//! The launcher, run as its user runs it. Nothing of the library crate is used here: it would put
//! libc's own names into this binary.

#[path = "launcher/audit.rs"]
mod audit;
#[path = "launcher/chaos.rs"]
mod chaos;
#[path = "launcher/command_line.rs"]
mod command_line;
#[path = "launcher/demo.rs"]
mod demo;
#[path = "launcher/filter.rs"]
mod filter;
#[path = "launcher/library.rs"]
mod library;
#[path = "launcher/output.rs"]
mod output;
#[path = "launcher/program.rs"]
mod program;
#[path = "launcher/sanitized.rs"]
mod sanitized;
#[path = "launcher/served.rs"]
mod served;
#[path = "launcher/settings.rs"]
mod settings;
#[cfg(target_arch = "x86_64")]
#[path = "launcher/static_c.rs"]
mod static_c;
#[cfg(target_arch = "x86_64")]
#[path = "launcher/static_programs.rs"]
mod static_programs;
#[cfg(target_arch = "x86_64")]
#[path = "launcher/static_threads.rs"]
mod static_threads;
#[path = "launcher/support.rs"]
mod support;
#[path = "launcher/why.rs"]
mod why;
