//! A process from its start to its end: start-up, fork, exec.

pub mod exec_env;
pub mod heritage;
pub mod process;
