//! The first line of a script, as the kernel reads it, and the command that env(1) makes of it. See
//! execve(2).

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

/// The number of bytes by which the kernel recognizes a file (BINPRM_BUF_SIZE).
const LOOK: usize = 256;

/// The beginning of a file that is not an ELF file.
#[derive(Debug, PartialEq, Eq)]
pub enum Beginning {
    /// `#!`, an interpreter, and the rest of the line as one word.
    Interpreter(PathBuf, OsString),
    /// Text: execvp(3) gives it to the shell.
    Text,
    /// Something else.
    Unknown,
}

pub fn beginning(path: &Path) -> io::Result<Beginning> {
    let mut buffer = [0; LOOK];
    let mut length = 0;
    let file = File::open(path)?;
    while length < LOOK {
        match file.read_at(&mut buffer[length..], length as u64)? {
            0 => break,
            more => length += more,
        }
    }
    Ok(understand(&buffer[..length]))
}

fn understand(bytes: &[u8]) -> Beginning {
    let line = bytes.split(|byte| *byte == b'\n').next().unwrap_or(bytes);
    if let Some(rest) = line.strip_prefix(b"#!") {
        let rest = trim(rest);
        let end = rest.iter().position(is_blank).unwrap_or(rest.len());
        let (interpreter, argument) = rest.split_at(end);
        if !interpreter.is_empty() {
            let argument = OsStr::from_bytes(trim(argument)).to_owned();
            return Beginning::Interpreter(OsStr::from_bytes(interpreter).into(), argument);
        }
    }
    // The shells' own test for a file that they refuse to run: a NUL in its first line.
    if line.contains(&0) { Beginning::Unknown } else { Beginning::Text }
}

/// The effect of `#!/usr/bin/env …`.
#[derive(Debug, PartialEq, Eq)]
pub enum Env {
    Starts(OsString),
    /// It removes LD_PRELOAD from the environment first.
    DropsPreload,
    /// Unknown options, or no program.
    Unclear,
}

/// Reads the argument that the kernel passes to env: one word, which only `-S` splits.
pub fn env(argument: &OsStr) -> Env {
    let bytes = argument.as_bytes();
    let split = bytes.strip_prefix(b"-S").or_else(|| bytes.strip_prefix(b"--split-string="));
    let words: Vec<&[u8]> = match split {
        Some(rest) => rest.split(is_blank).filter(|word| !word.is_empty()).collect(),
        None => vec![bytes],
    };
    for word in words {
        match word {
            b"-i" | b"-" | b"--ignore-environment" | b"-uLD_PRELOAD" | b"--unset=LD_PRELOAD" => {
                return Env::DropsPreload;
            }
            [] | [b'-', ..] => return Env::Unclear,
            assignment if assignment.contains(&b'=') => {}
            program => return Env::Starts(OsStr::from_bytes(program).to_owned()),
        }
    }
    Env::Unclear
}

fn is_blank(byte: &u8) -> bool {
    matches!(byte, b' ' | b'\t')
}

fn trim(mut bytes: &[u8]) -> &[u8] {
    while let [first, rest @ ..] = bytes
        && is_blank(first)
    {
        bytes = rest;
    }
    while let [rest @ .., last] = bytes
        && is_blank(last)
    {
        bytes = rest;
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn interpreter(path: &str, argument: &str) -> Beginning {
        Beginning::Interpreter(path.into(), argument.into())
    }

    #[test]
    fn the_rest_of_a_first_line_is_one_argument() {
        assert_eq!(understand(b"#!/bin/sh\nexit"), interpreter("/bin/sh", ""));
        assert_eq!(understand(b"#! \t/bin/awk  -f -x \n"), interpreter("/bin/awk", "-f -x"));
    }

    #[test]
    fn text_without_a_first_line_is_for_the_shell_and_binary_data_is_not() {
        assert_eq!(understand(b"echo hello\n"), Beginning::Text);
        assert_eq!(understand(b""), Beginning::Text);
        assert_eq!(understand(b"MZ\0\0\n"), Beginning::Unknown);
    }

    #[test]
    fn env_starts_the_first_word_that_is_no_assignment() {
        assert_eq!(env("python3".as_ref()), Env::Starts("python3".into()));
        assert_eq!(env("-S A=1 python3 -u".as_ref()), Env::Starts("python3".into()));
        assert_eq!(env("-S -i python3".as_ref()), Env::DropsPreload);
        assert_eq!(env("-S -C / python3".as_ref()), Env::Unclear);
        assert_eq!(env("".as_ref()), Env::Unclear);
    }
}
