//! Why the launcher did not become the program: one sentence and an exit code.
//!
//! The codes are those of env(1) and nohup(1), so that a script can tell the launcher's failures
//! from its program's: 125 the launcher's own error or refusal, 126 a program that was found but
//! that the system could not run either, 127 one that was not found.

use nix::errno::Errno;
use std::ffi::OsStr;
use std::fmt;

#[derive(Debug, PartialEq, Eq)]
pub struct Failure {
    pub code: i32,
    pub sentence: String,
}

impl Failure {
    /// The launcher itself failed, or refuses to run what it cannot serve.
    pub fn own(sentence: impl Into<String>) -> Self {
        Self::new(125, sentence)
    }

    /// The program is there, and the system would not run it either.
    pub fn cannot_run(sentence: impl Into<String>) -> Self {
        Self::new(126, sentence)
    }

    /// There is no such program.
    pub fn not_found(sentence: impl Into<String>) -> Self {
        Self::new(127, sentence)
    }

    fn new(code: i32, sentence: impl Into<String>) -> Self {
        let sentence = sentence.into();
        Self { code, sentence }
    }
}

/// The reason for a failed system call, for use within a sentence.
pub fn why(error: &std::io::Error) -> String {
    match error.raw_os_error() {
        Some(number) => reason(Errno::from_raw(number)),
        None => error.to_string(),
    }
}

/// The same for an errno.
pub fn reason(errno: Errno) -> String {
    let text = errno.desc();
    // "Permission denied" within a sentence; "RFS specific error" stays.
    match text.as_bytes() {
        [_, second, ..] if second.is_ascii_lowercase() => text[..1].to_lowercase() + &text[1..],
        _ => text.to_owned(),
    }
}

/// A name as it may stand in a one-line message: as it is, unless something in it would break the
/// line or the terminal.
pub struct Name<'a>(pub &'a OsStr);

impl fmt::Display for Name<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.to_str() {
            Some("") => out.write_str("''"),
            Some(text) if !text.chars().any(char::is_control) => out.write_str(text),
            _ => write!(out, "{:?}", self.0),
        }
    }
}

/// Shorthand for messages: `name(&path)`.
pub fn name<T: AsRef<OsStr> + ?Sized>(text: &T) -> Name<'_> {
    Name(text.as_ref())
}
