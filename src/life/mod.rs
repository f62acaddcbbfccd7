//! A process from its start to its end: start-up, fork, exec.

pub mod exec_env;
pub mod exec_loader;
pub mod process;
pub mod start_env;
