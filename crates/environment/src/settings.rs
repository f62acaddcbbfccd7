//! The environment variables that the library and the launcher read: one table for parsing, help
//! and diagnostics.

use core::ffi::CStr;
use core::fmt::{self, Display, Formatter, Write};

/// The values that a variable takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Value {
    /// Yes or no.
    Switch,
    /// The name of a poller.
    Poller,
    /// The path of a file.
    File,
    /// Words with commas between them.
    Words,
}

/// A variable.
#[derive(Debug, PartialEq, Eq)]
pub struct Setting {
    /// Its name.
    pub name: &'static CStr,
    /// The values that it takes.
    pub value: Value,
    /// Its effect, in one sentence.
    pub sentence: &'static str,
}

const fn setting(name: &'static CStr, value: Value, sentence: &'static str) -> Setting {
    Setting { name, value, sentence }
}

/// The poller.
pub const POLLER: Setting = setting(c"EPOLYFILL_POLLER", Value::Poller, "How the library learns readiness.");
/// Counters at exit.
pub const COUNTERS: Setting =
    setting(c"EPOLYFILL_COUNTERS", Value::Switch, "Print the library's counters on standard error at exit.");
/// Checks of pointers.
pub const STRICT: Setting =
    setting(c"EPOLYFILL_STRICT", Value::Switch, "Answer bad pointers with EFAULT, at the cost of a system call each.");
/// io_uring for the program itself.
pub const IO_URING: Setting =
    setting(c"EPOLYFILL_IO_URING", Value::Switch, "Let io_uring_setup, called through syscall(), reach the kernel.");
/// Service of children.
pub const CHILDREN: Setting =
    setting(c"EPOLYFILL_CHILDREN", Value::Switch, "If no, serve only the program, not its children.");
/// Programs that make their own system calls.
pub const RAW: Setting = setting(
    c"EPOLYFILL_RAW",
    Value::Switch,
    "If no, leave alone the system calls that a program makes by instructions of its own.",
);
/// No reports of invalid settings.
pub const QUIET: Setting = setting(c"EPOLYFILL_QUIET", Value::Switch, "Do not report invalid settings.");
/// The library.
pub const LIBRARY: Setting = setting(
    c"EPOLYFILL_LIBRARY",
    Value::File,
    "The library to load; by default libepolyfill.so beside the launcher, or in ../lib.",
);

/// The records of observed processes.
pub const SEE_IN: Setting = setting(
    c"EPOLYFILL_SEE_IN",
    Value::File,
    "The directory for the records of observed processes (set by the launcher).",
);
/// The consumers of facts.
pub const SEE: Setting = setting(
    c"EPOLYFILL_SEE",
    Value::Words,
    "What is recorded of observed processes: audit, counts, facts (set by the launcher).",
);

/// The plan of chaos.
pub const CHAOS: Setting = setting(
    c"EPOLYFILL_CHAOS",
    Value::Words,
    "The waits that are perturbed: SEED[,KIND[=RATE]...] or @FILE (set by the launcher).",
);

/// The log of its decisions.
pub const CHAOS_LOG: Setting =
    setting(c"EPOLYFILL_CHAOS_LOG", Value::File, "The log of the decisions of EPOLYFILL_CHAOS (set by the launcher).");

/// Every variable for users.
pub const ALL: [&Setting; 8] = [&POLLER, &COUNTERS, &STRICT, &IO_URING, &CHILDREN, &RAW, &QUIET, &LIBRARY];

/// The variables that only a launcher sets, for libepolyfill-see.so.
pub const OF_OBSERVER: [&Setting; 4] = [&SEE_IN, &SEE, &CHAOS, &CHAOS_LOG];

/// The pollers by name.
pub const POLLERS: [&str; 4] = ["auto", "poll", "uring", "signal"];

/// The value of EPOLYFILL_POLLER that leaves epoll to the kernel. Only libepolyfill-see.so can.
pub const KERNEL: &str = "kernel";

/// The prefix of every setting's name.
const PREFIX: &[u8] = b"EPOLYFILL_";
/// The prefix of the test suite's own names.
const OF_TESTS: &[u8] = b"EPOLYFILL_TEST_";

/// The value of a switch; `None` if it is neither yes nor no.
pub fn switch(value: &[u8]) -> Option<bool> {
    let is = |words: [&str; 4]| words.iter().any(|word| value.eq_ignore_ascii_case(word.as_bytes()));
    match () {
        () if is(["1", "yes", "true", "on"]) => Some(true),
        () if is(["0", "no", "false", "off"]) => Some(false),
        () => None,
    }
}

/// The error in a variable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Complaint<'a> {
    /// There is no setting of that name.
    Unknown(&'a [u8]),
    /// The value of EPOLYFILL_POLLER is not a poller.
    Poller(&'a [u8]),
    /// The value is neither yes nor no.
    Switch(&'static Setting, &'a [u8]),
}

/// The error in an entry of an environment, `NAME=value`. An empty value counts as unset.
pub fn complaint(entry: &[u8]) -> Option<Complaint<'_>> {
    let equals = entry.iter().position(|byte| *byte == b'=')?;
    let (name, value) = (&entry[..equals], &entry[equals + 1..]);
    if !name.starts_with(PREFIX) || name.starts_with(OF_TESTS) {
        return None;
    }
    let Some(setting) = ALL.into_iter().chain(OF_OBSERVER).find(|setting| setting.name.to_bytes() == name) else {
        return Some(Complaint::Unknown(name));
    };
    match setting.value {
        _ if value.is_empty() => None,
        Value::Poller if !POLLERS.iter().any(|poller| poller.as_bytes() == value) => Some(Complaint::Poller(value)),
        Value::Switch if switch(value).is_none() => Some(Complaint::Switch(setting, value)),
        _ => None,
    }
}

impl Display for Complaint<'_> {
    fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
        match *self {
            Complaint::Unknown(name) => {
                write!(
                    out,
                    "{} is not a setting of epolyfill and is ignored; epolyfill(7) lists the settings",
                    Shown(name)
                )
            }
            Complaint::Poller(value) => {
                let [first, second, third, fourth] = POLLERS;
                let name = Shown(POLLER.name.to_bytes());
                let value = Shown(value);
                write!(
                    out,
                    "{name} is '{value}', which is not a poller and is ignored; use {first}, {second}, {third} or {fourth}"
                )
            }
            Complaint::Switch(setting, value) => {
                let (name, value) = (Shown(setting.name.to_bytes()), Shown(value));
                write!(out, "{name} is '{value}', which is neither yes nor no and is ignored; use yes or no")
            }
        }
    }
}

/// Bytes of the environment in a message: without control characters, and truncated.
struct Shown<'a>(&'a [u8]);

/// The most bytes of a value that a message repeats.
const LONGEST: usize = 60;

impl Display for Shown<'_> {
    fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
        for byte in self.0.iter().take(LONGEST) {
            match byte {
                b' '..=b'~' => out.write_char(char::from(*byte))?,
                _ => out.write_char('?')?,
            }
        }
        if self.0.len() > LONGEST { out.write_str("...") } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::ToString;

    #[test]
    fn switches_know_the_usual_words_in_any_case() {
        assert!(["1", "yes", "True", "ON"].iter().all(|word| switch(word.as_bytes()) == Some(true)));
        assert!(["0", "no", "False", "OFF"].iter().all(|word| switch(word.as_bytes()) == Some(false)));
        assert_eq!(switch(b"2"), None);
    }

    #[test]
    fn a_complaint_names_the_variable_and_its_value() {
        let said = |entry: &str| complaint(entry.as_bytes()).map(|complaint| complaint.to_string());
        assert_eq!(said("EPOLYFILL_POLLER=uring"), None);
        assert_eq!(said("EPOLYFILL_POLLER="), None);
        assert_eq!(said("EPOLYFILL_TEST_WAY=x"), None);
        assert_eq!(said("EPOLYFILL=x"), None);
        assert!(said("EPOLYFILL_POLLER=bo\ngus").unwrap().contains("is 'bo?gus', which is not a poller"));
        assert!(said("EPOLYFILL_STRICT=2").unwrap().contains("STRICT is '2', which is neither"));
        assert!(said("EPOLYFILL_POLER=poll").unwrap().contains("EPOLYFILL_POLER is not a setting"));
    }
}
